"""Estimates the memory that training takes from a graph that is never run, so that the machine need not have as much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data.pipeline import batch_signature
from t2t_multimodel.features import Batch
from t2t_multimodel.layers.expert_capacity import FixedCapacity, fixed_capacity
from t2t_multimodel.model_protocol import Model
from t2t_multimodel.runs.run_config import RunConfig, build_model
from t2t_multimodel.tf_internals import traced
from t2t_multimodel.training.memory import parameter_counts, peak_bytes, state_bytes

Shapes = Mapping[str, Sequence[int]]


class MemoryCount(NamedTuple):
    """The sizes of a run.

    Attributes:
        parameters: the number of trainable parameters, by part of the model (training.memory.parameter_counts).
        state: the bytes of "parameters", "gradients", the optimizer's state and accumulators, by these names.
        steps: by problem, the peak bytes of a step's activations, gradients and temporary values.
    """

    parameters: dict[str, int]
    state: dict[str, int]
    steps: dict[str, int]


def count_memory(config: RunConfig, batches: Mapping[str, Shapes], imbalance: float = 1.5) -> MemoryCount:
    """Counts the parameters and the bytes of a run of `config` on one device.

    Args:
        batches: by problem, the shapes of a batch's "inputs", "targets", and "inputs_length" for sound.
        imbalance: the assumed ratio of the longest expert queue to the mean one. All queues are padded to the longest, unless
            hyperparameters fix the experts' capacity.
    """
    hparams = config.hparams
    factor = hparams.model.moe_capacity_factor if hparams.has_fixed_capacity else imbalance
    with tf.Graph().as_default():  # whose variables have no values
        model = build_model(config)
        steps = {}
        for problem, shapes in batches.items():
            with fixed_capacity(FixedCapacity(factor, drop=True)):  # the slots are those that would be filled
                graph = _gradients(model, problem, shapes, hparams).get_concrete_function().graph
            steps[problem] = peak_bytes(graph.get_operations(), graph.outputs)
        return MemoryCount(parameter_counts(model), state_bytes(model, hparams), steps)


def _gradients(model: Model, problem: str, shapes: Shapes, hparams: HParams) -> Any:
    """Returns a tf.function that takes a batch of these shapes and returns the gradients of all weights."""
    specs: Mapping[str, Any] = batch_signature(model.specs[problem], hparams)
    signature = {name: tf.TensorSpec(shapes[name], spec.dtype) for name, spec in specs.items()}

    def gradients(batch: Batch) -> list[tf.Tensor]:
        variables = [variable.value for variable in model.trainable_variables]
        with tf.GradientTape() as tape:
            terms = model.loss_terms(batch, problem, True, hparams.training.label_smoothing)
            objective = terms.total / tf.maximum(terms.weight, 1.0) + model.balance_loss(terms.routings)
        return [tf.convert_to_tensor(value) for value in tape.gradient(objective, variables) if value is not None]

    return traced(gradients, input_signature=[signature])
