"""How long examples may be, how long those of records are, and what a set's limits leave out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data.records import damaged_records, parse_example, read_manifest, shard_paths
from t2t_multimodel.features import Audio, Feature, Text
from t2t_multimodel.problem import Problem

# An evaluation takes longer examples than training does, but not one that alone would fill the memory.
_EVALUATED = 4
_LEAST_TOKENS, _LEAST_SECONDS = 1024, 60.0
# Of a split, so that a large corpus does not have to be read before training: train splits are shuffled as a whole.
MOST_EXAMPLES, MOST_BYTES = 200_000, 1 << 30
_BLOCK = 256
_NO_SAMPLES = "without a sample"  # as a record of an earlier version may be
WARNED_SHARE = 0.05


def longest_text(hparams: HParams, training: bool) -> int:
    """Returns the tokens of the longest text, end of sequence included, that is trained on, or evaluated."""
    limit = hparams.data.max_length
    return limit if training else max(_EVALUATED * limit, _LEAST_TOKENS)


def longest_seconds(hparams: HParams, training: bool) -> float:
    """Returns the seconds of the longest sound that is trained on, or evaluated."""
    limit = hparams.data.max_seconds
    return limit if training else max(_EVALUATED * limit, _LEAST_SECONDS)


def sound_limit(feature: Audio, hparams: HParams, training: bool) -> int:
    """Returns the length of the longest sound in samples or, where the model reads spectrograms, in frames."""
    rate = feature.sample_rate if hparams.model.audio_input == "waveform" else 1000.0 / hparams.data.hop_ms
    return int(longest_seconds(hparams, training) * rate) + 1


class Lengths(NamedTuple):
    """The sizes of a split's first examples.

    Attributes:
        examples: of the whole split.
        tokens: of the inputs and the targets, ends of sequence included, int64 [read, 2]; 0 for what is no text.
        samples: of the sound, int64 [read]; 0 without sound.
    """

    examples: int
    tokens: np.ndarray
    samples: np.ndarray


def read_lengths(data_dir: Path, records_name: str, inputs: Feature, targets: Feature, split: str) -> Lengths:
    """Returns the lengths of a split's first examples, at most MOST_EXAMPLES in about MOST_BYTES.

    Args:
        inputs, targets: the features in the records, which are those of the forward problem.

    Raises:
        DataError: there are no such records, or they are damaged.
    """
    entry = read_manifest(data_dir, records_name)["splits"].get(split)
    examples = entry["examples"] if entry else 0
    size = sum(shard["bytes"] for shard in entry["shards"]) if entry else 0
    count = min(examples, MOST_EXAMPLES, MOST_BYTES * examples // max(size, 1) + 1)
    tokens, samples = [np.zeros([0, 2], np.int64)], [np.zeros([0], np.int64)]
    paths = shard_paths(data_dir, records_name, split) if count else []
    try:
        for block in tf.data.TFRecordDataset(paths).take(count).batch(_BLOCK) if paths else ():
            found = parse_example(block, inputs, targets)
            tokens.append(np.stack([_tokens(found["inputs"], inputs), _tokens(found["targets"], targets)], axis=1))
            is_sound = isinstance(inputs, Audio)
            samples.append(tf.strings.length(found["inputs"]).numpy() // 2 if is_sound else np.zeros(len(tokens[-1]), np.int64))
    except tf.errors.DataLossError:
        raise damaged_records(data_dir, records_name, split) from None
    return Lengths(examples, np.concatenate(tokens), np.concatenate(samples))


def _tokens(values: tf.Tensor, feature: Feature) -> np.ndarray:
    if isinstance(feature, Text):
        return tf.math.count_nonzero(values, axis=1).numpy() + 1
    return np.zeros(values.shape[0], np.int64)


class LeftOut(NamedTuple):
    """What limits leave out of a split.

    Attributes:
        split: "train", or one that is evaluated.
        examples, read: of the split, and of those how many were looked at.
        left_out: examples beyond a limit among those that were read.
        reasons: how many are beyond each limit, by "max_seconds=10".
        share: of all seconds of sound or, without sound, of all tokens, from 0 to 1.
        measured: "sound" or "tokens".
        longest: the largest size, as "35.2 seconds".
    """

    split: str
    examples: int
    read: int
    left_out: int
    reasons: dict[str, int]
    share: float
    measured: str
    longest: str

    @property
    def is_much(self) -> bool:
        """Whether people should be warned: more than 5% of the examples or of the data."""
        return max(self.share, self.left_out / max(self.read, 1)) > WARNED_SHARE

    def figures(self) -> dict[str, float]:
        """Returns what rows of metrics.jsonl say: shares from 0 to 1 of the examples and of the sound or tokens."""
        return {"left_out_examples": self.left_out / max(self.read, 1), f"left_out_{self.measured}": self.share}

    def line(self, name: str) -> str:
        """Returns a line for people about the records of `name`."""
        kind = "training" if self.split == "train" else self.split
        counted = f"{self.left_out:,} of {self.read:,} {kind} examples"
        if self.read < self.examples:
            counted = f"{self.left_out:,} of the first {self.read:,} of {self.examples:,} {kind} examples"
        counts = {limit: "" if len(self.reasons) == 1 else f" ({n:,})" for limit, n in self.reasons.items()}
        limits = " or ".join(f"{limit}{count}" for limit, count in counts.items() if limit != _NO_SAMPLES)
        why = [f"longer than {limits}"] * bool(limits) + [
            f"{limit}{count}" for limit, count in counts.items() if limit == _NO_SAMPLES
        ]
        told = f"{name}: {counted}, {self.share:.1%} of the {self.measured}, are {' or '.join(why)} and are left out"
        return f"warning: {told}; the longest has {self.longest}" if self.is_much and self.split == "train" else told


def left_out(data_dir: Path, records_name: str, inputs: Feature, targets: Feature, hparams: HParams, split: str) -> LeftOut:
    """Returns what the limits of `hparams` leave out of a split: of "train" in training, of another one in evaluations.

    Args:
        inputs, targets: the features in the records, which are those of the forward problem.

    Raises:
        DataError: there are no such records.
    """
    found, training = read_lengths(data_dir, records_name, inputs, targets, split), split == "train"
    most = longest_text(hparams, training)
    beyond: dict[str, np.ndarray] = {}
    if isinstance(inputs, Audio):
        hop = 1 if hparams.model.audio_input == "waveform" else int(inputs.sample_rate * hparams.data.hop_ms / 1000)
        too_long = -(-found.samples // max(hop, 1)) > sound_limit(inputs, hparams, training)
        beyond[_limit("max_seconds", "seconds", longest_seconds(hparams, training), training)] = too_long
        beyond[_NO_SAMPLES] = found.samples == 0
    # What is read or written as a label has no tokens.
    beyond[_limit("max_length", "tokens", most, training)] = found.tokens.max(axis=1) > most
    out = np.logical_or.reduce(list(beyond.values()))
    sizes = found.samples if isinstance(inputs, Audio) else found.tokens.sum(axis=1)
    seconds = found.samples.max(initial=0) / inputs.sample_rate if isinstance(inputs, Audio) else 0.0
    return LeftOut(
        split,
        found.examples,
        len(out),
        int(out.sum()),
        {limit: int(each.sum()) for limit, each in beyond.items() if each.any()},
        float(sizes[out].sum() / max(sizes.sum(), 1)),
        "sound" if isinstance(inputs, Audio) else "tokens",
        f"{seconds:.1f} seconds" if isinstance(inputs, Audio) else f"{found.tokens.max(initial=0):,} tokens",
    )


def _limit(name: str, unit: str, value: float, training: bool) -> str:
    return f"{name}={value:g}" if training else f"{value:,g} {unit}"


def left_out_lines(found: Mapping[str, Sequence[LeftOut]]) -> list[str]:
    """Returns a line for each problem's split that something is left out of, and one for all others together."""
    lines = [each.line(name) for name, splits in found.items() for each in splits if each.left_out]
    whole = [name for name, splits in found.items() if not any(each.left_out for each in splits)]
    return lines + ([f"no example is too long: {', '.join(whole)}"] if whole else [])


def left_out_of(problem: Problem, data_dir: Path, hparams: HParams, splits: Sequence[str] = ("train", "dev")) -> list[LeftOut]:
    """Returns what is left out of those of a problem's `splits` that there are."""
    forward, there = problem.forward(), read_manifest(data_dir, problem.records_name)["splits"]
    records = problem.records_name, forward.inputs, forward.targets
    return [left_out(data_dir, *records, hparams, split) for split in splits if split in there]
