"""Penn Treebank 3 (LDC99T42), Wall Street Journal: English sentence to parse tree; sections 02-21 train, 22 dev, 23 test.

The folder `--tmp_dir`, or treebank_3/ in it, holds an archive with LDC99T42 in its name (.tgz, .tar, .zip), or the archive's
content, down to parsed/mrg/wsj/00/wsj_0001.mrg. The path may begin with treebank_3/. Names may be upper or lower case.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Iterator
from pathlib import Path

from t2t_multimodel.data.readers import archives, corpora, treebank
from t2t_multimodel.features import Text
from t2t_multimodel.problem import Example, Problem, problems
from t2t_multimodel.utils.errors import DataError

_SECTIONS = {"train": range(2, 22), "dev": range(22, 23), "test": range(23, 24)}
_MERGED = "parsed/mrg/wsj"
_FILE = re.compile(r"(?:^|/)(\d\d)/(wsj_\d{4}\.mrg)$")
_ARCHIVES = (".tgz", ".gz", ".tar", ".zip")


def generate(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields sentences and their linearised trees without function tags and traces, in the corpus's order.

    A damaged tree gives an "error" example.

    Raises:
        DataError: the corpus or one of its sections is missing.
    """
    check(tmp_dir)
    source = _source(corpora.folder_of("treebank_3", tmp_dir))
    assert source is not None  # `check` has found it
    files = {}
    with archives.opened(source) as archive:
        for member in archive.members():
            found = _FILE.search(member.name.lower())
            # An archive has the sections of other corpora too, such as parsed/mrg/brown.
            if found and int(found.group(1)) in _SECTIONS[split] and (source.is_dir() or _MERGED in member.name.lower()):
                # A member of a compressed archive can be read only until the next one is opened.
                files[found.groups()] = member._replace(open=functools.partial(io.BytesIO, archives.read(member)))
    missing = sorted({f"{section:02}" for section in _SECTIONS[split]} - {section for section, _ in files})
    if missing:
        raise DataError(
            f"{source} has no trees of section {', '.join(missing)}: {_MERGED}/{missing[0]}/wsj_{missing[0]}00.mrg and others"
        )
    for key in sorted(files):
        yield from treebank.examples(files[key])


def check(tmp_dir: Path) -> None:
    """Raises a DataError if the treebank is missing."""
    folder = corpora.folder_of("treebank_3", tmp_dir)
    if _source(folder) is None:
        wanted = corpora.Missing(f"{_MERGED}/02/wsj_0200.mrg and the others", "https://catalog.ldc.upenn.edu/LDC99T42")
        corpora.require("the Penn Treebank 3", folder, [wanted])


def _source(folder: Path) -> Path | None:
    """Returns the folder parsed/mrg/wsj, or the archive that contains it, or None."""
    for prefix in ("", "treebank_3/"):
        unpacked = corpora.find(folder, prefix + _MERGED)
        if unpacked is not None:
            return unpacked
    packed = sorted(path for path in folder.glob("*LDC99T42*") if path.suffix in _ARCHIVES)
    return packed[0] if packed else None


WSJ_PARSING = Problem(
    "wsj_parsing_tokens_8k",
    Text(),
    Text("tree"),
    "to_parse_tree",
    generate,
    metrics=("parse_f1",),
    splits=("train", "dev", "test"),
    source="Penn Treebank 3, LDC99T42, catalog.ldc.upenn.edu; for members and licensees of the LDC",
    check=check,
)
problems.register(WSJ_PARSING.name, WSJ_PARSING)
