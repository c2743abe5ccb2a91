"""Adam with clipping by global norm, and the learning-rate schedules.

Keras's optimizers pass over parameters and slots several times; TensorFlow's fused kernel does one pass, in one operation for
each variable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from t2t_multimodel.config import TrainingConfig


def learning_rate(step: int, config: TrainingConfig) -> float:
    """The rate of step `step`, counted from 0: linear warm-up to `learning_rate`, then the schedule's decay from there.

    "rsqrt" and "noam" decay as 1 / sqrt(step) ("noam" is arXiv 1706.03762's, with the peak given instead of the depth), "cosine"
    to final_learning_rate of the peak at decay_steps, "exp" halves every decay_steps.
    """
    warmup = max(config.warmup_steps, 1)
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
    return 0.5 ** ((step - config.warmup_steps) / length) if kind == "exp" else 1.0


class Adam:
    """Adam (arXiv 1412.6980) on a fixed list of variables; a step may leave some of them out.

    Args:
        variables: all that may be trained, by name; slots "m" and "v" are made for each.
        config: beta1, beta2, epsilon and clip_norm.
    """

    def __init__(self, variables: dict[str, tf.Variable], config: TrainingConfig) -> None:
        self._config = config
        self.slots = {
            kind: {name: tf.Variable(tf.zeros_like(value), trainable=False) for name, value in variables.items()}
            for kind in ("m", "v")
        }
        self._variables = variables

    def apply(
        self,
        names: Sequence[str],
        gradients: Sequence[tf.Tensor],
        rate: tf.Tensor,
        step: tf.Tensor,
        used: Sequence[tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Clips the gradients together and updates the variables `names`; if one is not finite, nothing is changed.

        Args:
            names: which variables the gradients are of.
            gradients: dense, of the whole global batch.
            rate: float32 scalar.
            step: float32 scalar, counted from 1.
            used: float32 scalars, one a name: 1, or 0 where variable and slots are to stay as they are; None is all 1.

        Returns:
            The global norm before clipping, float32 scalar.
        """
        c = self._config
        norm = tf.sqrt(tf.add_n([2.0 * tf.nn.l2_loss(gradient) for gradient in gradients]))
        scale = tf.minimum(1.0, c.clip_norm / tf.maximum(norm, 1e-12)) if c.clip_norm else tf.ones(())
        powers = (tf.pow(c.beta1, step), tf.pow(c.beta2, step))

        def update() -> tf.Tensor:
            for i, (name, gradient) in enumerate(zip(names, gradients, strict=True)):
                self._update(name, gradient * scale, rate, powers, None if used is None else used[i])
            return norm

        return tf.cond(tf.math.is_finite(norm), update, lambda: norm)

    def _update(self, name: str, gradient: tf.Tensor, rate: Any, powers: tuple[Any, Any], used: tf.Tensor | None) -> None:
        c = self._config
        decays: list[Any] = [c.beta1, c.beta2]
        if used is not None:  # The kernel changes nothing where the rate is 0 and the decays are 1: cheaper than a condition.
            rate = rate * used
            decays = [tf.where(used > 0, decay, 1.0) for decay in decays]
        tf.raw_ops.ResourceApplyAdam(
            var=self._variables[name].handle,
            m=self.slots["m"][name].handle,
            v=self.slots["v"][name].handle,
            beta1_power=powers[0],
            beta2_power=powers[1],
            lr=rate,
            beta1=decays[0],
            beta2=decays[1],
            epsilon=c.epsilon,
            grad=gradient,
        )
