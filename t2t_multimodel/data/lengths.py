"""Returns the limits on an example's length, the lengths in given records, and what a hyperparameter set's limits leave out."""

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

# Evaluation takes examples up to this many times longer than training does. Without any limit one example could fill the memory.
_EVALUATED = 4
_LEAST_TOKENS, _LEAST_SECONDS = 1024, 60.0
# Only this much of a split is read, so that training on a large corpus starts at once. mm-datagen shuffles train splits as a
# whole, so the first records are a random sample.
MOST_EXAMPLES, MOST_BYTES = 200_000, 1 << 30
_BLOCK = 256
_NO_SAMPLES = "without a sample"  # Records of earlier versions may hold recordings without a sample.
WARNED_SHARE = 0.05


def longest_text(hparams: HParams, training: bool) -> int:
    """Returns the length in tokens of the longest text that is used, end of sequence included.

    Args:
        training: True for the limit in training, False for the limit in evaluation.
    """
    limit = hparams.data.max_length
    return limit if training else max(_EVALUATED * limit, _LEAST_TOKENS)


def longest_seconds(hparams: HParams, training: bool) -> float:
    """Returns the length in seconds of the longest sound that is used, in training or in evaluation."""
    limit = hparams.data.max_seconds
    return limit if training else max(_EVALUATED * limit, _LEAST_SECONDS)


def sound_limit(feature: Audio, hparams: HParams, training: bool) -> int:
    """Returns the length of the longest sound that is used: in samples, or in frames if the model reads spectrograms."""
    rate = feature.sample_rate if hparams.model.audio_input == "waveform" else 1000.0 / hparams.data.hop_ms
    return int(longest_seconds(hparams, training) * rate) + 1


class Lengths(NamedTuple):
    """The lengths of a split's first examples.

    Attributes:
        examples: the number of examples in the whole split.
        tokens: the lengths of the inputs and the targets, end of sequence included, int64 [read, 2]; 0 for a side that is no
            text.
        samples: the length of the sound, int64 [read]; 0 without sound.
    """

    examples: int
    tokens: np.ndarray
    samples: np.ndarray


def read_lengths(data_dir: Path, records_name: str, inputs: Feature, targets: Feature, split: str) -> Lengths:
    """Returns the lengths of a split's first examples: at most MOST_EXAMPLES, from about MOST_BYTES of records.

    Args:
        inputs, targets: the features in the records: the forward problem's features if the problem is a reversed one.

    Raises:
        DataError: the records are missing or damaged.
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
    """The part of a split that the limits on length leave out.

    Attributes:
        split: "train", or a split that is evaluated.
        examples: the number of examples in the split.
        read: the number of examples whose lengths were read.
        left_out: the number of examples beyond a limit, among those read.
        reasons: the number of examples beyond each limit, by the limit's text, for example "max_seconds=10".
        share: the share of all seconds of sound that is left out, or without sound of all tokens; from 0 to 1.
        measured: the unit of `share`: "sound" or "tokens".
        longest: the largest size with its unit, for example "35.2 seconds".
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
        """Returns whether to warn people: more than 5% of the examples or of the data are left out."""
        return max(self.share, self.left_out / max(self.read, 1)) > WARNED_SHARE

    def figures(self) -> dict[str, float]:
        """Returns the entries for metrics.jsonl: the shares, from 0 to 1, of the examples and of the sound or tokens left out."""
        return {"left_out_examples": self.left_out / max(self.read, 1), f"left_out_{self.measured}": self.share}

    def line(self, name: str) -> str:
        """Returns one line for people about the records of `name`."""
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
    """Returns what the limits of `hparams` leave out of a split.

    The limits of training hold for "train", the limits of evaluation for other splits.

    Args:
        inputs, targets: the features in the records: the forward problem's features if the problem is a reversed one.

    Raises:
        DataError: the records are missing.
    """
    found, training = read_lengths(data_dir, records_name, inputs, targets, split), split == "train"
    most = longest_text(hparams, training)
    beyond: dict[str, np.ndarray] = {}
    if isinstance(inputs, Audio):
        hop = 1 if hparams.model.audio_input == "waveform" else int(inputs.sample_rate * hparams.data.hop_ms / 1000)
        too_long = -(-found.samples // max(hop, 1)) > sound_limit(inputs, hparams, training)
        beyond[_limit("max_seconds", "seconds", longest_seconds(hparams, training), training)] = too_long
        beyond[_NO_SAMPLES] = found.samples == 0
    # A Label has no tokens: its length is 0, which is within every limit.
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
    """Returns one line per problem and split that loses examples, and one line for all others together."""
    lines = [each.line(name) for name, splits in found.items() for each in splits if each.left_out]
    whole = [name for name, splits in found.items() if not any(each.left_out for each in splits)]
    return lines + ([f"no example is too long: {', '.join(whole)}"] if whole else [])


def left_out_of(problem: Problem, data_dir: Path, hparams: HParams, splits: Sequence[str] = ("train", "dev")) -> list[LeftOut]:
    """Returns what is left out of each of a problem's `splits`; splits without records are passed over."""
    forward, there = problem.forward(), read_manifest(data_dir, problem.records_name)["splits"]
    records = problem.records_name, forward.inputs, forward.targets
    return [left_out(data_dir, *records, hparams, split) for split in splits if split in there]
