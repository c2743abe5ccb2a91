"""Translations as two files of lines that belong together, packed or not."""

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
    """Where the two files are: text, gzipped text (.gz) or SGML (.sgm).

    Attributes:
        english, foreign: names of the files.
        folders: where they lie, any of them; of gzipped text the unzipped one will do.
        archives: what they are distributed in, any of them; () if they are not.
        origin: the URL of the first archive, or where the files are from.
        with_gaps: whether lines without a translation are normal, and left out; otherwise they are error examples.
    """

    english: str
    foreign: str
    folders: tuple[str, ...]
    archives: tuple[str, ...]
    origin: str
    with_gaps: bool = False


def missing(folder: Path, bitexts: Iterable[Bitext]) -> list[corpora.Missing]:
    """What is not in `folder`: archives, or files where there is no archive."""
    found = []
    for bitext in bitexts:
        absent = [name for name in (bitext.english, bitext.foreign) if _place(folder, bitext, name) is None]
        found += [corpora.Missing(name, bitext.origin) for name in (bitext.archives[:1] if absent else ()) or absent]
    return found


def pairs(folder: Path, bitext: Bitext) -> Iterator[Example]:
    """The translations, as `aligned` reads them, of files that `missing` has found to be there; raises what `aligned` does."""
    with ExitStack() as stack:
        members = []
        for name in (bitext.english, bitext.foreign):
            place = _place(folder, bitext, name)
            assert place is not None  # `missing` has been asked
            # An archive for each side: in a compressed one, two members cannot be read at once.
            members.append(stack.enter_context(archives.opened(place[0])).open(place[1]))
        for example in aligned(members):
            yield {"left_out": "untranslated"} if bitext.with_gaps and "" in example.values() else example


def aligned(members: Sequence[archives.Member]) -> Iterator[Example]:
    """The pairs of two files of lines; control characters become spaces. A line that is no UTF-8 or far too long is an
    error example.

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
    """The folder or archive that has a file, and the file's name in it; None if it is missing."""
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
    """The sentences of an SGML test set."""
    with archives.error_context(member.origin):
        text = archives.read(member).decode("utf-8-sig")
    found = _SEGMENT.findall(text)
    if not found:
        raise DataError(f'{member.origin} has no lines like <seg id="1">text</seg>')
    yield from (html.unescape(sentence).encode() for sentence in found)
