"""WMT 2014, English-German and English-French in both directions; dev is newstest2013, test newstest2014.

In `--tmp_dir`, or its folder wmt14/, the archives that `_TRAIN`, `_DEV` and `_TEST` name, or what they hold, in the folders they
make. They are read where they are, line by line.
"""

from __future__ import annotations

import functools
import html
import itertools
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from t2t_multimodel.data import archives, corpora
from t2t_multimodel.data.problem import DataError, Example, Problem, problems
from t2t_multimodel.features import Text


class Bitext(NamedTuple):
    """Two files of lines that belong together.

    Attributes:
        archives: what they are distributed in; any of them will do.
        origin: the URL of the first.
        folders: where they lie when unpacked; any of them.
        english, foreign: names of the files.
    """

    archives: tuple[str, ...]
    origin: str
    folders: tuple[str, ...]
    english: str
    foreign: str


_SITE = "https://www.statmt.org/"


def _bitext(url: str, folder: str, stem: str, language: str, end: str = "") -> Bitext:
    return Bitext((url.rpartition("/")[2],), url, (folder,), f"{stem}.en{end}", f"{stem}.{language}{end}")


def _news_test(language: str) -> Bitext:
    stem = f"newstest2014-{language}en"
    names = ("test-full.tgz", "test-filtered.tgz")
    return Bitext(names, f"{_SITE}wmt14/test-full.tgz", ("test-full", "test"), f"{stem}-src.en.sgm", f"{stem}-ref.{language}.sgm")


def _training(language: str) -> tuple[Bitext, ...]:
    pair = f"{language}-en"
    bitexts = (
        _bitext(f"{_SITE}wmt13/training-parallel-europarl-v7.tgz", "training", f"europarl-v7.{pair}", language),
        _bitext(f"{_SITE}wmt13/training-parallel-commoncrawl.tgz", ".", f"commoncrawl.{pair}", language),
        _bitext(f"{_SITE}wmt14/training-parallel-nc-v9.tgz", "training", f"news-commentary-v9.{pair}", language),
    )
    if language != "fr":
        return bitexts
    return (
        *bitexts,
        _bitext(f"{_SITE}wmt13/training-parallel-un.tgz", "un", f"undoc.2000.{pair}", language),
        _bitext(f"{_SITE}wmt10/training-giga-fren.tar", ".", "giga-fren.release2.fixed", language, ".gz"),
    )


_DEV_URL = "https://data.statmt.org/wmt17/translation-task/dev.tgz"
_BITEXTS = {
    language: {
        "train": _training(language),
        "dev": (_bitext(_DEV_URL, "dev", "newstest2013", language),),
        "test": (_news_test(language),),
    }
    for language in ("de", "fr")
}
_SEGMENT = re.compile(r'<seg id="\d+">(.*?)</seg>', re.DOTALL)
_CONTROL = dict.fromkeys((*range(32), 127), " ")


def generate(language: str, split: str, tmp_dir: Path) -> Iterator[Example]:
    """English sentences and their translations into `language`, "de" or "fr".

    In training a line of each corpus in turn, so that a vocabulary's sample, and each part of the records, has all of them.
    Control characters become spaces. A pair with an empty side, which the official files have thousands of, is left out; a line
    that is no UTF-8 is an error example.

    Raises:
        DataError: a file is missing or damaged, or two that belong together differ in their number of lines.
    """
    check(language, tmp_dir)
    folder = corpora.folder_of("wmt14", tmp_dir)
    yield from corpora.in_turn(_pairs(folder, bitext) for bitext in _BITEXTS[language][split])


def check(language: str, tmp_dir: Path) -> None:
    """Raises a DataError that lists what is missing."""
    folder = corpora.folder_of("wmt14", tmp_dir)
    missing = [
        corpora.Missing(bitext.archives[0], bitext.origin)
        for bitext in itertools.chain.from_iterable(_BITEXTS[language].values())
        if not all(_place(folder, bitext, name) for name in (bitext.english, bitext.foreign))
    ]
    corpora.require(f"WMT14 English-{language.upper()}", folder, missing)


def _place(folder: Path, bitext: Bitext, name: str) -> tuple[Path, str] | None:
    """The folder or archive that has a file, and the file's name in it; None if it is missing."""
    for unpacked in (name, name.removesuffix(".gz")):
        for part in bitext.folders:
            if (folder / part / unpacked).is_file():
                return folder / part, unpacked
    return next(((folder / archive, name) for archive in bitext.archives if (folder / archive).is_file()), None)


def _pairs(folder: Path, bitext: Bitext) -> Iterator[Example]:
    with ExitStack() as stack:
        members = []
        for name in (bitext.english, bitext.foreign):
            place = _place(folder, bitext, name)
            assert place is not None  # `check` has found it
            # An archive for each side: in a compressed one, two members cannot be read at once.
            members.append(stack.enter_context(archives.opened(place[0])).open(place[1]))
        read = _segments if bitext.english.endswith(".sgm") else archives.lines
        for number, sides in enumerate(itertools.zip_longest(*map(read, members)), 1):
            if None in sides:
                shorter, longer = sorted(members, key=lambda member: sides[members.index(member)] is not None)
                raise DataError(f"{shorter.origin} ends after {number - 1} lines, {longer.origin} goes on; they should match")
            yield from _example(sides, members, number)


def _example(sides: tuple[bytes, ...], members: list[archives.Member], number: int) -> Iterator[Example]:
    texts = []
    for side, member in zip(sides, members, strict=True):
        try:
            texts.append(" ".join(side.decode("utf-8").translate(_CONTROL).split()))
        except UnicodeDecodeError as error:
            yield {"error": DataError(f"line {number} of {member.origin} is not UTF-8: {error.reason}")}
            return
    if all(texts):
        yield {"inputs": texts[0], "targets": texts[1]}


def _segments(member: archives.Member) -> Iterator[bytes]:
    """The sentences of an SGML test set."""
    with archives.blaming(member.origin):
        text = archives.read(member).decode("utf-8")
    found = _SEGMENT.findall(text)
    if not found:
        raise DataError(f'{member.origin} has no lines like <seg id="1">text</seg>')
    yield from (html.unescape(sentence).encode() for sentence in found)


def _problem(name: str, language: str, space: str) -> Problem:
    source = "WMT 2014, www.statmt.org/wmt14; for research, each corpus has terms of its own"
    generated, checked = functools.partial(generate, language), functools.partial(check, language)
    splits = ("train", "dev", "test")
    return Problem(name, Text(), Text(), space, generated, metrics=("bleu",), splits=splits, source=source, check=checked)


WMT_ENDE = _problem("wmt_ende_tokens_8k", "de", "to_german")
WMT_ENFR = _problem("wmt_enfr_tokens_8k", "fr", "to_french")
ALL = (WMT_ENDE, WMT_ENDE.reverse("to_english"), WMT_ENFR, WMT_ENFR.reverse("to_english"))
for _one in ALL:
    problems.register(_one.name, _one)
