"""Multi30k, English-German and English-French in both directions.

The folder `--tmp_dir`, or multi30k/ in it, holds `{train,val,test_2016_flickr}.{en,de,fr}.gz`, or these files unzipped, as in the
set's data/task1/raw.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from t2t_multimodel.data.readers import corpora
from t2t_multimodel.data.readers.bitext import Bitext, missing, pairs
from t2t_multimodel.features import Text
from t2t_multimodel.problem import Example, Problem, problems

_STEMS = {"train": "train", "dev": "val", "test": "test_2016_flickr"}
_ORIGIN = "https://github.com/multi30k/dataset, data/task1/raw"


def generate(language: str, split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields English sentences and their translations into `language`, "de" or "fr".

    Raises:
        DataError: a file is missing or damaged.
    """
    check(language, tmp_dir)
    yield from pairs(corpora.folder_of("multi30k", tmp_dir), _bitext(language, split))


def check(language: str, tmp_dir: Path) -> None:
    """Raises a DataError that lists the missing files."""
    folder = corpora.folder_of("multi30k", tmp_dir)
    corpora.require("Multi30k", folder, missing(folder, (_bitext(language, split) for split in _STEMS)))


def _bitext(language: str, split: str) -> Bitext:
    stem = _STEMS[split]
    return Bitext(f"{stem}.en.gz", f"{stem}.{language}.gz", (".",), (), _ORIGIN)


def _problem(name: str, language: str, space: str) -> Problem:
    source = "Multi30k, github.com/multi30k/dataset; for research and education, non-commercial"
    generated, checked = functools.partial(generate, language), functools.partial(check, language)
    return Problem(name, Text(), Text(), space, generated, metrics=("bleu",), splits=tuple(_STEMS), source=source, check=checked)


M30K_ENDE = _problem("m30k_ende", "de", "to_german")
M30K_ENFR = _problem("m30k_enfr", "fr", "to_french")
M30K = (M30K_ENDE, M30K_ENDE.reverse("to_english"), M30K_ENFR, M30K_ENFR.reverse("to_english"))
for _one in M30K:
    problems.register(_one.name, _one)
