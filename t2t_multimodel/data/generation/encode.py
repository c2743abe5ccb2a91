"""Encodes a problem's raw examples as serialised records; a fault in an example is a DataError that names the example."""

from __future__ import annotations

import dataclasses
import itertools
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from t2t_multimodel.data.generation import cleaning, shuffle
from t2t_multimodel.data.generation.text_counts import TextCounter
from t2t_multimodel.data.generation.text_encoder import PackedText
from t2t_multimodel.data.normalization import is_normalized, normalize, normalize_spaces
from t2t_multimodel.data.readers.pictures.read import stored_picture
from t2t_multimodel.data.readers.sound.decode import decode_audio
from t2t_multimodel.data.records import serialise_examples
from t2t_multimodel.data.tf_example import packed_length
from t2t_multimodel.data.trees import treebank_spelling
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.features import Audio, Feature, Image, Label, Text, is_tree
from t2t_multimodel.problem import Example, Problem
from t2t_multimodel.registry import unknown
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.files import composed

_CHUNK_EXAMPLES, _CHUNK_BYTES = 2048, 4 << 20
_REPEATED = "{} ({}): --clean=duplicates would leave out what weights above 1 repeat; leave out one of the two"
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


@dataclasses.dataclass(frozen=True)
class EncodingConfig:
    """The settings by which the raw examples of one split are encoded; picklable.

    Attributes:
        problem: a forward problem; its functions are not called.
        source: the name of the split in messages, for example "translate-train".
        vocabulary: the vocabulary's file.
        buckets: the number of buckets among which the records are partitioned; 1 keeps their order.
        rules: the rules of `cleaning.RULES` that apply.
        image_size: the largest shorter side of a stored image, in pixels; 0 stores images as they are.
        keyed_by_content: whether records with the same content have the same key; otherwise keys are random.
        evaluation: files with the fingerprints that the rule "overlap" looks for.
        run: identifies the run; a process that serves several runs reads the files above anew for each.
    """

    problem: Problem
    source: str
    vocabulary: Path
    buckets: int = 1
    rules: frozenset[str] = frozenset()
    image_size: int = 0
    keyed_by_content: bool = False
    evaluation: tuple[Path, ...] = ()
    run: str = ""


class Chunk(NamedTuple):
    """Consecutive raw examples; the first one has the number `first` in its split."""

    encoding: EncodingConfig
    first: int
    examples: list[Example]

    @property
    def name(self) -> str:
        """Returns a name that no other chunk of the same records has."""
        return f"{self.encoding.source}-{self.first:012d}"


class EncodedChunk(NamedTuple):
    """The records and the counts that result from a chunk.

    Attributes:
        consumed: the number of examples in the chunk.
        blocks: the records by bucket.
        errors: the messages of damaged examples.
        left_out: the number of examples that each rule left out.
        changed: the number of examples whose input or target was changed, by the kind of change, for example "resampled".
        classes: the number of examples per class of the targets, by the class's index as text.
        text: the counts of `text_counts.COUNTS` for each side that is text, for example "inputs.words".
    """

    consumed: int
    blocks: dict[int, bytes]
    errors: list[str]
    left_out: dict[str, int]
    changed: dict[str, int]
    classes: dict[str, int]
    text: dict[str, int]


class Checked(NamedTuple):
    """An example as a record holds it, but with text that is not yet encoded.

    Attributes:
        changes: the changes made to it, for example "resampled".
    """

    inputs: Any
    targets: Any
    references: Sequence[str] = ()
    changes: tuple[str, ...] = ()


def chunks(encoding: EncodingConfig, examples: Iterable[Example], first: int = 0) -> Iterator[Chunk]:
    """Yields the examples from number `first` on, in chunks of bounded size."""
    # Workers may not be able to import the functions of a user's own module.
    problem = dataclasses.replace(encoding.problem, generate=_nothing, check=_no_check, find_classes=None, find_words=None)
    encoding = dataclasses.replace(encoding, problem=problem)
    chunk: list[Example] = []
    size = 0
    for example in itertools.islice(examples, first, None):
        if "error" in example:
            example = {"error": str(example["error"])}
        chunk.append(example)
        for value in example.values():
            size += len(value) if isinstance(value, (bytes, str)) else 0
        if len(chunk) == _CHUNK_EXAMPLES or size >= _CHUNK_BYTES:
            yield Chunk(encoding, first, chunk)
            first += len(chunk)
            chunk, size = [], 0
    if chunk:
        yield Chunk(encoding, first, chunk)


