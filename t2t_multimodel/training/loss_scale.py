"""The loss scale of training in float16 (Micikevicius et al. 2018, arXiv 1710.03740, section 3.2)."""

from __future__ import annotations

import tensorflow as tf

FIRST = 2.0**15
LEAST, MOST = 1.0, 2.0**24
GROWTH_STEPS = 2000


class LossScale:
    """A factor on the loss that keeps small gradients from vanishing in float16.

    A step whose gradient is not finite halves the factor, down to `LEAST`. `GROWTH_STEPS` finite steps in a row double it, up to
    `MOST`.

    Attributes:
        variables: the scalars "scale" float32 and "finite_steps" int32, for checkpoints.
    """

    def __init__(self) -> None:
        self.variables = {
            "scale": tf.Variable(FIRST, trainable=False),
            "finite_steps": tf.Variable(0, trainable=False),
        }

    @property
    def value(self) -> tf.Tensor:
        """Returns the factor, a float32 scalar."""
        return self.variables["scale"].read_value()

    def is_least(self) -> bool:
        """Returns whether the factor can be lowered no further."""
        return float(self.value) <= LEAST

    def update(self, finite: tf.Tensor) -> None:
        """Updates the factor after a step, in a traced function; `finite`, a bool scalar, is False if its gradient was not."""
        steps = tf.where(finite, self.variables["finite_steps"].read_value() + 1, 0)
        grown = tf.where(steps == GROWTH_STEPS, tf.minimum(2.0 * self.value, MOST), self.value)
        assign(self.variables["scale"], tf.where(finite, grown, tf.maximum(0.5 * self.value, LEAST)))
        assign(self.variables["finite_steps"], steps % GROWTH_STEPS)


def assign(variable: tf.Variable, value: tf.Tensor) -> None:
    """Assigns `value` to this replica's copy alone: all replicas compute the same value and need not wait for each other."""
    tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)
