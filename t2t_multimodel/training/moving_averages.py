"""Exponential moving averages of the weights. A run that keeps them is evaluated and decoded with them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import tensorflow as tf


class MovingAverages:
    """Averages the weights: d * average + (1 - d) * weight after each step, with d = min(decay, (1 + step) / (10 + step)).

    The smaller d of the first steps makes the averages forget the initial weights, as in `tf.train.ExponentialMovingAverage`.
    Each average is on its weight's device. Make this object in the strategy's scope.

    Args:
        weights: the weights by name.
        decay: near 1; with 0 there are no averages, and all methods do nothing.
        strategy: the strategy that distributes the weights; None is one device.

    Attributes:
        variables: the averages, by the names of the weights.
    """

    def __init__(self, weights: Mapping[str, tf.Variable], decay: float, strategy: tf.distribute.Strategy | None = None) -> None:
        self._weights, self._decay = dict(weights) if decay else {}, decay
        self._strategy = strategy or tf.distribute.get_strategy()
        self.variables = {name: tf.Variable(tf.identity(value), trainable=False) for name, value in self._weights.items()}
        signature = [tf.TensorSpec([], tf.float32)]
        self._updated = tf.function(self._update, input_signature=signature, autograph=False)

    def update(self, step: int) -> None:
        """Adds the weights after step `step`, counted from 1, to the averages."""
        if self.variables:
            self._updated(tf.constant(1.0 - min(self._decay, (1.0 + step) / (10.0 + step)), tf.float32))

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Replaces the weights by their averages until the end of a `with` block."""
        kept = {name: tf.identity(weight) for name, weight in self._weights.items()}
        for name, average in self.variables.items():
            self._weights[name].assign(tf.identity(average))
        try:
            yield
        finally:
            for name, weight in self._weights.items():
                weight.assign(kept[name])

    def _update(self, rate: tf.Tensor) -> None:
        self._strategy.run(self._update_replica, (rate,))

    def _update_replica(self, rate: tf.Tensor) -> None:
        """Updates this replica's averages: average -= rate * (average - weight), in a fused kernel.

        The kernel changes this replica's copy alone, so that replicas need not wait for each other.
        """
        for name, average in self.variables.items():
            difference = tf.convert_to_tensor(average) - tf.convert_to_tensor(self._weights[name])
            tf.raw_ops.ResourceApplyGradientDescent(var=average.handle, alpha=rate, delta=difference)
