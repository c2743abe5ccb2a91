"""The traced functions of training and evaluation: one serves all problems that differ in their command token alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data.pipeline import batch_signature
from t2t_multimodel.training.checkpoints import by_path
from t2t_multimodel.training.optimizer import Adam

Batch = dict[str, tf.Tensor]


class StepResult(NamedTuple):
    """Scalars of a training step: mean loss, global norm of the gradient, target tokens, and the experts' variation.

    `expert_load` is float32 [mixtures, experts], the share of tokens each expert got.
    """

    loss: tf.Tensor
    gradient_norm: tf.Tensor
    tokens: tf.Tensor
    load_cv: tf.Tensor
    importance_cv: tf.Tensor
    expert_load: tf.Tensor


class EvaluationSums(NamedTuple):
    """Sums over a batch: nats, right tokens, right among five, weights, wholly right sequences, sequences."""

    nats: tf.Tensor
    correct: tf.Tensor
    correct_top5: tf.Tensor
    weight: tf.Tensor
    sequences_correct: tf.Tensor
    sequences: tf.Tensor


class Steps:
    """Makes and keeps the traced functions of a model.

    Args:
        model: a built MultiModel, or what offers its `loss_terms`, `logits`, `space_index` and `trace_key`.
        optimizer: that of `model`'s variables, by path; None to evaluate alone.
        hparams: of the run.
        strategy: replicas that divide each batch among them; model and optimizer were made in its scope. None is one device.

    With several replicas the gradient is that of the whole batch, summed, and clipped once (Keras's optimizers clip each
    replica's); losses are divided by the whole batch's weight, and the experts' balance is that of the whole batch.
    """

    def __init__(
        self, model: Any, optimizer: Adam | None, hparams: HParams, strategy: tf.distribute.Strategy | None = None
    ) -> None:
        self._model = model
        self._strategy = strategy or tf.distribute.get_strategy()
        self._replicas = self._strategy.num_replicas_in_sync
        self._optimizer: Any = optimizer
        self._hparams = hparams
        self._traced: dict[tuple[str, ...], Callable[..., Any]] = {}

    def train(self, problem: str, batch: Batch, rate: float, step: int) -> StepResult:
        """One step on a batch of `problem` at learning rate `rate`; `step` counts from 1."""
        function = self._function("train", problem, self._make_train)
        scalars = [tf.constant(value, tf.float32) for value in (rate, step, self._model.specs[problem].loss_weight)]
        return function(batch, tf.constant(self._model.space_index(problem)), *scalars)

    def evaluate(self, problem: str, batch: Batch) -> EvaluationSums:
        """Sums of the teacher-forced measures over a batch of `problem`."""
        batch = {name: batch[name] for name in batch_signature(self._model.specs[problem], self._hparams)}
        return self._function("evaluate", problem, self._make_evaluate)(batch, tf.constant(self._model.space_index(problem)))

    def _function(self, kind: str, problem: str, make: Callable[[str], Any]) -> Callable[..., Any]:
        key = (kind, *self._model.trace_key(problem))
        if key not in self._traced:
            self._traced[key] = make(problem)
        return self._traced[key]

    def _make_train(self, problem: str) -> Callable[..., StepResult]:
        variables = by_path(self._model.trainable_variables)
        signature = batch_signature(self._model.specs[problem], self._hparams)
        scalar = tf.TensorSpec([], tf.float32)

        def replica_step(batch, space, rate, number, loss_weight):
            batch, rows, share = self._part(batch)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                for variable in variables.values():
                    tape.watch(variable)
                smoothing = self._hparams.training.label_smoothing
                terms = self._model.loss_terms(batch, problem, True, smoothing, space, rows)
                weight = self._sum(terms.weight * share)
                loss = terms.total * share / tf.maximum(weight, 1.0)
                routings = [
                    r._replace(importance=self._sum(r.importance * share), load=self._sum(r.load * share)) for r in terms.routings
                ]
                objective = loss_weight * loss + self._model.balance_loss(routings) / self._replicas
            gradients = tape.gradient(objective, variables)
            used = {name: tf.convert_to_tensor(gradient) for name, gradient in gradients.items() if gradient is not None}
            norm = self._optimizer.apply(list(used), self._sum(list(used.values())), rate, number)
            return StepResult(self._sum(loss), norm, weight, *_expert_statistics(routings))

        @tf.function(input_signature=[signature, tf.TensorSpec([], tf.int32), scalar, scalar, scalar], autograph=False)
        def step(*arguments):
            result = self._strategy.run(replica_step, arguments)
            return tf.nest.map_structure(lambda value: self._strategy.experimental_local_results(value)[0], result)

        return step

    def _part(self, batch: Batch) -> tuple[Batch, tuple[tf.Tensor, ...] | None, tf.Tensor | float]:
        """A replica's rows of a batch, which they are (first, count, total), and 1; with one replica all, None and 1.

        A replica for which none is left computes the first row, with 0 in place of the 1: no layer need know empty batches.
        """
        if self._replicas == 1:
            return batch, None, 1.0
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        total = tf.shape(batch["targets"])[0]
        first, end = (total * number // self._replicas for number in (replica, replica + 1))
        share = tf.cast(end > first, tf.float32)
        first = tf.minimum(first, total - 1)
        count = tf.maximum(end - first, 1)
        return {name: value[first : first + count] for name, value in batch.items()}, (first, count, total), share

    def _sum(self, values: Any) -> Any:
        """Summed over the replicas."""
        if self._replicas == 1:
            return values
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)

    def _make_evaluate(self, problem: str) -> Callable[..., EvaluationSums]:
        signature = batch_signature(self._model.specs[problem], self._hparams)

        @tf.function(input_signature=[signature, tf.TensorSpec([], tf.int32)], autograph=False)
        def evaluate(batch, space):
            return evaluation_sums(self._model.logits(batch, problem, space), batch["targets"])

        return evaluate


def evaluation_sums(logits: tf.Tensor, targets: tf.Tensor) -> EvaluationSums:
    """Sums over logits [B, T, V] against ids [B, T], where id 0 does not count, or [B, classes] against classes [B]."""
    is_text = targets.shape.rank == 2
    weights = tf.cast(targets != 0, tf.float32) if is_text else tf.ones_like(targets, tf.float32)
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    right = tf.cast(tf.argmax(logits, -1, tf.int32) == targets, tf.float32)
    flat, ids = tf.reshape(logits, (-1, logits.shape[-1])), tf.reshape(targets, [-1])
    top5 = tf.reshape(tf.cast(tf.math.in_top_k(ids, flat, min(5, logits.shape[-1])), tf.float32), tf.shape(targets))
    whole = tf.reduce_min(tf.maximum(right, 1.0 - weights), axis=-1) if is_text else right
    nats, right, top5 = (tf.reduce_sum(values * weights) for values in (nats, right, top5))
    return EvaluationSums(nats, right, top5, tf.reduce_sum(weights), tf.reduce_sum(whole), tf.cast(tf.size(whole), tf.float32))


def _expert_statistics(routings):
    """Root of the mean CV^2 of load and importance, and each expert's share of the load."""
    if not routings:
        return tf.zeros(()), tf.zeros(()), tf.zeros((0, 0))
    load = tf.stack([routing.load for routing in routings])
    importance = tf.stack([routing.importance for routing in routings])
    shares = load / tf.maximum(tf.reduce_sum(load, axis=1, keepdims=True), 1e-6)
    return _variation(load), _variation(importance), shares


def _variation(x):
    mean, variance = tf.nn.moments(x, axes=[1])
    return tf.sqrt(tf.reduce_mean(variance / (tf.square(mean) + 1e-10)))
