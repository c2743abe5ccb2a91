"""The vocabulary of a data_dir, learned from a bounded sample of the text of all problems that are made together."""

from __future__ import annotations

import itertools
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from t2t_multimodel.data.normalization import normalize, normalize_spaces
from t2t_multimodel.data.vocabulary import FILE_NAME, Vocabulary, train_vocabulary
from t2t_multimodel.features import Label, Text
from t2t_multimodel.problem import Problem
from t2t_multimodel.utils.errors import DataError

Report = Callable[[str], None]

MAX_SYMBOLS = 512
_MAX_SAMPLED_TEXTS = 200_000
# Images and sound are expensive to come by, so fewer of the examples that have them are read for their text, and fewer still
# where other problems bring enough text.
_MAX_SCANNED_TEXT = 1_000_000
_MAX_SCANNED_MEDIA = 20_000
_MAX_SCANNED_MEDIA_BESIDE_TEXT = 2_000


def ensure_vocabulary(
    problems: list[Problem], data_dir: Path, tmp_dir: Path, size: int, report: Report, skip_damaged: bool = False
) -> Vocabulary:
    """The data_dir's vocabulary, made if there is none. Of two runs that make one at once, the first to end is kept.

    Args:
        problems: forward problems whose train splits are sampled.
        data_dir: an existing folder.
        tmp_dir: where the raw data lies.
        size: pieces of a new vocabulary.
        report: takes lines for the user.
        skip_damaged: whether to do without the text of a problem whose files cannot be read, and say so.

    Raises:
        DataError: raw data is missing or damaged, there is no text, or `size` is too small.
    """
    path = data_dir / FILE_NAME
    if not path.exists():
        texts, symbols = _sample(problems, tmp_dir, report, skip_damaged)
        own = data_dir / f".{FILE_NAME}.made-{os.getpid()}"
        try:
            train_vocabulary(texts, symbols, size, own)
            _publish_first(own, path)
        finally:
            own.unlink(missing_ok=True)
    vocabulary = Vocabulary.load(path)
    report(f"{FILE_NAME}: {vocabulary.size} pieces, {len(vocabulary.symbols)} of them tree symbols")
    return vocabulary


def _publish_first(own: Path, path: Path) -> None:
    try:
        os.link(own, path)
    except FileExistsError:
        pass
    except OSError:  # A file system without hard links.
        own.replace(path)


def _sample(problems: list[Problem], tmp_dir: Path, report: Report, skip_damaged: bool) -> tuple[list[str], list[str]]:
    """Texts to learn pieces from, and tree symbols by frequency, of the problems' train splits."""
    texts: list[str] = []
    symbols: Counter[str] = Counter()
    with_text = [problem for problem in problems if _text_features(problem)]
    media_limit = _MAX_SCANNED_MEDIA_BESIDE_TEXT if any(map(_is_text_alone, problems)) else _MAX_SCANNED_MEDIA
    for problem in with_text:
        report(f"{problem.name}: reading text for the vocabulary")
        limit = _MAX_SCANNED_TEXT if _is_text_alone(problem) else media_limit
        own_symbols: Counter[str] = Counter()
        try:
            texts += _reservoir(_texts(problem, tmp_dir, limit, own_symbols), random.Random(problem.name))
            symbols += own_symbols
        except DataError as error:
            if not skip_damaged:
                raise
            report(f"{problem.name}: the vocabulary is made without its text, because {error}")
    if not texts:
        report("no text among these problems: the vocabulary is made from class names; give it a data_dir of its own")
        texts = [name for problem in problems for name in _class_names(problem)]
    ordered = sorted(symbols, key=lambda symbol: (-symbols[symbol], symbol))
    return texts, ordered[:MAX_SYMBOLS]


def _text_features(problem: Problem) -> dict[str, Text]:
    features = {"inputs": problem.inputs, "targets": problem.targets}
    return {key: feature for key, feature in features.items() if isinstance(feature, Text)}


def _is_text_alone(problem: Problem) -> bool:
    return len(_text_features(problem)) == 2


def _texts(problem: Problem, tmp_dir: Path, limit: int, symbols: Counter[str]) -> Iterator[str]:
    """The plain texts of the first `limit` training examples; the tokens of their trees are added to `symbols`."""
    features = _text_features(problem)
    for example in itertools.islice(problem.generate("train", tmp_dir), limit):
        for key, feature in features.items():
            text = example.get(key)
            if not isinstance(text, str) or not normalize_spaces(text):
                continue
            text = normalize(text.encode(errors="replace").decode(), feature.normalization)
            if feature.format == "tree":
                symbols.update(text.split())
            else:
                yield text


def _reservoir(texts: Iterable[str], rng: random.Random) -> list[str]:
    """At most `_MAX_SAMPLED_TEXTS` of `texts`, each with the same probability."""
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
