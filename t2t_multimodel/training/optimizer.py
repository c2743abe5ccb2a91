"""Adam and Adafactor with clipping by global norm, and the learning-rate schedules.

Keras's Adam passes over parameters and slots several times; TensorFlow's fused kernel passes once, in one operation per variable.
Keras's Adafactor bounds the rate by 1 / sqrt(step) under every schedule, and expands the factored moments to the size of the
parameters.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from t2t_multimodel.config import HParams, TrainingConfig
from t2t_multimodel.training.loss_scale import LossScale, assign

Slots = dict[str, dict[str, tf.Variable]]
Shapes = Mapping[str, Sequence[int]]

# For tensor2tensor's schemes: the number of last steps in which the rate falls, and the factor per step.
_LAST_STEPS = {"exp10k": (10_000, 0.9995), "exp50k": (50_000, 0.99995), "exp500k": (500_000, 0.9999955)}


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Returns the learning rate of step `step`, counted from 0: a linear warm-up to `learning_rate`, then the schedule's decay.

    "rsqrt" and "noam" decay as 1 / sqrt(step); "noam" is the schedule of arXiv 1706.03762 with the peak given instead of the
    depth. "cosine" decays to the fraction final_learning_rate of the peak at decay_steps. "exp" decays by the factor decay_rate
    every decay_steps.

    The other schedules are tensor2tensor's `learning_rate_decay_scheme` of June 2017. "exp10k", "exp50k" and "exp500k" keep the
    peak until 10,000, 50,000 or 500,000 steps before train_steps, then fall by 0.05%, 0.005% or 0.00045% per step. Their warm-up
    grows by a constant factor from a hundredth of the peak. "exp100k" falls by 6% every 100,000 steps and has no warm-up.
    """
    warmup = max(config.warmup_steps, 1)
    if config.learning_rate_schedule in _LAST_STEPS:
        last, factor = _LAST_STEPS[config.learning_rate_schedule]
        share = 0.01 ** (1 - step / warmup) if step < config.warmup_steps else factor ** max(0, step - config.train_steps + last)
        return config.learning_rate * share
    if config.learning_rate_schedule == "exp100k":
        return config.learning_rate * 0.94 ** (step // 100_000)
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / warmup
    return config.learning_rate * _decay(step, warmup, config)


def _decay(step: int, warmup: int, config: TrainingConfig) -> float:
    kind = config.learning_rate_schedule
    if kind in ("rsqrt", "noam"):
        return math.sqrt(warmup / (step + 1))
    length = max(config.decay_steps or config.train_steps, 1)
    if kind == "cosine":
        done = min(1.0, (step - config.warmup_steps) / max(length - config.warmup_steps, 1))
        return config.final_learning_rate + (1 - config.final_learning_rate) * 0.5 * (1 + math.cos(math.pi * done))
    return config.decay_rate ** ((step - config.warmup_steps) / length) if kind == "exp" else 1.0


class Optimizer(abc.ABC):
    """Clips gradients and updates variables; a step may leave some of them out.

    Args:
        variables: all variables that may be trained, by name.
        config: of which clip_norm and the fields of the kind of optimizer are read.
        loss_scale: the factor by which the loss, and so every gradient, is multiplied; None without one.

    Attributes:
        slots: the optimizer's variables by kind and name, the loss scale's among them.
    """

    def __init__(self, variables: dict[str, tf.Variable], config: TrainingConfig, loss_scale: LossScale | None = None) -> None:
        self._config = config
        self._variables = variables
        self.loss_scale = loss_scale
        shapes = self.slot_shapes({name: value.shape.as_list() for name, value in variables.items()})
        self.slots: Slots = {
            kind: {name: _slot(variables[name], shape) for name, shape in slots.items()} for kind, slots in shapes.items()
        }
        if loss_scale:
            self.slots["loss_scale"] = loss_scale.variables

    def scaled(self, loss: tf.Tensor) -> tf.Tensor:
        """Returns the value to differentiate: `loss` times the loss scale."""
        return loss * self.loss_scale.value if self.loss_scale else loss

    def apply(
        self,
        names: Sequence[str],
        gradients: Sequence[tf.Tensor],
        rate: tf.Tensor,
        step: tf.Tensor,
        used: Sequence[tf.Tensor | None] | None = None,
    ) -> tf.Tensor:
        """Clips the gradients together and updates the variables; if a gradient is not finite, no variable changes.

        Args:
            names: the variables' names.
            gradients: one per name, dense, of the scaled loss of the whole global batch.
            rate: the learning rate, a float32 scalar.
            step: float32 scalar, counted from 1.
            used: one float32 scalar per name: 1, or 0 to leave the variable and its slots unchanged. None means 1.

        Returns:
            The global norm before clipping, without the loss scale, a float32 scalar.
        """
        loss_scale = self.loss_scale.value if self.loss_scale else 1.0
        norm = tf.sqrt(tf.add_n([2.0 * tf.nn.l2_loss(gradient) for gradient in gradients])) / loss_scale
        clip_norm = self._config.clip_norm
        factor = tf.minimum(1.0, clip_norm / tf.maximum(norm, 1e-12)) if clip_norm else tf.ones(())
        factor = factor / loss_scale
        finite, decays = tf.math.is_finite(norm), self._decays(step)

        def update() -> tf.Tensor:
            for i, (name, gradient) in enumerate(zip(names, gradients, strict=True)):
                self._update(name, gradient * factor, rate, decays, None if used is None else used[i])
            return norm

        norm = tf.cond(finite, update, lambda: norm)
        if self.loss_scale:
            self.loss_scale.update(finite)
        return norm

    @staticmethod
    @abc.abstractmethod
    def slot_shapes(shapes: Shapes) -> dict[str, Shapes]:
        """Returns the shapes of the float32 slots by kind and variable's name, for variables with `shapes`, by name."""

    @abc.abstractmethod
    def _decays(self, step: tf.Tensor) -> Any:
        """Returns the decays that all updates of a step read; they are computed once per step."""

    @abc.abstractmethod
    def _update(self, name: str, gradient: tf.Tensor, rate: tf.Tensor, decays: Any, used: tf.Tensor | None) -> None:
        """Updates one variable; changes nothing if `used` is 0."""


class Adam(Optimizer):
    """Adam (arXiv 1412.6980) with the config's beta1, beta2 and epsilon. Slots "m" and "v" have each variable's shape."""

    @staticmethod
    def slot_shapes(shapes: Shapes) -> dict[str, Shapes]:
        return {"m": shapes, "v": shapes}

    def _decays(self, step: tf.Tensor) -> Any:
        return tf.pow(self._config.beta1, step), tf.pow(self._config.beta2, step)

    def _update(self, name: str, gradient: tf.Tensor, rate: tf.Tensor, decays: Any, used: tf.Tensor | None) -> None:
        c = self._config
        betas: list[Any] = [c.beta1, c.beta2]
        if used is not None:  # With a rate of 0 and betas of 1 the kernel changes nothing, which is cheaper than a condition.
            rate = rate * used
            betas = [tf.where(used > 0, beta, 1.0) for beta in betas]
        tf.raw_ops.ResourceApplyAdam(
            var=self._variables[name].handle,
            m=self.slots["m"][name].handle,
            v=self.slots["v"][name].handle,
            beta1_power=decays[0],
            beta2_power=decays[1],
            lr=rate,
            beta1=betas[0],
            beta2=betas[1],
            epsilon=c.epsilon,
            grad=gradient,
        )


class Adafactor(Optimizer):
    """Adafactor without momentum (Shazeer and Stern 2018, arXiv 1804.04235, algorithms 4 and 5).

    Slots "row" [..., D] and "column" [..., F] hold the factored second moments of a variable [..., D, F]: the means over its last
    axis and over the axis before. A variable [E, D, F] of E experts has factored moments for each expert. Slots "v" hold the full
    second moments of variables with fewer than two axes. The decay is 1 - step^-0.8. An update is scaled down to a root mean
    square of at most 1. The rate is relative to the variable's own root mean square (at least 1e-3), so that a good
    `learning_rate` is about 0.01.
    """

    @staticmethod
    def slot_shapes(shapes: Shapes) -> dict[str, Shapes]:
        factored = {name: shape for name, shape in shapes.items() if len(shape) > 1}
        return {
            "row": {name: shape[:-1] for name, shape in factored.items()},
            "column": {name: [*shape[:-2], shape[-1]] for name, shape in factored.items()},
            "v": {name: shape for name, shape in shapes.items() if name not in factored},
        }

    def _decays(self, step: tf.Tensor) -> Any:
        return 1.0 - tf.pow(step, -0.8)

    def _update(self, name: str, gradient: tf.Tensor, rate: tf.Tensor, decays: Any, used: tf.Tensor | None) -> None:
        decay = decays
        if used is not None:
            decay = tf.where(used > 0, decay, 1.0)
        square = tf.square(gradient) + 1e-30
        if name in self.slots["row"]:
            row = self._moment("row", name, decay, tf.reduce_mean(square, axis=-1))
            column = self._moment("column", name, decay, tf.reduce_mean(square, axis=-2))
            row = row / tf.reduce_mean(row, axis=-1, keepdims=True)
            update = gradient * tf.math.rsqrt(row)[..., None] * tf.math.rsqrt(column)[..., None, :]
        else:
            update = gradient * tf.math.rsqrt(self._moment("v", name, decay, square))
        value = self._variables[name].read_value()
        rate = rate * tf.maximum(_root_mean_square(value), 1e-3) / tf.maximum(_root_mean_square(update), 1.0)
        if used is not None:  # A variable that was never used has moments of 0, which make its update NaN.
            update = tf.where(used > 0, update, 0.0)
            rate = tf.where(used > 0, rate, 0.0)
        assign(self._variables[name], value - rate * update)

    def _moment(self, kind: str, name: str, decay: tf.Tensor, square: tf.Tensor) -> tf.Tensor:
        """Adds the gradient's square to the moment in its slot and returns the moment."""
        slot = self.slots[kind][name]
        moment = decay * slot.read_value() + (1.0 - decay) * square
        assign(slot, moment)
        return moment


def _slot(variable: tf.Variable, shape: Sequence[int]) -> tf.Variable:
    """Returns a float32 variable of zeros on the device of `variable`."""
    with tf.distribute.get_strategy().extended.colocate_vars_with(variable):
        return tf.Variable(tf.zeros(shape), trainable=False)


def _root_mean_square(x: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_mean(tf.square(x)))


OPTIMIZERS: dict[str, type[Optimizer]] = {"adam": Adam, "adafactor": Adafactor}


def make_optimizer(variables: dict[str, tf.Variable], hparams: HParams) -> Optimizer:
    """Returns the optimizer that `hparams` name for `variables`, with a loss scale if the model computes in float16."""
    loss_scale = LossScale() if hparams.model.precision == "float16" else None
    return OPTIMIZERS[hparams.training.optimizer](variables, hparams.training, loss_scale)