def encode_chunk(chunk: Chunk) -> EncodedChunk:
    """Checks, encodes and partitions the examples of a chunk; every process returns the same."""
    encoding, problem = chunk.encoding, chunk.encoding.problem
    left_out: Counter[str] = Counter()
    errors: list[str] = []
    kept: list[int] = []
    checked: list[tuple[Any, Any, Sequence[str], Sequence[str]]] = []
    all_text = isinstance(problem.inputs, Text) and isinstance(problem.targets, Text)
    for place, example in enumerate(chunk.examples):
        if "left_out" in example:
            left_out[example["left_out"]] += 1
            continue
        if "duplicates" in encoding.rules and example.get("repeated"):
            errors.append(_REPEATED.format(encoding.source, example.get("origin", "")))
            continue
        if encoding.rules and (rule := cleaning.broken_rule(problem, example, encoding.rules)):
            left_out[rule] += 1
            continue
        try:
            if all_text and _is_plain_pair(example):
                checked.append((example["inputs"], example["targets"], (), ()))
            else:
                name = f"{encoding.source}, example {chunk.first + place}"
                checked.append(check_example(problem, example, name, encoding.image_size))
            kept.append(place)
        except DataError as error:
            errors.append(_CONTROL.sub(lambda found: repr(found.group())[1:-1], str(error)))
    columns = [list(column) for column in zip(*checked, strict=True)] or [[], [], [], []]
    if all_text and is_tree(problem.targets):
        columns[0] = [treebank_spelling(text) for text in columns[0]]
    inputs, targets = _encoded(encoding, problem.inputs, columns[0]), _encoded(encoding, problem.targets, columns[1])
    wanted = list(range(len(kept)))
    if encoding.rules:
        prints = [_fingerprint(chunk.examples[place]) if encoding.evaluation else 0 for place in kept]
        wanted = _unbroken(encoding, inputs, targets, prints, left_out)
    records = serialise_examples(problem, *([column[i] for i in wanted] for column in (inputs, targets, columns[2])))
    keys = _keys(chunk)[[kept[i] for i in wanted]]
    changed = Counter(change for i in wanted for change in columns[3][i])
    blocks = shuffle.partition(keys, records, encoding.buckets)
    text = _text_counts(encoding, columns, (inputs, targets), wanted)
    classes = Counter(str(targets[i]) for i in wanted) if isinstance(problem.targets, Label) else {}
    return EncodedChunk(len(chunk.examples), blocks, errors, dict(left_out), dict(changed), dict(classes), text)


def _text_counts(
    encoding: EncodingConfig, columns: Sequence[Sequence[Any]], encoded: Sequence[Sequence[Any]], wanted: Sequence[int]
) -> dict[str, int]:
    _, counter = _text_tools(encoding.vocabulary, encoding.run)
    found: dict[str, int] = {}
    for side, raw, packed in zip(("inputs", "targets"), columns, encoded, strict=False):
        feature = getattr(encoding.problem, side)
        if isinstance(feature, Text):
            counts = counter.count(feature, [raw[i] for i in wanted], [packed[i] for i in wanted])
            found |= {f"{side}.{name}": count for name, count in counts.items()}
    return found


def _keys(chunk: Chunk) -> np.ndarray:
    if chunk.encoding.keyed_by_content:
        return np.fromiter(map(_fingerprint, chunk.examples), np.uint64, len(chunk.examples))
    return shuffle.random_keys([zlib.crc32(chunk.encoding.source.encode()), chunk.first], len(chunk.examples))


def _fingerprint(example: Example) -> int:
    return cleaning.fingerprint(example.get("inputs"), example.get("targets"))


def _unbroken(
    encoding: EncodingConfig, inputs: Sequence[Any], targets: Sequence[Any], prints: Sequence[int], left_out: Counter[str]
) -> list[int]:
    """Returns the numbers of the examples that break no rule about tokens or about overlap with dev and test.

    Counts the others.
    """
    problem = encoding.problem
    sides = {"inputs": (problem.inputs, inputs), "targets": (problem.targets, targets)}
    texts = {key: values for key, (feature, values) in sides.items() if isinstance(feature, Text)}
    evaluation = _evaluation(encoding.evaluation, encoding.run)
    wanted = []
    for i, fingerprint in enumerate(prints):
        tokens = {key: packed_length(values[i]) for key, values in texts.items()}
        rule = cleaning.broken_token_rule(problem, tokens, encoding.rules) or ("overlap" if fingerprint in evaluation else "")
        if rule:
            left_out[rule] += 1
        else:
            wanted.append(i)
    return wanted


