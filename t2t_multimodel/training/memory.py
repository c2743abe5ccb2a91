"""What training holds in memory, counted from the shapes of variables and of traced operations; nothing is computed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.model_protocol import Model
from t2t_multimodel.training.checkpoints import by_path
from t2t_multimodel.training.optimizer import OPTIMIZERS

# Their output is their first input, or a variable, seen otherwise: no memory of its own.
_VIEWS = {"Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "PreventGradient", "EnsureShape"}
_FREE = {"ReadVariableOp", "Placeholder", "BroadcastGradientArgs"}  # held elsewhere, or a handful of numbers


def parameter_counts(model: Model) -> dict[str, int]:
    """The number of trainable numbers of each part of a built model: a modality net, "command tokens", "encoder", "mixer",
    "decoder", and "experts" with their gates.
    """
    counts: dict[str, int] = {}
    for path, variable in by_path(model.trainable_variables).items():
        part = path.partition(".")[0]
        if ".moe." in path:
            part = "experts"
        elif part.startswith("command_"):
            part = "command tokens"
        counts[part] = counts.get(part, 0) + math.prod(variable.shape)
    return counts


def state_bytes(model: Model, hparams: HParams) -> dict[str, int]:
    """Bytes of what a step of a built model needs whatever the batch is.

    Returns:
        "parameters", "gradients", "optimizer" (its slots), "accumulators" (where a step has several batches or problems), and
        "averages" (where ema_decay keeps them).
    """
    shapes = {name: variable.shape.as_list() for name, variable in by_path(model.trainable_variables).items()}
    slots = OPTIMIZERS[hparams.training.optimizer].slot_shapes(shapes)
    parameters = _bytes(shapes.values())
    several = hparams.training.problems_per_step * hparams.training.accumulate_steps > 1
    return {
        "parameters": parameters,
        "gradients": parameters,
        "optimizer": sum(_bytes(kind.values()) for kind in slots.values()),
        "accumulators": parameters if several else 0,
        "averages": parameters if hparams.training.ema_decay else 0,
    }


def peak_bytes(operations: Sequence[tf.Operation], outputs: Sequence[tf.Tensor]) -> int:
    """The most bytes that are alive at once while `operations` run in their order; what leads to no output does not run.

    A tensor lives from where it is made until it was last read. TensorFlow may run independent operations in another order, and
    may write a result over an input that nobody needs any more: this is an estimate.

    Raises:
        ValueError: the size of a tensor is not known before it is computed.
    """
    place = {operation: i for i, operation in enumerate(_needed(operations, outputs))}
    holder: dict[Any, Any] = {}  # of each tensor, the one in whose memory it lies
    last: dict[Any, int] = {}
    for operation, i in place.items():
        for tensor in operation.inputs:
            last[holder[tensor.ref()]] = i
        for tensor in operation.outputs:
            view = operation.type in _VIEWS
            holder[tensor.ref()] = holder[operation.inputs[0].ref()] if view else tensor.ref()
            last.setdefault(holder[tensor.ref()], i)
    last |= {holder[tensor.ref()]: len(place) for tensor in outputs}
    freed: dict[int, int] = {}
    alive = peak = 0
    for operation, i in place.items():
        free = operation.type in _VIEWS | _FREE
        made = [] if free else [(tensor, _size(tensor)) for tensor in operation.outputs]
        for tensor, size in made:
            alive += size
            freed[last[tensor.ref()]] = freed.get(last[tensor.ref()], 0) + size
        peak = max(peak, alive)
        alive -= freed.pop(i, 0)
    return peak


def _needed(operations: Sequence[tf.Operation], outputs: Sequence[tf.Tensor]) -> list[tf.Operation]:
    wanted, ahead = set(), [tensor.op for tensor in outputs]
    while ahead:
        operation = ahead.pop()
        if operation not in wanted:
            wanted.add(operation)
            ahead += [tensor.op for tensor in operation.inputs]
    return [operation for operation in operations if operation in wanted]


def _size(tensor: tf.Tensor) -> int:
    if tensor.dtype == tf.resource:
        return 0
    if not tensor.shape.is_fully_defined():
        raise ValueError(f"the shape of {tensor.name} of type {tensor.op.type} is known in part only: {tensor.shape}")
    return tensor.shape.num_elements() * tensor.dtype.size


def _bytes(shapes: Iterable[Sequence[int]]) -> int:
    return 4 * sum(math.prod(shape) for shape in shapes)
