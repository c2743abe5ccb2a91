"""The output of `mm-datagen --inspect`: statistics of records and decoded examples, in the terminal and as an HTML page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from t2t_multimodel.data.inspection import Inspected, Measured, Record, inspect
from t2t_multimodel.data.readers.pictures.read import stored_picture
from t2t_multimodel.data.vocabulary import FILE_NAME, Vocabulary
from t2t_multimodel.decoding.dev_examples import wav_file
from t2t_multimodel.decoding.predictor import bracketed
from t2t_multimodel.features import Audio, Feature, Image, Label, Text, is_tree
from t2t_multimodel.reports.page import Block, Card, Cards, Fold, Heading, Paragraph, Picture, Table, to_html, to_text
from t2t_multimodel.reports.pictures import enlarged, spectrogram
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.files import write_atomically

PAGE = "inspect.html"
HEADER = ("problem", "split", "examples", "read", "side", "sizes", "median", "together", "tokens/word", "byte tokens")
_BARS, _NO_BAR = "▁▂▃▄▅▆▇█", "·"
_BINS = 12
_SIDE, _MOST_SECONDS = 160, 20
_CLASS_HEADER, _SHOWN_CLASSES = ("class", "examples"), 10
_NAMED_CLASSES, _PRINTED_EXAMPLES, _PRINTED_CHARACTERS = 6, 3, 100
_UNITS = {Text: "tokens", Image: "pixels", Audio: "s"}
EXPLAINED = (
    "Sizes are tokens of texts, pixels of a picture's shorter side, seconds of sound; the last bar holds all that is larger than "
    "99 of 100 examples. Byte tokens are the share of tokens that are unknown, or single bytes of what the vocabulary has no "
    "piece of."
)


def show(data_dir: Path, names: Sequence[str], report: Callable[[str], None], remarks: str = "") -> None:
    """Reports the statistics and some examples of the records `names`, then writes `inspect.html` into `data_dir`.

    Args:
        names: the names of the problems' records.
        report: takes the text for the terminal.
        remarks: lines for the terminal, between the table and the examples.

    Raises:
        DataError: records are missing or damaged, or the page could not be written.
    """
    vocabulary = Vocabulary.load(data_dir / FILE_NAME)
    found = list(inspect(data_dir, names))
    blocks: list[Block] = [Paragraph(EXPLAINED), _statistics(found)]
    for one in found:
        blocks += [Heading(f"{one.name}, {one.split}"), *_class_blocks(one), _examples(one, vocabulary)]
    lines = [to_text(_statistics(found)), *map(_class_line, found)]
    lines += [remarks, *(line for one in found for line in _example_lines(one, vocabulary))]
    report("\n".join(filter(None, lines)))
    try:
        write_atomically(data_dir / PAGE, to_html(f"Records of {data_dir.name}", blocks).encode())
    except OSError as error:
        raise DataError(f"the page {data_dir / PAGE} could not be written: {error.strerror}; the tables are complete") from None
    report(f"pictures, sound and more examples: {data_dir / PAGE}")


def histogram(sizes: np.ndarray) -> str:
    """Returns a line with the smallest size, twelve bars over ranges of equal width, and the largest size.

    The last bar counts all sizes above the 99th percentile too.
    """
    low, high = sizes.min(), np.quantile(sizes, 0.99)
    if low == high:
        return _number(low) if low == sizes.max() else f"{_number(low)} {_BARS[-1]} {_number(sizes.max())}"
    counts, _ = np.histogram(np.minimum(sizes, high), bins=_BINS, range=(low, high))
    heights = np.ceil(counts / counts.max() * len(_BARS)).astype(int)
    return f"{_number(low)} {''.join(_BARS[height - 1] if height else _NO_BAR for height in heights)} {_number(sizes.max())}"


def _statistics(found: Sequence[Inspected]) -> Table:
    return Table(HEADER, [_row(one, key, side) for one in found for key, side in one.sides.items()])


def _row(one: Inspected, key: str, side: Measured) -> tuple[str, ...]:
    place = (one.name, one.split, f"{one.examples:,}", f"{one.read:,}", f"{key} ({_kind(side.feature)})")
    if isinstance(side.feature, Label):
        return (*place, f"{sum(map(bool, side.classes.values()))} of {len(side.classes)} classes", "", "", "", "")
    total, median = side.sizes.sum(), _number(float(np.median(side.sizes)))
    sizes = (f"{histogram(side.sizes)} {_UNITS[type(side.feature)]}", median)
    if isinstance(side.feature, Text):
        ratios = f"{total / max(side.words, 1):.2f}", f"{side.fallback / max(total, 1):.1%}"
        return (*place, *sizes, f"{total:,.0f} tokens", *ratios)
    return (*place, *sizes, f"{total / 60:,.1f} minutes" if isinstance(side.feature, Audio) else "", "", "")


def _kind(feature: Feature) -> str:
    return "tree" if is_tree(feature) else {"label": "class", "audio": "sound"}.get(feature.kind, feature.kind)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:.2f}"


def _sorted_classes(one: Inspected) -> list[tuple[str, int]]:
    """Returns the classes as they are shown, with their numbers of examples, the most frequent first."""
    targets = one.sides["targets"]
    ranked = sorted(targets.classes.items(), key=lambda item: (-item[1], item[0]))
    return [(targets.feature.shown(name) if isinstance(targets.feature, Label) else name, count) for name, count in ranked]


def _class_blocks(one: Inspected) -> list[Block]:
    """Returns a table of classes with their number of examples.

    If there are many classes, the table has the largest and the smallest; a second one that unfolds has all.
    """
    classes = [(name, f"{count:,}") for name, count in _sorted_classes(one)]
    if not classes:
        return []
    everything = Table(_CLASS_HEADER, classes, anybodys=True)
    if len(classes) <= 2 * _SHOWN_CLASSES:
        return [everything]
    between = ("...", f"{len(classes) - 2 * _SHOWN_CLASSES} more")
    ends = Table(_CLASS_HEADER, [*classes[:_SHOWN_CLASSES], between, *classes[-_SHOWN_CLASSES:]], anybodys=True)
    return [ends, Fold(f"all {len(classes):,} classes", [everything])]


def _class_line(one: Inspected) -> str:
    """Returns a line with the largest and the smallest classes; "" if targets are no classes."""
    classes = [f"{name} {count:,}" for name, count in _sorted_classes(one)]
    if len(classes) > 2 * _NAMED_CLASSES:
        classes[_NAMED_CLASSES:-_NAMED_CLASSES] = ["..."]
    return f"{one.name} {one.split}: {', '.join(classes)}" if classes else ""


def _example_lines(one: Inspected, vocabulary: Vocabulary) -> list[str]:
    lines = []
    for record in one.chosen[:_PRINTED_EXAMPLES]:
        sides = (
            text if len(text) <= _PRINTED_CHARACTERS else text[:_PRINTED_CHARACTERS] + "..."
            for text in _texts(one, record, vocabulary)
        )
        lines.append(f"{one.name} {one.split}: {' -> '.join(sides)}")
    return lines


def _texts(one: Inspected, record: Record, vocabulary: Vocabulary) -> tuple[str, str]:
    """Returns inputs and targets as text; a tree is written in brackets, with the words of the input."""
    inputs = _text(one.sides["inputs"].feature, record.inputs, vocabulary)
    targets = _text(one.sides["targets"].feature, record.targets, vocabulary)
    if is_tree(one.sides["targets"].feature):
        targets = bracketed(inputs.split(" "), targets)
    return inputs, targets


def _text(feature: Feature, value: object, vocabulary: Vocabulary) -> str:
    if isinstance(feature, Text):
        assert isinstance(value, list)
        return vocabulary.decode(value)
    if isinstance(feature, Label):
        assert isinstance(value, int)
        return feature.shown(feature.classes[value])
    assert isinstance(value, bytes)
    return f"({_kind(feature)}, {len(value):,} bytes)"


def _examples(one: Inspected, vocabulary: Vocabulary) -> Block:
    """Returns the chosen examples: cards of pictures and sounds, or a table of texts."""
    if isinstance(one.sides["inputs"].feature, (Image, Audio)):
        return Cards([_card(one, record, number, vocabulary) for number, record in enumerate(one.chosen)])
    return Table(("inputs", "targets"), [_texts(one, record, vocabulary) for record in one.chosen], anybodys=True)


def _card(one: Inspected, record: Record, number: int, vocabulary: Vocabulary) -> Card:
    feature, name = one.sides["inputs"].feature, f"{one.name}-{one.split}-{number}"
    lines = [("targets", _texts(one, record, vocabulary)[1])]
    lines += [("also right", text) for text in record.references[1:]]
    if isinstance(feature, Image):
        return Card((Picture(name, enlarged(stored_picture(record.inputs, name, _SIDE).content, _SIDE), name),), lines)
    assert isinstance(feature, Audio)
    samples = np.frombuffer(record.inputs, "<i2")
    beginning = samples[: _MOST_SECONDS * feature.sample_rate]
    if len(beginning) < len(samples):
        lines.append(("sound", f"the first {_MOST_SECONDS} of {len(samples) / feature.sample_rate:.0f} seconds"))
    picture = Picture(name, spectrogram(beginning, feature.sample_rate), name)
    return Card((picture,), lines, wav_file(beginning, feature.sample_rate), name=name)
