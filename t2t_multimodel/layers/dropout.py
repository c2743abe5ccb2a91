"""Dropout whose random state has its own name, so that a checkpoint can restore it."""

import keras
from keras import ops

from t2t_multimodel.layers.recompute import seed_of
from t2t_multimodel.layers.replicas import draw_for_replica


class RandomRate(keras.layers.Layer):
    """A layer that acts at random in training, at the rate `rate`.

    Keras's own layers name their random state by a count of the layers made in this process. Here the state lies under the
    layer's path.

    Args:
        rate: the probability to act, 0 <= rate < 1; at 0 there is no random state.
        seed: initial value of the random state; None takes it from Keras's global seed.

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

    def draw(self, shape):
        """Returns numbers float32 of `shape`, uniform in [0, 1), each replica its own part of them."""

        def uniform(whole):
            return keras.random.uniform(whole, dtype="float32", seed=seed_of(self.noise))

        return draw_for_replica(uniform, shape)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@keras.saving.register_keras_serializable("t2t_multimodel")
class Dropout(RandomRate):
    """Zeroes a fraction `rate` of the input in training and scales the rest by 1 / (1 - rate).

    Call: x of any shape; returns the same shape and type.
    """

    def call(self, x, training=None):
        if not (training and self.noise):
            return x
        return ops.where(self.draw(ops.shape(x)) >= self.rate, x * (1.0 / (1.0 - self.rate)), 0.0)
