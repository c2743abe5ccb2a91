"""Counts the memory that training needs, from the shapes of variables and of traced operations, without running them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.model_protocol import Model
from t2t_multimodel.training.checkpoints import by_path
from t2t_multimodel.training.optimizer import OPTIMIZERS

# The outputs of these operations share the memory of their first input.
_VIEWS = {"Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "PreventGradient", "EnsureShape"}
# The outputs of these are counted elsewhere, or are a few numbers.
_FREE = {"ReadVariableOp", "Placeholder", "BroadcastGradientArgs"}


def parameter_counts(model: Model) -> dict[str, int]:
    """Returns the number of trainable parameters in each part of a built model.

    The parts are the modality nets by name, "command tokens", "encoder", "mixer", "decoder", and "experts" with their gates.
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
    """Returns the bytes that a step of a built model needs for every batch.

    Returns:
        Bytes of "parameters", "gradients", "optimizer" (its slots), "accumulators" (0 unless a step has several batches or
        problems), and "averages" (0 unless ema_decay is set).
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
    """Returns an estimate of the most bytes that are in use at once while `operations` run in order.

    Operations that lead to no output do not run. A tensor is in use from its operation until the last operation that reads it. It
    is an estimate, since TensorFlow may run independent operations in another order and may write a result over an input that is
    no longer needed.

    Raises:
        ValueError: the size of a tensor is not known before it is computed.
    """
    index = {operation: i for i, operation in enumerate(_needed(operations, outputs))}
    base: dict[Any, Any] = {}  # for each tensor, the tensor whose memory it shares
    last: dict[Any, int] = {}
    for operation, i in index.items():
        for tensor in operation.inputs:
            last[base[tensor.ref()]] = i
        for tensor in operation.outputs:
            view = operation.type in _VIEWS
            base[tensor.ref()] = base[operation.inputs[0].ref()] if view else tensor.ref()
            last.setdefault(base[tensor.ref()], i)
    last |= {base[tensor.ref()]: len(index) for tensor in outputs}
    freed: dict[int, int] = {}
    alive = peak = 0
    for operation, i in index.items():
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
