"""Reads dev examples back from records, so that people can look at them and try them."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from t2t_multimodel.data.records import parse_example, shard_paths
from t2t_multimodel.data.vocabulary import FILE_NAME, Vocabulary
from t2t_multimodel.features import Audio, Feature, Image, Label, ProblemSpec
from t2t_multimodel.problem import Problem, problem_of

_SHUFFLED = 1024


class DevExample(NamedTuple):
    """An input as a user gives it, and its right output.

    Attributes:
        inputs: a text, or the bytes of a picture file or of a WAV file.
        suffix: the suffix of such a file's name; "" for a text.
        target: a text, the name of a class, or a linearised tree.
    """

    inputs: str | bytes
    suffix: str
    target: str


def dev_examples(spec: ProblemSpec, data_dir: Path) -> Iterator[DevExample]:
    """Yields the dev examples of a run's problem, shuffled, each time in the same order.

    Raises:
        DataError: there are no complete records of the problem in `data_dir`, or no vocabulary.
    """
    problem = dataclasses.replace(problem_of(spec), inputs=spec.inputs, targets=spec.targets)
    vocabulary = Vocabulary.load(data_dir / FILE_NAME)
    for inputs, targets in dev_records(problem, data_dir, shuffled=_SHUFFLED):
        example, suffix = _as_given(spec.inputs, inputs, vocabulary)
        yield DevExample(example, suffix, as_text(spec.targets, targets, vocabulary))


def dev_records(problem: Problem, data_dir: Path, shuffled: int = 0) -> Iterator[tuple[Any, Any]]:
    """Yields the inputs and the targets of a problem's dev records, in the problem's own direction.

    Args:
        problem: a forward or a reversed problem.
        data_dir: the records.
        shuffled: the number of records that are shuffled at a time; 0 keeps their order.

    Yields:
        A picture's file or PCM as bytes, int64 [L] for token ids, or an int64 for a class, for both sides.
    """
    import tensorflow as tf

    forward = problem.forward()
    dataset = tf.data.TFRecordDataset(shard_paths(data_dir, problem.records_name, "dev"))
    for record in dataset.shuffle(shuffled, seed=0) if shuffled else dataset:
        parsed = parse_example(record, forward.inputs, forward.targets)
        sides = (parsed["inputs"].numpy(), parsed["targets"].numpy())
        yield sides[::-1] if problem.reversed else sides


def as_text(feature: Feature, value: Any, vocabulary: Vocabulary) -> str:
    """Returns a class's name for its index, or the text of token ids."""
    return feature.classes[int(value)] if isinstance(feature, Label) else vocabulary.decode(value.tolist())


def wav_file(samples: np.ndarray, rate: int) -> bytes:
    """Returns int16 [samples] as a WAV file."""
    import soundfile

    with io.BytesIO() as file:
        soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
        return file.getvalue()


def _as_given(feature: Feature, value: Any, vocabulary: Vocabulary) -> tuple[str | bytes, str]:
    if isinstance(feature, Image):
        return value, ".png" if value.startswith(b"\x89PNG") else ".jpg"
    if isinstance(feature, Audio):
        return wav_file(np.frombuffer(value, "<i2"), feature.sample_rate), ".wav"
    return as_text(feature, value, vocabulary), ""
