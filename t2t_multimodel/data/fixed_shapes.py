"""Fixed shapes: every batch is padded to one of a few declared shapes, so that a compiler meets no others.

Lengths are padded to the bounds of the batch's bucket, and rows of weight 0 fill the bucket's batch size. Such a row has targets
of 0, or NO_LABEL as its class; its sound has length 0. No loss, metric, expert or token of another row depends on it.

Letters in shapes: B examples, L positions of a text, T samples or frames of a sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data.buckets import sound_buckets, text_buckets
from t2t_multimodel.data.lengths import longest_text, sound_limit
from t2t_multimodel.features import Audio, Batch, ProblemSpec, Text
from t2t_multimodel.utils.constants import NO_LABEL, PAD_ID

# Targets of images and of sound are in no bucket of their own. Each of these bounds multiplies the number of shapes.
TARGET_BOUNDS = (16, 64, 256, 1024)


class DeclaredShapes(NamedTuple):
    """The shapes to which a problem's batches are padded: any of `rows` and `inputs` with any of `targets`.

    Attributes:
        rows: the number of rows for each of `inputs`; a single number for images.
        inputs: the lengths of the inputs, ascending; [] for images, which have one size.
        targets: the lengths of the targets, ascending; [] for labels, and where text is read: the targets' length is then the
            inputs'.
    """

    rows: Sequence[int]
    inputs: Sequence[int]
    targets: Sequence[int]

    @property
    def number(self) -> int:
        """Returns the number of shapes."""
        return len(self.rows) * max(1, len(self.targets))


def declared_shapes(spec: ProblemSpec, hparams: HParams, training: bool = True) -> DeclaredShapes:
    """Returns the shapes of a problem's batches in training, or in evaluation, whose examples may be longer."""
    longest = longest_text(hparams, training)
    if isinstance(spec.inputs, Text):
        buckets = text_buckets(hparams)
        bounds = _reaching(buckets.bounds, longest)
        return DeclaredShapes([*buckets.sizes, *buckets.sizes[-1:] * (len(bounds) - len(buckets.sizes))], bounds, [])
    targets = [*(bound for bound in TARGET_BOUNDS if bound < longest), longest] if isinstance(spec.targets, Text) else []
    if not isinstance(spec.inputs, Audio):
        return DeclaredShapes([hparams.data.batch_images], [], targets)
    buckets = sound_buckets(spec.inputs, hparams)
    bounds = _reaching(buckets.bounds, sound_limit(spec.inputs, hparams, training))
    return DeclaredShapes([*buckets.sizes, *buckets.sizes[-1:] * (len(bounds) - len(buckets.sizes))], bounds, targets)


def _reaching(bounds: Sequence[int], longest: int) -> list[int]:
    """Returns `bounds` and their last one doubled again and again, until `longest` is reached, which is the last bound.

    A last bound that is off by a rounded frame is replaced.
    """
    found = list(bounds)
    while 2 * found[-1] < longest:
        found.append(2 * found[-1])
    return [*(bound for bound in found if bound < longest - 1), longest]


def pad_batch(batch: Batch, spec: ProblemSpec, hparams: HParams, training: bool = True) -> Batch:
    """Returns `batch`, in a graph or out of one, padded to the smallest of its problem's declared shapes that holds it.

    Only "inputs", "inputs_length" and "targets" are kept.
    """
    shapes, given = declared_shapes(spec, hparams, training), cast(dict[str, tf.Tensor], batch)
    has_text = isinstance(spec.targets, Text)
    place, sizes = 0, []
    if shapes.inputs:
        sides = ("inputs", "targets") if isinstance(spec.inputs, Text) and has_text else ("inputs",)
        place = _first_at_least(shapes.inputs, tf.reduce_max([tf.shape(given[side])[1] for side in sides]))
        sizes = [tf.gather(shapes.inputs, place)]
    rows = tf.gather(shapes.rows, place)
    padded = {"inputs": _padded(given["inputs"], [rows, *sizes])}
    if "inputs_length" in given:
        padded["inputs_length"] = _padded(given["inputs_length"], [rows])
    if not has_text:
        return cast(Batch, {**padded, "targets": _padded(given["targets"], [rows], NO_LABEL)})
    if shapes.targets:
        sizes = [tf.gather(shapes.targets, _first_at_least(shapes.targets, tf.shape(given["targets"])[1]))]
    return cast(Batch, {**padded, "targets": _padded(given["targets"], [rows, *sizes])})


def pad_rows(batch: Batch, spec: ProblemSpec, rows: int) -> Batch:
    """Returns `batch` with rows of weight 0 after its own, so that there are `rows`."""
    fillers = {} if isinstance(spec.targets, Text) else {"targets": NO_LABEL}
    return cast(Batch, {name: _padded(value, [rows], fillers.get(name, 0)) for name, value in batch.items()})


def real_rows(batch: Batch) -> int:
    """Returns the number of rows of an eager batch whose weight is not 0."""
    targets = batch["targets"]
    return int(tf.math.count_nonzero(targets[:, 0] != PAD_ID if targets.shape.rank == 2 else targets != NO_LABEL))


def shape_lines(specs: Sequence[ProblemSpec], hparams: HParams) -> list[str]:
    """Returns the line at the start of a run that says how many shapes its batches can have; [] without fixed shapes."""
    if not hparams.data.fixed_shapes:
        return []
    counts = {spec.name: declared_shapes(spec, hparams).number for spec in specs}
    named = ", ".join(f"{name} {count}" for name, count in counts.items())
    return [f"fixed shapes: a batch has one of {sum(counts.values())} shapes ({named}); its padding has weight 0"]


def _first_at_least(bounds: Sequence[int], size: tf.Tensor) -> tf.Tensor:
    """Returns the index, int32 [], of the first of the ascending `bounds` that is at least `size`."""
    return tf.searchsorted(tf.constant(bounds), [size])[0]


def _padded(value: tf.Tensor, sizes: Sequence[Any], filler: int = 0) -> tf.Tensor:
    """Returns `value` padded at the ends of its first axes to `sizes`."""
    free = len(value.shape) - len(sizes)
    ends = [[0, size - (value.shape[axis] or tf.shape(value)[axis])] for axis, size in enumerate(sizes)] + [[0, 0]] * free
    padded = tf.pad(value, ends, constant_values=tf.cast(filler, value.dtype))
    return tf.ensure_shape(padded, [None] * len(sizes) + value.shape[len(sizes) :])
