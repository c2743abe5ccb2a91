"""Dropout whose random state has its own name, so that a checkpoint can restore it."""

import keras
from keras import ops

from t2t_multimodel.layers.recompute import seed_of
from t2t_multimodel.layers.replicas import draw_for_replica


@keras.saving.register_keras_serializable("t2t_multimodel")
class Dropout(keras.layers.Layer):
    """Zeroes a fraction `rate` of the input in training and scales the rest by 1 / (1 - rate).

    Keras's own layer names its random state by a count of the layers made in this process. Here the state lies under the layer's
    path.

    Args:
        rate: fraction of values to drop, 0 <= rate < 1.
        seed: initial value of the random state; None takes it from Keras's global seed.

    Call: x of any shape; returns the same shape and type.

    Raises:
        ValueError: `rate` is outside [0, 1).
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"rate must lie in [0, 1), got {rate}")
        self.rate = rate
        self.seed = seed

    def build(self, input_shape=None):
        self.noise = keras.random.SeedGenerator(self.seed, name="noise") if self.rate else None
        self.built = True

    def call(self, x, training=None):
        if not (training and self.noise):
            return x

        def uniform(shape):
            return keras.random.uniform(shape, dtype="float32", seed=seed_of(self.noise))

        kept = draw_for_replica(uniform, ops.shape(x)) >= self.rate
        return ops.where(kept, x * (1.0 / (1.0 - self.rate)), 0.0)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
