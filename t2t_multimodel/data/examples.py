"""From a problem's raw examples to serialised records; what is wrong with an example is a DataError that names it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from t2t_multimodel.data import media
from t2t_multimodel.data.problem import DataError, Example, Problem
from t2t_multimodel.data.records import serialise_example
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.features import Audio, Feature, Image, Label, Text
from t2t_multimodel.registry import unknown

OnError = Callable[[DataError], None]

_CHUNK = 256
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


def serialised_records(
    problem: Problem, examples: Iterable[Example], vocabulary: Vocabulary, source: str, on_error: OnError
) -> Iterator[bytes]:
    """The record of each example, in order.

    Args:
        problem: a forward problem.
        examples: what its `generate` yields.
        vocabulary: of the data_dir.
        source: what the examples are part of, for messages: "translate-train".
        on_error: called with the DataError of an example that makes no record; to stop there, let it raise.
    """
    named = ((f"{source}, example {i}", example) for i, example in enumerate(examples))
    while chunk := list(itertools.islice(named, _CHUNK)):
        checked = []
        for name, example in chunk:
            try:
                checked.append(check_example(problem, example, name))
            except DataError as error:
                on_error(error)
        columns = [list(column) for column in zip(*checked, strict=True)] or [[], [], []]
        inputs = _encoded(problem.inputs, columns[0], vocabulary)
        targets = _encoded(problem.targets, columns[1], vocabulary)
        for example_inputs, example_targets, references in zip(inputs, targets, columns[2], strict=True):
            yield serialise_example(problem, example_inputs, example_targets, references)


def check_example(problem: Problem, example: Example, name: str) -> tuple[Any, Any, list[str]]:
    """Inputs, targets and references as a record holds them, except that text is not yet encoded.

    Raises:
        DataError: the problem's generator, or the check of a feature, found the example damaged; the message starts with `name`.
    """
    if "error" in example:
        raise DataError(f"{name}: {example['error']}")
    if "origin" in example:
        name = f"{name} ({example['origin']})"
    missing = [key for key in ("inputs", "targets") if key not in example]
    if missing:
        raise DataError(f"{name} has no {' and no '.join(missing)}, only {', '.join(example) or 'nothing'}")
    inputs = _check(problem.inputs, example["inputs"], f"{name}, inputs")
    targets = _check(problem.targets, example["targets"], f"{name}, targets")
    references = [check_text(text, f"{name}, references") for text in example.get("references", ())]
    return inputs, targets, references


def check_text(text: Any, name: str) -> str:
    """`text` itself; raises DataError if it is empty, no text, or holds control characters (a tab is allowed)."""
    if not isinstance(text, str):
        raise DataError(f"{name}: a text must be a str, got {type(text).__name__}")
    if not text.strip():
        raise DataError(f"{name}: the text is empty")
    control = _CONTROL.search(text)
    if control:
        raise DataError(f"{name}: the text holds the control character {control.group()!r}: is this a line of text?")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{name}: the text is not valid Unicode: {error.reason}") from None
    return text


def label_index(feature: Label, value: Any, name: str) -> int:
    """The index of a class's name; DataError names the nearest classes."""
    if value not in feature.classes:
        raise DataError(f"{name}: {unknown('class', str(value), list(feature.classes))[:300]}")
    return feature.classes.index(value)


def _check(feature: Feature, value: Any, name: str) -> Any:
    if isinstance(feature, Text):
        return check_text(value, name)
    if isinstance(feature, Label):
        return label_index(feature, value, name)
    if not isinstance(value, bytes):
        raise DataError(f"{name}: {feature.kind} must be the bytes of a file, got {type(value).__name__}")
    if isinstance(feature, Audio):
        return media.decode_audio(value, feature.sample_rate, name).astype("<i2").tobytes()
    assert isinstance(feature, Image)
    media.check_image(value, name)
    return value


def _encoded(feature: Feature, values: list[Any], vocabulary: Vocabulary) -> Sequence[Any]:
    if not isinstance(feature, Text):
        return values
    if feature.format == "tree":
        return [vocabulary.encode_tree(text) for text in values]
    return vocabulary.encode_batch(values)
