"""Learns the vocabulary of a data_dir from a bounded sample of the text of all problems that are made together."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from t2t_multimodel.data.generation.text_counts import TextCounter, rates
from t2t_multimodel.data.normalization import normalize, normalize_spaces
from t2t_multimodel.data.tf_example import pack
from t2t_multimodel.data.trees import treebank_spelling
from t2t_multimodel.data.vocabulary import Vocabulary, train_vocabulary
from t2t_multimodel.features import Label, Text, is_tree
from t2t_multimodel.problem import Example, Problem
from t2t_multimodel.utils.errors import DataError

Report = Callable[[str], None]

MAX_SYMBOLS = 512
_MAX_SAMPLED_TEXTS = 200_000
_MEASURED_TEXTS = 2_000
# Reading images and sound takes long, so fewer examples with them are read for their text, and even fewer if other problems bring
# enough text.
_MAX_SCANNED_TEXT = 1_000_000
_MAX_SCANNED_MEDIA = 20_000
_MAX_SCANNED_MEDIA_BESIDE_TEXT = 2_000


def learn_vocabulary(
    problems: Sequence[Problem], tmp_dir: Path, size: int, path: Path, report: Report, skip_damaged: bool = False
) -> Learned:
    """Trains a vocabulary on the train splits of `problems`, writes it to `path`, and returns it with its statistics.

    Args:
        problems: forward problems.
        tmp_dir: the folder with the raw data.
        size: the number of pieces.
        path: the file to write.
        report: takes lines for the user.
        skip_damaged: whether to skip damaged examples, and the text of a problem whose files cannot be read.

    Raises:
        DataError: raw data is missing or damaged, there is no text, or `size` is too small.
    """
    texts, symbols, counts = sample(problems, tmp_dir, report, skip_damaged)
    vocabulary = train_vocabulary(texts, symbols, size, path)
    measured = texts[:: max(1, len(texts) // _MEASURED_TEXTS)]
    packed = [pack(ids) for ids in vocabulary.encode_batch(measured)]
    tokens_per_word, byte_rate = rates(TextCounter(vocabulary).count(Text(), measured, packed))
    return Learned(vocabulary, counts, tokens_per_word, byte_rate)


class Learned(NamedTuple):
    """A new vocabulary, the number of texts per problem that it was learned from, and the rates of these texts."""

    vocabulary: Vocabulary
    texts: dict[str, int]
    tokens_per_word: float
    byte_rate: float


class Sample(NamedTuple):
    """The training data of a vocabulary: texts, tree symbols by frequency, and the number of texts per problem."""

    texts: list[str]
    symbols: list[str]
    counts: dict[str, int]


def sample(problems: Sequence[Problem], tmp_dir: Path, report: Report, skip_damaged: bool) -> Sample:
    """Returns texts and tree symbols of the problems' train splits, or class names if no problem has text.

    Raises:
        DataError: raw data is missing or damaged.
    """
    texts: dict[str, list[str]] = {}
    symbols: Counter[str] = Counter()
    damaged = _Damaged(skip_damaged)
    with_text = [problem for problem in problems if _text_features(problem)]
    media_limit = _MAX_SCANNED_MEDIA_BESIDE_TEXT if any(map(_is_text_alone, problems)) else _MAX_SCANNED_MEDIA
    for problem in with_text:
        report(f"{problem.name}: reading text for the vocabulary")
        limit = _MAX_SCANNED_TEXT if _is_text_alone(problem) else media_limit
        own_symbols: Counter[str] = Counter()
        try:
            examples = damaged.left_out(problem.name, itertools.islice(problem.generate("train", tmp_dir), limit))
            texts[problem.name] = _reservoir(_texts(problem, examples, own_symbols), random.Random(problem.name))
            symbols += own_symbols
        except DataError as error:
            if not skip_damaged:
                raise
            report(f"{problem.name}: the vocabulary is made without its text, because {error}")
    if with_text and not any(texts.values()):
        names = ", ".join(problem.name for problem in with_text)
        raise DataError(f"there is no text to make a vocabulary from in {names}{damaged.reason}")
    if not with_text:
        report("no text among these problems: the vocabulary is made from class names; give it a data_dir of its own")
        texts = {problem.name: list(_class_names(problem)) for problem in problems}
    ordered = sorted(symbols, key=lambda symbol: (-symbols[symbol], symbol))
    counts = {name: len(found) for name, found in texts.items()}
    return Sample(list(itertools.chain.from_iterable(texts.values())), ordered[:MAX_SYMBOLS], counts)


class _Damaged:
    """Skips damaged examples, or stops at the first one as the making of records does; keeps the first message."""

    def __init__(self, skip: bool) -> None:
        self._skip = skip
        self._count = 0
        self._first = ""

    @property
    def reason(self) -> str:
        """Returns a possible reason for a lack of text."""
        return f": {self._count:,} damaged examples, the first of which is {self._first}" if self._count else ""

    def left_out(self, name: str, examples: Iterable[Example]) -> Iterator[Example]:
        for number, example in enumerate(examples):
            if "error" not in example:
                yield example
                continue
            message = f"{name}-train, example {number}: {example['error']}"
            if not self._skip:
                raise DataError(f"{message} (--on_error=skip goes on without it)")
            self._count += 1
            self._first = self._first or message


def _text_features(problem: Problem) -> dict[str, Text]:
    features = {"inputs": problem.inputs, "targets": problem.targets}
    return {key: feature for key, feature in features.items() if isinstance(feature, Text)}


def _is_text_alone(problem: Problem) -> bool:
    return len(_text_features(problem)) == 2


def _texts(problem: Problem, examples: Iterable[Example], symbols: Counter[str]) -> Iterator[str]:
    """Yields the plain texts of training examples, and adds the tokens of their trees to `symbols`."""
    features = _text_features(problem)
    for example in examples:
        for key, feature in features.items():
            text = example.get(key)
            if not isinstance(text, str) or not normalize_spaces(text):
                continue
            text = normalize(text.encode(errors="replace").decode(), feature.normalization)
            if feature.format == "tree":
                symbols.update(text.split())
            else:
                yield treebank_spelling(text) if is_tree(problem.targets) else text


def _reservoir(texts: Iterable[str], rng: random.Random) -> list[str]:
    """Returns at most `_MAX_SAMPLED_TEXTS` of `texts`, each with the same probability."""
    kept: list[str] = []
    for seen, text in enumerate(texts):
        if len(kept) < _MAX_SAMPLED_TEXTS:
            kept.append(text)
        elif (place := rng.randrange(seen + 1)) < _MAX_SAMPLED_TEXTS:
            kept[place] = text
    return kept


def _class_names(problem: Problem) -> Iterator[str]:
    for feature in (problem.inputs, problem.targets):
        if isinstance(feature, Label):
            yield from feature.classes