@lru_cache(maxsize=1)
def _evaluation(paths: tuple[Path, ...], run: str) -> frozenset[int]:
    return frozenset(key for path in paths for key in np.fromfile(path, np.uint64).tolist())


@lru_cache(maxsize=1)
def _text_tools(vocabulary: Path, run: str) -> tuple[PackedText, TextCounter]:
    loaded = Vocabulary.load(vocabulary)
    return PackedText(loaded), TextCounter(loaded)


def _nothing(split: str, tmp_dir: Path) -> Iterable[Example]:
    return ()


def _no_check(tmp_dir: Path) -> None:
    pass


def check_example(problem: Problem, example: Example, name: str, image_size: int = 0) -> Checked:
    """Returns the example as a record holds it, but with text that is not yet encoded.

    Args:
        name: the beginning of error messages.
        image_size: an image whose shorter side has more pixels is scaled down to this size; 0 scales nothing.

    Raises:
        DataError: the problem's generator, or the check of a feature, found the example damaged.
    """
    if "error" in example:
        raise DataError(f"{name}: {example['error']}")
    if "origin" in example:
        name = f"{name} ({example['origin']})"
    missing = [key for key in ("inputs", "targets") if key not in example]
    if missing:
        raise DataError(f"{name} has no {' and no '.join(missing)}, only {', '.join(example) or 'nothing'}")
    inputs, changes = _check(problem.inputs, example["inputs"], f"{name}, inputs", image_size)
    targets, _ = _check(problem.targets, example["targets"], f"{name}, targets", image_size)
    written = problem.targets.normalization if isinstance(problem.targets, Text) else "none"
    references = [check_text(text, f"{name}, references", written) for text in example.get("references", ())]
    return Checked(inputs, targets, references, (*example.get("changes", ()), *changes))


def check_text(text: Any, name: str, normalization: str = "none") -> str:
    """Returns `text`, normalized.

    Raises:
        DataError: `text` is empty, is not a str, or holds control characters other than tabs.
    """
    if not isinstance(text, str):
        raise DataError(f"{name}: a text must be a str, got {type(text).__name__}")
    if _is_plain(text):
        return text
    if not normalize_spaces(text):
        raise DataError(f"{name}: the text is empty")
    control = _CONTROL.search(text)
    if control:
        raise DataError(f"{name}: the text holds the control character {control.group()!r}: is this a line of text?")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{name}: the text is not valid Unicode: {error.reason}") from None
    return normalize(text, normalization)


def _is_plain(text: str) -> bool:
    """Returns whether a text can be used unchanged and unchecked, as most texts can."""
    return text != "" and is_normalized(text)


def _is_plain_pair(example: Example) -> bool:
    """Returns whether an example has only two texts, both plain.

    Most examples pass here, in little more than half of the time of `check_example`.
    """
    inputs, targets = example.get("inputs"), example.get("targets")
    if type(inputs) is not str or type(targets) is not str or len(example) != 2 + ("origin" in example):
        return False
    if not inputs or not targets or inputs[-1] == " " or targets[0] == " ":
        return False
    return is_normalized(f"{inputs}.{targets}")  # One call for both: no mark composes with a full stop.


def label_index(feature: Label, value: Any, name: str) -> int:
    """Returns the index of a class by its name, or by a name that looks the same.

    Raises:
        DataError: there is no such class; the message names the most similar classes.
    """
    if value in feature.classes:
        return feature.classes.index(value)
    same = [i for i, known in enumerate(feature.classes) if composed(known) == composed(str(value))]
    if not same:
        raise DataError(f"{name}: {unknown('class', str(value), list(feature.classes))[:300]}")
    return same[0]


def _check(feature: Feature, value: Any, name: str, image_size: int) -> tuple[Any, tuple[str, ...]]:
    """Returns the value as a record holds it, and the changes made to it."""
    if isinstance(feature, Text):
        return check_text(value, name, feature.normalization), ()
    if isinstance(feature, Label):
        return label_index(feature, value, name), ()
    if not isinstance(value, bytes):
        raise DataError(f"{name}: {feature.kind} must be the bytes of a file, got {type(value).__name__}")
    if isinstance(feature, Audio):
        sound = decode_audio(value, feature.sample_rate, name)
        return sound.samples.astype("<i2", copy=False).tobytes(), sound.changes
    assert isinstance(feature, Image)
    picture = stored_picture(value, name, image_size)
    return picture.content, picture.changes


def _encoded(encoding: EncodingConfig, feature: Feature, values: list[Any]) -> Sequence[Any]:
    return _text_tools(encoding.vocabulary, encoding.run)[0].encode(feature, values) if isinstance(feature, Text) else values
