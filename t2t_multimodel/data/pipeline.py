"""Makes batches of one problem, from its records (tf.data) or from the inputs that a user gives the decoder.

Letters in shapes: B examples, L positions of a text, T samples or frames of a sound, H height, W width, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data import preprocess
from t2t_multimodel.data.buckets import sound_buckets, text_buckets
from t2t_multimodel.data.fixed_shapes import pad_batch, real_rows
from t2t_multimodel.data.fractions import shard_examples
from t2t_multimodel.data.lengths import longest_text, sound_limit
from t2t_multimodel.data.normalization import normalize
from t2t_multimodel.data.readers.pictures.read import as_stored
from t2t_multimodel.data.readers.sound.decode import as_sound
from t2t_multimodel.data.records import parse_example, shard_paths
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.features import Audio, Batch, Feature, Image, Label, ProblemSpec, Text
from t2t_multimodel.problem import Problem
from t2t_multimodel.utils.errors import DataError

SEGMENT_EXAMPLES = 8192
_PARSED_AT_ONCE = 256
_PRIME = 1_000_003  # keeps the seeds of problems, segments and passes apart


class TrainingBatches:
    """An endless iterator over shuffled batches of examples of similar length, sized in tokens, images or seconds of sound.

    Examples longer than max_length or max_seconds are left out. The batches, augmentation included, follow from `seed` and the
    position alone. The data is read in segments: a group of shards, or several passes over a small data set. Each segment is
    shuffled and batched by itself, so that resuming from a position reads again at most the part of one segment before it. With
    fixed_shapes the same batches are padded to the problem's declared shapes (data.fixed_shapes).

    Args:
        problem: the problem whose records in `data_dir` are read.
        data_dir: the directory with the records.
        hparams: the run's hyperparameters.
        seed: decides the order and the augmentation.
        position: (segment, number of its batches already read), the place to resume from.
        examples: number of examples in all batches before `position`, or None where it is not known.

    Raises:
        DataError: the records are missing or damaged; or a whole pass has shown that all examples are too long.
    """

    def __init__(
        self,
        problem: Problem,
        data_dir: Path | str,
        hparams: HParams,
        seed: int,
        position: tuple[int, int] = (0, 0),
        examples: int | None = 0,
    ) -> None:
        self.position, self.examples = position, examples
        self._padded = hparams.data.fixed_shapes
        shards = shard_paths(data_dir, problem.records_name, "train")
        used = shard_examples(problem, data_dir, hparams)
        self._groups, segment_records = _segments(shards, used, hparams.data.shuffle_buffer, seed)
        limits = f"max_length={hparams.data.max_length} and max_seconds={hparams.data.max_seconds:g}"
        self._too_long = f"no training example of {problem.name} is within {limits}"

        def batches(segment: tf.Tensor) -> tf.data.Dataset:
            made = _batches(segment_records(segment), problem, hparams, (seed, segment))
            if self._padded:
                made = made.map(lambda batch: pad_batch(batch, problem.spec(), hparams))
            empty = tf.data.Dataset.from_tensors(empty_batch(made.element_spec))
            return made.concatenate(empty).map(lambda batch: (segment, batch))

        segments = tf.data.Dataset.range(position[0], tf.int64.max)
        numbered = segments.flat_map(batches).skip(position[1]).with_options(_options()).prefetch(4)
        self.element_spec = numbered.element_spec[1]
        self._batches = iter(numbered)

    def __iter__(self) -> TrainingBatches:
        return self

    def __next__(self) -> Batch:
        for _ in range(self._groups + 2):  # Each segment ends with an empty batch.
            segment, batch = next(self._batches)
            if rows := batch["targets"].shape[0]:
                break
        else:
            raise DataError(self._too_long)
        segment = int(segment)
        self.position = (segment, self.position[1] + 1 if segment == self.position[0] else 1)
        if self.examples is not None:
            self.examples += real_rows(batch) if self._padded else rows
        return batch


def _segments(
    shards: Sequence[str], used: Sequence[int], buffer: int, seed: int
) -> tuple[int, Callable[[tf.Tensor], tf.data.Dataset]]:
    """Returns the number of segments per epoch, and a function from a segment's number, int64 [], to its shuffled records.

    A small data set has one segment, which holds several epochs.

    Args:
        used: how many records of each shard are read, from its beginning.
    """
    examples = sum(used)
    group = min(len(shards), max(4, -(-len(shards) * SEGMENT_EXAMPLES // examples)))
    groups = -(-len(shards) // group)
    passes = max(1, SEGMENT_EXAMPLES // examples) if groups == 1 else 1

    def one_pass(number: tf.Tensor, place: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(len(shards)), tf.stack([tf.cast(seed, tf.int64), number]))
        chosen = order[place * group : (place + 1) * group]
        files = tf.data.Dataset.from_tensor_slices((tf.gather(shards, chosen), tf.gather(tf.constant(used, tf.int64), chosen)))
        records = files.interleave(lambda file, count: tf.data.TFRecordDataset(file).take(count), cycle_length=group)
        shuffle_seed = tf.cast(seed, tf.int64) * _PRIME + number * groups + place
        return records.shuffle(buffer, seed=shuffle_seed, reshuffle_each_iteration=False)

    def segment_records(segment: tf.Tensor) -> tf.data.Dataset:
        first, place = segment // groups * passes, segment % groups
        return tf.data.Dataset.range(passes).flat_map(lambda number: one_pass(first + number, place))

    return groups, segment_records


def evaluation_batches(
    problem: Problem, data_dir: Path | str, hparams: HParams, split: str = "dev", padded: bool = False
) -> tf.data.Dataset:
    """Returns batches of every example of `split` once, without augmentation.

    Only very long examples are left out (data.lengths).

    The keys and shapes are those of `batch_signature`. If targets are text, a batch also has "references", string [B, n]; n is 0
    if the records have none.

    Args:
        padded: whether fixed_shapes pads these batches too, which leaves the references out.
    """
    batches = _batches(tf.data.TFRecordDataset(shard_paths(data_dir, problem.records_name, split)), problem, hparams)
    if padded and hparams.data.fixed_shapes:
        batches = batches.map(lambda batch: pad_batch(batch, problem.spec(), hparams, training=False))
    return batches.with_options(_options()).prefetch(2)


def batch_signature(spec: ProblemSpec, hparams: HParams) -> Batch:
    """Returns the TensorSpecs of a training batch.

    Lengths and the batch size are left open, so that one trace serves all batches.

    "inputs" is int32 [B, L] for text, float32 [B, H, W, C] for images, and for sound float32 [B, T] (waveform) or [B, T,
    mel_bins] (spectrogram) with "inputs_length", int32 [B]. "targets" is int32 [B, L], or int32 [B] for classes.
    """
    shapes: Batch = {"inputs": tf.TensorSpec([None, None], tf.int32)}
    if isinstance(spec.inputs, Image):
        shapes["inputs"] = tf.TensorSpec([None, spec.inputs.height, spec.inputs.width, spec.inputs.channels], tf.float32)
    if isinstance(spec.inputs, Audio):
        bins = [hparams.data.mel_bins] if hparams.model.audio_input == "spectrogram" else []
        shapes["inputs"] = tf.TensorSpec([None, None, *bins], tf.float32)
        shapes["inputs_length"] = tf.TensorSpec([None], tf.int32)
    shapes["targets"] = tf.TensorSpec([None] if isinstance(spec.targets, Label) else [None, None], tf.int32)
    return shapes


def empty_batch(signature: Batch) -> Batch:
    """Returns a batch of no examples: every dimension that `signature` leaves open has size 0."""
    return tf.nest.map_structure(lambda spec: tf.zeros([size or 0 for size in spec.shape], spec.dtype), signature)


def prepare_inputs(feature: Feature, inputs: Sequence[Any], hparams: HParams, vocabulary: Vocabulary) -> Batch:
    """Returns the "inputs" (and for sound "inputs_length") of a batch, as `batch_signature` describes them, from a user's inputs.

    Args:
        inputs: sentences; image files or StoredPictures; sound files or Sounds. Text and sound longer than max_length or
            max_seconds are cut.

    Raises:
        DataError: a file is damaged.
        TypeError: `feature` is a class, which no model reads.
    """
    if isinstance(feature, Text):
        texts = [normalize(text, feature.normalization) for text in inputs]
        ids = [vocabulary.encode_feature(feature, text)[: hparams.data.max_length - 1] for text in texts]
        return {"inputs": _pad([preprocess.text_ids(tf.constant(row, tf.int64)).numpy() for row in ids])}
    if isinstance(feature, Image):
        pictures = [as_stored(picture, "the image").content for picture in inputs]
        return {"inputs": np.stack([preprocess.image_pixels(tf.constant(content), feature) for content in pictures])}
    if not isinstance(feature, Audio):
        raise TypeError(f"a {feature.kind} is no input")
    longest = int(hparams.data.max_seconds * feature.sample_rate)
    sounds = [as_sound(sound, feature.sample_rate, "the sound").samples for sound in inputs]
    pcm = [samples[:longest].astype("<i2", copy=False).tobytes() for samples in sounds]
    rows = [_sound(tf.constant(content), feature, hparams).numpy() for content in pcm]
    return {"inputs": _pad(rows), "inputs_length": np.array([len(row) for row in rows], np.int32)}


def _batches(
    records: tf.data.Dataset, problem: Problem, hparams: HParams, training: tuple[int, int] | None = None
) -> tf.data.Dataset:
    """Returns batches of all `records`.

    Args:
        training: (seed, segment) in training; together with a record's place they decide its augmentation. None in evaluation.
    """
    spec = problem.spec()
    if isinstance(spec.inputs, Text):
        return _text_batches(records, problem, hparams, bool(training))

    def parse(place: tf.Tensor, record: tf.Tensor) -> dict[str, Any]:
        seed = tf.cast(tf.stack([training[0] * _PRIME + training[1], place]), tf.int32) if training else None
        example = _parsed(record, problem, hparams, bool(training), seed)
        return {**example, "inputs_length": tf.shape(example["inputs"])[0]} if isinstance(spec.inputs, Audio) else example

    examples = records.enumerate().map(parse, num_parallel_calls=1, deterministic=True)
    if isinstance(spec.targets, Text):
        longest = longest_text(hparams, bool(training))
        examples = examples.filter(lambda example: tf.shape(example["targets"])[0] <= longest)
    if isinstance(spec.inputs, Image):
        return examples.padded_batch(hparams.data.batch_images)
    assert isinstance(spec.inputs, Audio)
    bounds, batch_sizes = sound_buckets(spec.inputs, hparams)
    limit = sound_limit(spec.inputs, hparams, bool(training))
    # Records of earlier versions may hold recordings without a sample.
    examples = examples.filter(lambda example: (example["inputs_length"] > 0) & (example["inputs_length"] <= limit))
    return examples.bucket_by_sequence_length(
        lambda example: example["inputs_length"], [bound + 1 for bound in bounds], [*batch_sizes, batch_sizes[-1]]
    )


def _text_batches(records: tf.data.Dataset, problem: Problem, hparams: HParams, training: bool) -> tf.data.Dataset:
    """Returns batches of all `records` of a problem that reads text.

    Records are parsed in blocks to learn their lengths, and again as batches: calling functions per example would take most of
    the time, since each example is so small.
    """
    bounds, batch_sizes = text_buckets(hparams)
    sizes = tf.constant([*batch_sizes, batch_sizes[-1]], tf.int64)

    def with_buckets(block: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        example = _parsed(block, problem, hparams, training)
        texts = [example[side] for side in ("inputs", "targets") if example[side].shape.rank == 2]
        lengths = tf.reduce_max(tf.stack([tf.math.count_nonzero(text, axis=1) for text in texts]), axis=0)
        buckets = tf.searchsorted(tf.constant(bounds, tf.int64), lengths, out_type=tf.int64)
        kept = lengths <= longest_text(hparams, training)
        return tf.boolean_mask(block, kept), tf.boolean_mask(buckets, kept)

    def batch(bucket: tf.Tensor, window: tf.data.Dataset) -> tf.data.Dataset:
        return window.batch(sizes[bucket]).map(lambda block, _: _parsed(block, problem, hparams, training))

    sorted_out = records.batch(_PARSED_AT_ONCE).map(with_buckets).unbatch()
    return sorted_out.group_by_window(lambda record, bucket: bucket, batch, window_size_func=lambda bucket: sizes[bucket])


def _parsed(
    record: tf.Tensor, problem: Problem, hparams: HParams, training: bool, seed: tf.Tensor | None = None
) -> dict[str, Any]:
    """Returns the entries of a batch for one record, or for a block of records of text."""
    spec, forward = problem.spec(), problem.forward()
    references = not training and isinstance(spec.targets, Text) and not problem.reversed
    raw = parse_example(record, forward.inputs, forward.targets, with_references=references)
    if problem.reversed:
        raw["inputs"], raw["targets"] = raw["targets"], raw["inputs"]
    example = {side: _value(raw[side], getattr(spec, side), hparams, seed) for side in ("targets", "inputs")}
    return {**example, "references": raw["references"]} if references else example


def _value(raw: tf.Tensor, feature: Feature, hparams: HParams, seed: tf.Tensor | None) -> tf.Tensor:
    if isinstance(feature, Text):
        return preprocess.text_ids(raw)
    if isinstance(feature, Image):
        return preprocess.image_pixels(raw, feature, seed)
    if isinstance(feature, Audio):
        return _sound(raw, feature, hparams, seed)
    return tf.cast(raw, tf.int32)


def _sound(pcm: tf.Tensor, feature: Audio, hparams: HParams, seed: tf.Tensor | None = None) -> tf.Tensor:
    return preprocess.sound(pcm, feature.sample_rate, hparams.model.audio_input, hparams.data, seed)


def _pad(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Returns rows of different lengths as one array, each padded at its end with zeros."""
    padded = np.zeros((len(rows), max(map(len, rows)), *rows[0].shape[1:]), rows[0].dtype)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    return padded


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.autotune.enabled = False
    options.deterministic = True
    return options
