"""What a training step would hold in memory, from its trace: nothing is computed, so the machine need not have as much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data.pipeline import batch_signature
from t2t_multimodel.layers.mixture_of_experts import known_queues
from t2t_multimodel.training.memory import peak_bytes


def step_bytes(model: Any, problem: str, shapes: Mapping[str, Sequence[int]], hparams: HParams, imbalance: float = 1.5) -> int:
    """Bytes of a step's activations, gradients and temporary values where they are most, beside `state_bytes` without gradients.

    Args:
        model: built.
        problem: its name.
        shapes: those of a batch: "inputs" and "targets", and "inputs_length" for sound.
        hparams: of the run.
        imbalance: how many times an expert's mean queue the longest one is; all queues are as long as that.
    """
    signature = batch_signature(model.specs[problem], hparams)
    signature = {name: tf.TensorSpec(shapes[name], spec.dtype) for name, spec in signature.items()}

    @tf.function(input_signature=[signature], autograph=False)
    def gradients(batch):
        variables = [variable.value for variable in model.trainable_variables]
        with tf.GradientTape() as tape:
            terms = model.loss_terms(batch, problem, True, hparams.training.label_smoothing)
            objective = terms.total / tf.maximum(terms.weight, 1.0) + model.balance_loss(terms.routings)
        return [tf.convert_to_tensor(value) for value in tape.gradient(objective, variables) if value is not None]

    with known_queues(lambda pairs, experts: math.ceil(imbalance * pairs / experts)):
        graph = gradients.get_concrete_function().graph
    return peak_bytes(graph.get_operations(), graph.outputs)
