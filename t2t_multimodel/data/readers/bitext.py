"""Reads translations from two files whose lines correspond, packed in archives or not."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from t2t_multimodel.data.normalization import normalize_spaces
from t2t_multimodel.data.readers import archives, corpora
from t2t_multimodel.problem import Example
from t2t_multimodel.utils.errors import DataError

_SEGMENT = re.compile(r'<seg id="\d+">(.*?)</seg>', re.DOTALL)


class Bitext(NamedTuple):
    """The two files of a corpus of translations: text, gzipped text (.gz) or SGML (.sgm).

    Attributes:
        english, foreign: the names of the files.
        folders: folders that may contain the files; a file that is listed as gzipped may also be unzipped there.
        archives: archives that may contain the files; () if the corpus is not distributed in archives.
        origin: the URL of the first archive, or the place from which to get the files.
        with_gaps: True if lines without a translation are normal and are left out; otherwise they are error examples.
    """

    english: str
    foreign: str
    folders: tuple[str, ...]
    archives: tuple[str, ...]
    origin: str
    with_gaps: bool = False


def missing(folder: Path, bitexts: Iterable[Bitext]) -> list[corpora.Missing]:
    """Returns what is not in `folder`: archives, or files if there are no archives."""
    found = []
    for bitext in bitexts:
        absent = [name for name in (bitext.english, bitext.foreign) if _place(folder, bitext, name) is None]
        found += [corpora.Missing(name, bitext.origin) for name in (bitext.archives[:1] if absent else ()) or absent]
    return found


def pairs(folder: Path, bitext: Bitext) -> Iterator[Example]:
    """Yields the translations as `aligned` does, from files that `missing` has found to be there; raises the same errors."""
    with ExitStack() as stack:
        members = []
        for name in (bitext.english, bitext.foreign):
            place = _place(folder, bitext, name)
            assert place is not None  # `missing` has found the file
            # One archive is opened per side, because two members of a compressed archive cannot be read at the same time.
            members.append(stack.enter_context(archives.opened(place[0])).open(place[1]))
        for example in aligned(members):
            yield {"left_out": "untranslated"} if bitext.with_gaps and "" in example.values() else example


def aligned(members: Sequence[archives.Member]) -> Iterator[Example]:
    """Yields the pairs of lines of two files; control characters become spaces.

    A line that is not UTF-8, or is far too long, is an error example.

    Raises:
        DataError: a file is damaged, or the two differ in their number of lines.
    """
    read = _segments if members[0].name.endswith(".sgm") else archives.lines
    for number, sides in enumerate(itertools.zip_longest(*map(read, members)), 1):
        if None in sides:
            shorter, longer = sorted(members, key=lambda member: sides[members.index(member)] is not None)
            raise DataError(f"{shorter.origin} ends after {number - 1} lines, {longer.origin} goes on; they should match")
        yield _example(sides, members, number)


def _place(folder: Path, bitext: Bitext, name: str) -> tuple[Path, str] | None:
    """Returns the folder or archive that has a file, and the file's name in it; None if the file is missing."""
    for unpacked in (name, name.removesuffix(".gz")):
        for part in bitext.folders:
            if (folder / part / unpacked).is_file():
                return folder / part, unpacked
    return next(((folder / archive, name) for archive in bitext.archives if (folder / archive).is_file()), None)


def _example(sides: Sequence[bytes], members: Sequence[archives.Member], number: int) -> Example:
    origins = [f"line {number} of {member.origin}" for member in members]
    try:
        texts = [normalize_spaces(archives.decoded(side, origin)) for side, origin in zip(sides, origins, strict=True)]
    except DataError as error:
        return {"error": error}
    return {"inputs": texts[0], "targets": texts[1], "origin": origins[0]}


def _segments(member: archives.Member) -> Iterator[bytes]:
    """Yields the sentences of an SGML test set."""
    found = _SEGMENT.findall(archives.text(member))
    if not found:
        raise DataError(f'{member.origin} has no lines like <seg id="1">text</seg>')
    yield from (html.unescape(sentence).encode() for sentence in found)
