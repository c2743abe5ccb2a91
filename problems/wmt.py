"""WMT 2014, English-German and English-French in both directions; dev is newstest2013, test newstest2014.

The folder `--tmp_dir`, or wmt14/ in it, holds the archives that are named in this module, or the folders that unpacking them
makes. Archives are read in place, line by line. Pairs with an empty side are left out; the official files have thousands of them.

If `--tmp_dir` has tensorflow_datasets/wmt14_translate/de-en/ (fr-en/) as tensorflow-datasets prepares it, that is read instead.
"""

from __future__ import annotations

import functools
import html
import itertools
from collections.abc import Iterator
from pathlib import Path

from t2t_multimodel.data.normalization import normalize_spaces
from t2t_multimodel.data.readers import corpora, tfds
from t2t_multimodel.data.readers.bitext import Bitext, missing, pairs
from t2t_multimodel.features import Text
from t2t_multimodel.problem import Example, Problem, problems

_SITE = "https://www.statmt.org/"
_SPLITS = ("train", "dev", "test")
_PREPARED = "wmt14_translate/{}-en"


def generate(language: str, split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields English sentences and their translations into `language`, "de" or "fr".

    The corpora of "train" take turns, line by line, so that a vocabulary's sample and each part of the records have all of them.

    Raises:
        DataError: a file is missing or damaged.
    """
    check(language, tmp_dir)
    ready = tfds.find(_PREPARED.format(language), tmp_dir)
    if ready:
        yield from _prepared(ready, language, split)
        return
    folder = corpora.folder_of("wmt14", tmp_dir)
    yield from corpora.round_robin(pairs(folder, bitext) for bitext in _bitexts(language, split))


def check(language: str, tmp_dir: Path) -> None:
    """Raises a DataError that lists the missing files."""
    if tfds.find(_PREPARED.format(language), tmp_dir):
        return
    folder = corpora.folder_of("wmt14", tmp_dir)
    needed = itertools.chain.from_iterable(_bitexts(language, split) for split in _SPLITS)
    corpora.require(f"WMT14 English-{language.upper()}", folder, missing(folder, needed))


def _prepared(folder: Path, language: str, split: str) -> Iterator[Example]:
    name = {"dev": "validation"}.get(split, split)
    for number, row in enumerate(tfds.read(folder, [name])):
        # The test set's source is SGML, and tensorflow-datasets leaves its entities unresolved.
        sides = (html.unescape(row[side]) if split == "test" else row[side] for side in ("en", language))
        english, foreign = map(normalize_spaces, sides)
        if english and foreign:
            yield {"inputs": english, "targets": foreign, "origin": f"{name}, example {number} in {folder}"}


def _bitexts(language: str, split: str) -> list[Bitext]:
    pair = f"{language}-en"
    if split == "dev":
        url = "https://data.statmt.org/wmt17/translation-task/dev.tgz"
        return [_bitext(url, "dev", f"newstest2013.en newstest2013.{language}")]
    if split == "test":
        stem = f"newstest2014-{language}en"
        found = _bitext(f"{_SITE}wmt14/test-full.tgz", "test-full", f"{stem}-src.en.sgm {stem}-ref.{language}.sgm")
        return [found._replace(folders=("test-full", "test"), archives=("test-full.tgz", "test-filtered.tgz"))]
    trained_on = [
        ("wmt13/training-parallel-europarl-v7.tgz", "training", f"europarl-v7.{pair}.en europarl-v7.{pair}.{language}"),
        ("wmt13/training-parallel-commoncrawl.tgz", ".", f"commoncrawl.{pair}.en commoncrawl.{pair}.{language}"),
        ("wmt14/training-parallel-nc-v9.tgz", "training", f"news-commentary-v9.{pair}.en news-commentary-v9.{pair}.{language}"),
    ]
    if language == "fr":
        trained_on += [
            ("wmt13/training-parallel-un.tgz", "un", "undoc.2000.fr-en.en undoc.2000.fr-en.fr"),
            ("wmt10/training-giga-fren.tar", ".", "giga-fren.release2.fixed.en.gz giga-fren.release2.fixed.fr.gz"),
        ]
    return [_bitext(_SITE + path, folder, names) for path, folder, names in trained_on]


def _bitext(url: str, folder: str, names: str) -> Bitext:
    english, foreign = names.split()
    return Bitext(english, foreign, (folder,), (url.rpartition("/")[2],), url, with_gaps=True)


def _problem(name: str, language: str, space: str) -> Problem:
    source = "WMT 2014, www.statmt.org/wmt14; for research, each corpus has terms of its own"
    generated, checked = functools.partial(generate, language), functools.partial(check, language)
    return Problem(name, Text(), Text(), space, generated, metrics=("bleu",), splits=_SPLITS, source=source, check=checked)


WMT_ENDE = _problem("wmt_ende_tokens_8k", "de", "to_german")
WMT_ENFR = _problem("wmt_enfr_tokens_8k", "fr", "to_french")
WMT = (WMT_ENDE, WMT_ENDE.reverse("to_english"), WMT_ENFR, WMT_ENFR.reverse("to_english"))
for _one in WMT:
    problems.register(_one.name, _one)
