"""The traced functions of training and evaluation; one function serves all problems with the same target modality."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data.fixed_shapes import pad_rows
from t2t_multimodel.distributed.sharding import in_parts
from t2t_multimodel.features import Batch, Label, ProblemSpec
from t2t_multimodel.model_protocol import Model
from t2t_multimodel.tf_internals import traced
from t2t_multimodel.training.checkpoints import by_path
from t2t_multimodel.training.input_switch import Choice, InputSwitch
from t2t_multimodel.training.metrics import MetricSums, metric_sums
from t2t_multimodel.training.optimizer import Optimizer
from t2t_multimodel.utils.constants import NO_LABEL, PAD_ID

Traced = Callable[..., Any]
_SCALAR = tf.TensorSpec([], tf.float32)
_DRAWS = 1000  # more than a step draws from any one state of noise


class StepResult(NamedTuple):
    """The metrics of a training step, float32 scalars but for `expert_load`.

    Attributes:
        loss: mean loss in nats per target token (or label).
        gradient_norm: global norm of the gradient before clipping.
        tokens: target tokens (or labels).
        load_cv, importance_cv: root mean square, over the mixtures, of the coefficients of variation of the experts' load and
            importance; 0 without experts.
        expert_load: float32 [mixtures, experts], the share of tokens of each expert.
        dropped_fraction: the share of all pairs of a token and an expert that were left out; 0 unless moe_drop is set.
    """

    loss: tf.Tensor
    gradient_norm: tf.Tensor
    tokens: tf.Tensor
    load_cv: tf.Tensor
    importance_cv: tf.Tensor
    expert_load: tf.Tensor
    dropped_fraction: tf.Tensor | float = 0.0


class StepFunctions:
    """Traces and keeps the functions of a model.

    Args:
        model: a built MultiModel.
        optimizer: the optimizer of the model's variables, by path and in parts; None allows evaluation alone.
        hparams: the run's hyperparameters.
        strategy: the strategy whose replicas divide each batch among them; model and optimizer were made in its scope. None is
            one device.
        call: runs a traced function elsewhere, where several steps may be under way at once, and returns its result. Noise and
            dropout are then functions of the step's number, so that no two steps share them. None runs functions here.

    With several replicas the gradients are summed to the gradient of the whole batch and clipped once; Keras's optimizers would
    clip each replica's. Losses are divided by the weight of the whole batch, and the experts' balance losses are computed for the
    whole batch.

    If hparams ask for several problems or batches per step, further functions add a batch's gradient to accumulators, and one
    function applies the sum. So no combination of problems needs a function of its own.

    A function serves several kinds of input (see InputSwitch) with two exceptions. Steps that run elsewhere are on workers that
    may have one problem each, and XLA would compile all kinds again for each length of one.
    """

    def __init__(
        self,
        model: Model,
        optimizer: Optimizer | None,
        hparams: HParams,
        strategy: tf.distribute.Strategy | None = None,
        call: Callable[[Traced, tuple[Any, ...]], Any] | None = None,
    ) -> None:
        self._model = model
        self._strategy = strategy or tf.distribute.get_strategy()
        self._replicas = self._strategy.num_replicas_in_sync
        self._optimizer: Any = optimizer
        self._hparams = hparams
        self._call = call or (lambda function, arguments: function(*arguments))
        self._seeds = _seeds(model) if call else []
        self._compiled = hparams.training.xla
        compiled = self._compiled or isinstance(self._strategy, tf.distribute.TPUStrategy)
        self._static = compiled and hparams.data.fixed_shapes
        self._inputs = InputSwitch(model, hparams, joined=not (call or compiled))
        self._traced: dict[tuple[Any, ...], Traced] = {}
        self._used: dict[tuple[str, ...], set[str]] = {}  # by the sources' key, the variables that have a gradient
        c = hparams.training
        self._accumulators = self._make_accumulators() if optimizer and c.problems_per_step * c.accumulate_steps > 1 else {}
        self._apply = self._make_apply()

    def train(self, problem: str, batch: Batch, rate: float, step: int) -> StepResult:
        """Trains one step on a batch of `problem` and returns its metrics.

        Args:
            problem: the problem's name.
            batch: as TrainingBatches yields it.
            rate: the learning rate.
            step: the step's number, counted from 1.
        """
        function = self._function("train", problem, batch, self._make_train)
        scalars = [tf.constant(value, tf.float32) for value in (rate, step, self._model.specs[problem].loss_weight)]
        return self._call(function, (*self._inputs.arguments(problem, batch), *scalars))

    def train_on_several(self, drawn: Sequence[tuple[str, Sequence[Batch]]], rate: float, step: int) -> list[StepResult]:
        """Trains one step on several batches and returns the metrics of each problem.

        The gradient is the mean of the problems' gradients, so that neither clip_norm nor the rate depends on their number. A
        problem's batches count as one joined batch: each loss is divided by the weight of all of them. The experts' balance
        losses are computed per batch and averaged. The gradient is clipped once. A variable that none of the problems reads does
        not change.

        Args:
            drawn: (problem, its batches) for each problem of the step.
            rate: the learning rate.
            step: the step's number, counted from 1.

        Returns:
            A result for each of `drawn`: `loss` and `tokens` of all its batches, the mean of its experts' metrics, and the norm
            of the whole gradient.
        """
        results: list[StepResult] = []
        used: set[str] = set()
        for problem, batches in drawn:
            spec = self._model.specs[problem]
            weights = tf.add_n([target_weight(spec, batch) for batch in batches])
            shares = [tf.constant(share / len(drawn), tf.float32) for share in (spec.loss_weight, 1 / len(batches))]
            parts = [
                self._function("add", problem, batch, self._make_add)(*self._inputs.arguments(problem, batch), weights, *shares)
                for batch in batches
            ]
            used |= self._inputs.read(problem, self._used[self._inputs.key(problem)])
            results.append(_joined(parts))
        mask = tf.constant([float(name in used) for name in self._accumulators])
        norm = self._apply(mask, tf.constant(rate, tf.float32), tf.constant(step, tf.float32))
        return [result._replace(gradient_norm=norm) for result in results]

    def evaluate(self, problem: str, batch: Batch) -> MetricSums:
        """Returns the sums of the teacher-forced metrics over a batch of `problem`."""
        function = self._function("evaluate", problem, None, self._make_evaluate)
        return self._call(function, self._inputs.arguments(problem, batch))

    def _function(self, kind: str, problem: str, batch: Batch | None, make: Callable[[str, list[Any]], Traced]) -> Traced:
        """Returns a traced function for a batch of this shape; one function serves all shapes unless they are declared."""
        signature = self._inputs.signature(problem)
        shapes: tuple[Any, ...] = ()
        if batch is not None and self._static:
            given = self._inputs.arguments(problem, batch)[0]
            signature = [tf.nest.map_structure(lambda value: tf.TensorSpec(value.shape, value.dtype), given), signature[1]]
            shapes = tuple(tuple(spec.shape) for spec in tf.nest.flatten(signature[0]))
        key = (kind, *self._inputs.key(problem), *shapes)
        if key not in self._traced:
            self._traced[key] = make(problem, signature)
        return self._traced[key]

    def _make_train(self, problem: str, signature: list[Any]) -> Callable[..., StepResult]:
        def replica_step(batch: Batch, choice: Choice, rate: tf.Tensor, number: tf.Tensor, loss_weight: tf.Tensor) -> StepResult:
            with self._noise(number):
                gradients, result = self._differentiate(problem, batch, choice, loss_weight)
            used = self._inputs.used(problem, gradients, choice)
            norm = self._optimizer.apply(list(gradients), self._sum(list(gradients.values())), rate, number, used)
            return result._replace(gradient_norm=norm)

        return self._replicated(replica_step, [*signature, *[_SCALAR] * 3])

    def _make_add(self, problem: str, signature: list[Any]) -> Callable[..., StepResult]:
        def replica_add(
            batch: Batch, choice: Choice, weight: tf.Tensor, loss_weight: tf.Tensor, balance_weight: tf.Tensor
        ) -> StepResult:
            gradients, result = self._differentiate(problem, batch, choice, loss_weight, weight, balance_weight)
            self._used[self._inputs.key(problem)] = set(gradients)
            for name, gradient in gradients.items():
                self._accumulators[name].assign_add(gradient)
            return result

        return self._replicated(replica_add, [*signature, *[_SCALAR] * 3])

    def _make_apply(self) -> Callable[..., tf.Tensor]:
        def replica_apply(used: tf.Tensor, rate: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
            sums = self._sum([accumulator.read_value() for accumulator in self._accumulators.values()])
            norm = self._optimizer.apply(list(self._accumulators), sums, rate, number, tf.unstack(used))
            for accumulator in self._accumulators.values():
                accumulator.assign(tf.zeros_like(accumulator))
            return norm

        return self._replicated(replica_apply, [tf.TensorSpec([len(self._accumulators)], tf.float32), _SCALAR, _SCALAR])

    def _make_accumulators(self) -> dict[str, tf.Variable]:
        """Returns a variable for the sum of gradients per trainable variable; each replica has its own sums until `_apply`."""
        with self._strategy.scope():
            return {
                name: tf.Variable(
                    tf.zeros_like(variable),
                    trainable=False,
                    synchronization=tf.VariableSynchronization.ON_READ,
                    aggregation=tf.VariableAggregation.SUM,
                )
                for name, variable in by_path(self._model.trainable_variables).items()
            }

    def _differentiate(
        self, problem: str, batch: Batch, choice: Choice, loss_weight: Any, weight: Any = None, balance_weight: Any = 1.0
    ) -> tuple[dict[str, tf.Tensor], StepResult]:
        """Returns a replica's part of the gradient, by the variables' paths, and the step's metrics without the norm.

        Args:
            problem, batch, choice: as in a traced function.
            loss_weight: factor on the loss.
            weight: divides the loss; None is the batch's own weight.
            balance_weight: factor on the experts' balance losses.
        """
        variables = in_parts(by_path(self._model.trainable_variables))
        chosen = self._inputs.problem(problem, choice)
        # A compiler draws other numbers anyhow, and has to know the shape of what is drawn.
        drawn = self._model.real_lengths(batch, chosen) if self._hparams.data.fixed_shapes and not self._static else None
        batch, rows, share = self._part(problem, batch)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for variable in variables.values():
                tape.watch(variable)
            smoothing = self._hparams.training.label_smoothing
            static = self._hparams.has_fixed_capacity
            terms = self._model.loss_terms(batch, chosen, True, smoothing, choice.space, rows, drawn, static)
            tokens = self._sum(terms.weight * share)
            loss = terms.total * share / tf.maximum(tokens if weight is None else weight, 1.0)
            routings = [
                r._replace(
                    importance=self._sum(r.importance * share),
                    load=self._sum(r.load * share),
                    dropped=self._sum(r.dropped * share),
                )
                for r in terms.routings
            ]
            balance = self._model.balance_loss(routings) * (balance_weight / self._replicas)
            objective = self._optimizer.scaled(loss_weight * loss + balance)
        gradients = tape.gradient(objective, variables)
        used = {name: tf.convert_to_tensor(gradient) for name, gradient in gradients.items() if gradient is not None}
        return used, StepResult(self._sum(loss), tf.zeros(()), tokens, *_expert_statistics(routings, self._hparams.model.moe_k))

    def _replicated(self, function: Callable[..., Any], signature: list[Any]) -> Callable[..., Any]:
        """Returns a traced function that runs `function` on every replica and returns the first replica's results.

        The results are the same on all replicas.
        """

        def run(*arguments: Any) -> Any:
            result = self._strategy.run(function, arguments)
            return tf.nest.map_structure(lambda value: self._strategy.experimental_local_results(value)[0], result)

        return traced(run, input_signature=signature, jit_compile=self._compiled or None)

    def _noise(self, number: tf.Tensor) -> contextlib.AbstractContextManager[Any]:
        """Makes everything traced within draw the noise of step `number` if steps may overlap.

        Otherwise the noise continues where the last step ended.
        """
        if not self._seeds:
            return contextlib.nullcontext()
        counter = tf.cast(number, tf.int64) * _DRAWS
        return keras.StatelessScope([(state, tf.stack([tf.constant(seed, tf.int64), counter])) for state, seed in self._seeds])

    def _part(self, problem: str, batch: Batch) -> tuple[Batch, tuple[Any, ...] | None, tf.Tensor | float]:
        """Returns this replica's rows, their range (first, count, total), and a weight of 1.0.

        A replica that is left without rows gets one row and a weight of 0.0, so that no layer has to handle empty batches. With a
        single replica: the whole batch, None, 1.0. Where shapes are static, all replicas get the same number of rows, for which
        rows of weight 0 are added.
        """
        if self._replicas == 1:
            return batch, None, 1.0
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        if self._static:
            count = -(-batch["targets"].shape[0] // self._replicas)
            batch = pad_rows(batch, self._model.specs[problem], count * self._replicas)
            own = tf.nest.map_structure(
                lambda value: tf.reshape(value, [self._replicas, count, *value.shape[1:]])[replica], batch
            )
            return own, (replica * count, count, count * self._replicas), 1.0
        total = tf.shape(batch["targets"])[0]
        first, end = (total * number // self._replicas for number in (replica, replica + 1))
        share = tf.cast(end > first, tf.float32)
        first = tf.minimum(first, total - 1)
        count = tf.maximum(end - first, 1)
        return tf.nest.map_structure(lambda value: value[first : first + count], batch), (first, count, total), share

    def _sum(self, values: Any) -> Any:
        """Returns the sums of `values` over the replicas."""
        if self._replicas == 1:
            return values
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)

    def _make_evaluate(self, problem: str, signature: list[Any]) -> Callable[..., MetricSums]:
        def evaluate(batch: Batch, choice: Choice) -> MetricSums:
            chosen = self._inputs.problem(problem, choice)
            return metric_sums(self._model.logits(batch, chosen, choice.space), batch["targets"])

        return traced(evaluate, input_signature=signature)


def target_weight(spec: ProblemSpec, batch: Batch) -> tf.Tensor:
    """Returns the weight of a batch, by which its loss is divided, a float32 scalar: its target tokens or its labels."""
    missing = NO_LABEL if isinstance(spec.targets, Label) else PAD_ID
    return tf.math.count_nonzero(batch["targets"] != missing, dtype=tf.float32)


def _joined(parts: list[StepResult]) -> StepResult:
    """Returns the result of one problem's batches together: losses and tokens are summed, the experts' metrics averaged.

    The losses have been divided by the weight of all batches.
    """
    columns = {name: tf.add_n([getattr(part, name) for part in parts]) for name in StepResult._fields}
    sums = ("loss", "tokens")
    return StepResult(**{name: total if name in sums else total / len(parts) for name, total in columns.items()})


def _seeds(model: Model) -> list[tuple[Any, int]]:
    """Returns the states of a model's noise and dropout, Keras variables int64 [2] of seed and number of draws, and the seeds."""
    states = [variable for variable in model.non_trainable_variables if variable.path.endswith("/seed_generator_state")]
    return [(state, int(state.numpy()[0])) for state in states]


def _expert_statistics(routings: Sequence[Any], k: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the root mean square variations of load and importance, each expert's share of the load, and the dropped share.

    Args:
        k: experts per token. The gates of a token sum to 1, so that the sum of all importances is the number of tokens.
    """
    if not routings:
        return tf.zeros(()), tf.zeros(()), tf.zeros((0, 0)), tf.zeros(())
    load = tf.stack([routing.load for routing in routings])
    importance = tf.stack([routing.importance for routing in routings])
    shares = load / tf.maximum(tf.reduce_sum(load, axis=1, keepdims=True), 1e-6)
    dropped = tf.add_n([routing.dropped for routing in routings]) / tf.maximum(k * tf.reduce_sum(importance), 1e-6)
    return _variation(load), _variation(importance), shares, dropped


def _variation(x: tf.Tensor) -> tf.Tensor:
    mean, variance = tf.nn.moments(x, axes=[1])
    return tf.sqrt(tf.reduce_mean(variance / (tf.square(mean) + 1e-10)))
