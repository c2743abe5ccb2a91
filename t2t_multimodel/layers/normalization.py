"""Pointwise products, softmax, and layer normalisation (Ba et al. 2016, arXiv 1607.06450)."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("t2t_multimodel")
class LayerNorm(keras.layers.Layer):
    """Normalises the last axis, then scales by `gamma` and shifts by `beta` (both of the axis's size).

    Args:
        epsilon: added to the variance.
        shift: what `beta` starts with.
    """

    def __init__(self, epsilon: float = 1e-6, shift: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.shift = shift

    def build(self, input_shape):
        self.gamma = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="gamma")
        initializer = keras.initializers.Constant(self.shift)
        self.beta = self.add_weight(shape=(input_shape[-1],), initializer=initializer, name="beta")

    def call(self, x):
        return layer_norm(x, ops.cast(self.gamma, x.dtype), ops.cast(self.beta, x.dtype), self.epsilon)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon, "shift": self.shift}


def dense(x, kernel):
    """x [..., C] times kernel [C, F], as one product of matrices: a general contraction would transpose and count dimensions."""
    if len(x.shape) == 2:
        return ops.matmul(x, kernel)
    inputs, outputs = kernel.shape
    return ops.reshape(ops.matmul(ops.reshape(x, (-1, inputs)), kernel), (*ops.shape(x)[:-1], outputs))


def softmax(x):
    """Softmax over the last axis; Keras's warns of an axis of one, whose softmax is 1."""
    return ops.ones_like(x) if x.shape[-1] == 1 else ops.softmax(x)


def layer_norm(x, gamma, beta, epsilon: float):
    """LN over the last axis of x [..., D], with gamma and beta [D]; the gradient is written out, to take fewer operations."""
    depth = x.shape[-1]

    @ops.custom_gradient
    def normalise(x, gamma, beta):
        x = ops.convert_to_tensor(x)
        centred = x - ops.mean(x, axis=-1, keepdims=True)
        scale = ops.rsqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + epsilon)
        normal = centred * scale

        def gradient(*args, upstream=None):
            dy = args[0] if upstream is None else upstream
            rows, flat = ops.reshape(dy, (-1, depth)), ops.reshape(normal, (-1, depth))
            d_normal = dy * gamma
            projection = ops.mean(d_normal * normal, axis=-1, keepdims=True)
            dx = scale * (d_normal - ops.mean(d_normal, axis=-1, keepdims=True) - normal * projection)
            return dx, ops.sum(rows * flat, axis=0), ops.sum(rows, axis=0)

        return normal * gamma + beta, gradient

    return normalise(x, gamma, beta)
