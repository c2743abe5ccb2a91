"""Reads existing records and describes them: statistics per split, and a few of its examples."""

from __future__ import annotations

import io
import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from t2t_multimodel.config import HParams
from t2t_multimodel.data import records
from t2t_multimodel.data.manifest import Manifest, features_of
from t2t_multimodel.data.vocabulary import FILE_NAME, Vocabulary
from t2t_multimodel.features import Audio, Feature, Image, Label, ProblemSpec, Text
from t2t_multimodel.utils.errors import DataError

# mm-datagen shuffles a train split as a whole, so its first records are a random sample.
MOST_READ = 20_000
EXAMPLES = 6
_SEED = 7


class Record(NamedTuple):
    """One example as its record holds it.

    Attributes:
        inputs, targets: token ids of a text, the bytes of an image file, PCM bytes of a sound, or the index of a class.
        references: further correct targets, as text; may be empty.
    """

    inputs: Any
    targets: Any
    references: list[str]


class Measured(NamedTuple):
    """The statistics of one side (inputs or targets) of a split.

    Attributes:
        feature: the feature of this side.
        sizes: one number per example: tokens of a text, pixels of a picture's shorter side, or seconds of a sound. Empty for
            classes.
        words: the number of words in all texts together; for trees, the number of symbols.
        fallback: the number of tokens that are unknown, or single bytes because the vocabulary has no piece for them.
        classes: the number of examples per class name, in the order of the classes.
    """

    feature: Feature
    sizes: np.ndarray
    words: int = 0
    fallback: int = 0
    classes: dict[str, int] = {}


class Inspected(NamedTuple):
    """The statistics of one split.

    Attributes:
        name: the records' name.
        split: "train", "dev" or "test".
        examples: the number of examples in the split.
        read: the number of examples that the statistics come from.
        sides: the statistics of "inputs" and "targets".
        chosen: a few examples to show.
    """

    name: str
    split: str
    examples: int
    read: int
    sides: dict[str, Measured]
    chosen: list[Record]


def recorded_names(data_dir: Path) -> list[str]:
    """Returns the names of all records in a data_dir."""
    manifests = {path.stem: path for path in sorted(data_dir.glob("*.json"))}
    return [name for name, path in manifests.items() if '"vocabulary_sha256"' in path.read_text(encoding="utf-8")]


def inspect(data_dir: Path, names: Sequence[str]) -> Iterator[Inspected]:
    """Yields the statistics of every split of the records `names`, each from its first `MOST_READ` records.

    Raises:
        DataError: the vocabulary or some records are missing, damaged, or made with different vocabularies.
    """
    vocabulary = Vocabulary.load(data_dir / FILE_NAME)
    for name in names:
        manifest = records.read_manifest(data_dir, name)
        if manifest["vocabulary_sha256"] != vocabulary.sha256:
            raise DataError(f"the records of {name} in {data_dir} were made with another vocabulary; run mm-datagen again")
        spec = _spec(name, manifest)
        for split, entry in manifest["splits"].items():
            yield _inspected(spec, split, entry["examples"], data_dir, vocabulary)


def left_out_lines_of(data_dir: Path, names: Sequence[str], hparams: HParams) -> list[str]:
    """Returns lines about what the limits of `hparams` leave out of the records `names`.

    Raises:
        DataError: there are no such records.
    """
    from t2t_multimodel.data.lengths import left_out, left_out_lines

    found = {}
    for name in names:
        manifest = records.read_manifest(data_dir, name)
        spec = _spec(name, manifest)
        splits = [split for split in ("train", "dev") if split in manifest["splits"]]
        found[name] = [left_out(data_dir, name, spec.inputs, spec.targets, hparams, split) for split in splits]
    return left_out_lines(found)


def _spec(name: str, manifest: Manifest) -> ProblemSpec:
    """Returns the problem's features as the records' manifest describes them."""
    return ProblemSpec.from_dict({"name": name, "target_space": "", "metrics": [], **features_of(manifest)})


def _inspected(spec: ProblemSpec, split: str, examples: int, data_dir: Path, vocabulary: Vocabulary) -> Inspected:
    read = min(examples, MOST_READ)
    wanted = set(random.Random(_SEED).sample(range(read), min(read, EXAMPLES)))
    chosen = []
    sides = {"inputs": _Measure(spec.inputs, vocabulary), "targets": _Measure(spec.targets, vocabulary)}
    for place, record in enumerate(_records(data_dir, spec, split, read)):
        sides["inputs"].add(record.inputs)
        sides["targets"].add(record.targets)
        if place in wanted:
            chosen.append(record)
    return Inspected(spec.name, split, examples, read, {key: side.measured() for key, side in sides.items()}, chosen)


def _records(data_dir: Path, spec: ProblemSpec, split: str, limit: int) -> Iterator[Record]:
    import tensorflow as tf

    paths = records.shard_paths(data_dir, spec.name, split)
    try:
        for serialised in itertools.islice(tf.data.TFRecordDataset(paths), limit):
            found = tf.train.Example.FromString(serialised.numpy()).features.feature
            references = [text.decode() for text in found["references"].bytes_list.value] if "references" in found else []
            yield Record(_raw(spec.inputs, found["inputs"]), _raw(spec.targets, found["targets"]), references)
    except tf.errors.DataLossError:
        raise records.damaged_records(data_dir, spec.name, split) from None


def _raw(feature: Feature, value: Any) -> Any:
    if isinstance(feature, Text):
        return list(value.int64_list.value)
    return value.int64_list.value[0] if isinstance(feature, Label) else value.bytes_list.value[0]


class _Measure:
    """Collects the statistics of `Measured`, value by value."""

    def __init__(self, feature: Feature, vocabulary: Vocabulary) -> None:
        self._feature = feature
        self._vocabulary = vocabulary
        self._sizes: list[float] = []
        self._words = self._fallback = 0
        self._classes: Counter[int] = Counter()

    def add(self, value: Any) -> None:
        if isinstance(self._feature, Label):
            self._classes[value] += 1
            return
        self._sizes.append(self._size(value))
        if isinstance(self._feature, Text):
            self._words += len(self._vocabulary.decode(value).split())
            self._fallback += sum(map(self._vocabulary.is_fallback, value))

    def measured(self) -> Measured:
        names = self._feature.classes if isinstance(self._feature, Label) else ()
        counts = {name: self._classes[i] for i, name in enumerate(names)}
        return Measured(self._feature, np.array(self._sizes), self._words, self._fallback, counts)

    def _size(self, value: Any) -> float:
        if isinstance(self._feature, Audio):
            return len(value) / 2 / self._feature.sample_rate
        if isinstance(self._feature, Image):
            from PIL import Image as Picture

            with Picture.open(io.BytesIO(value)) as picture:
                return min(picture.size)
        return len(value)
