"""Pointwise products, softmax, and layer normalisation (Ba et al. 2016, arXiv 1607.06450)."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("t2t_multimodel")
class LayerNorm(keras.layers.Layer):
    """Normalises the last axis, then scales by `gamma` and shifts by `beta` (both of the axis's size).

    Args:
        epsilon: added to the variance.
        gain, shift: what `gamma` and `beta` start with.
        centred: promises that the input's mean over the last axis is 0 (see `centred_kernel`), so that none is taken away.
    """

    def __init__(self, epsilon: float = 1e-6, gain: float = 1.0, shift: float = 0.0, centred: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.gain = gain
        self.shift = shift
        self.centred = centred

    def build(self, input_shape):
        for name, value in (("gamma", self.gain), ("beta", self.shift)):
            initializer = keras.initializers.Constant(value)
            weight = self.add_weight(shape=(input_shape[-1],), initializer=initializer, name=name, autocast=False)
            setattr(self, name, weight)

    def call(self, x):
        return layer_norm(x, self.gamma, self.beta, self.epsilon, self.centred)

    def get_config(self):
        names = ("epsilon", "gain", "shift", "centred")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def dense(x, kernel):
    """x [..., C] times kernel [C, F], as one product of matrices: a general contraction would transpose and count dimensions.

    The kernel is cast to the type of x.
    """
    kernel = ops.cast(kernel, x.dtype)
    if len(x.shape) == 2:
        return ops.matmul(x, kernel)
    inputs, outputs = kernel.shape
    return ops.reshape(ops.matmul(ops.reshape(x, (-1, inputs)), kernel), (*ops.shape(x)[:-1], outputs))


def at_least_float32(x):
    """x, in float32 if its type has fewer bits: for sums and exponentials that half precision would spoil."""
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))


def softmax(x):
    """Softmax over the last axis; Keras's warns of an axis of one, whose softmax is 1."""
    return ops.ones_like(x) if x.shape[-1] == 1 else ops.softmax(x)


def centred_kernel(kernel):
    """kernel [C, F] less the mean of each row: x times it is x times `kernel`, centred over F, at no cost per position."""
    return kernel - ops.mean(kernel, axis=1, keepdims=True)


def layer_norm(x, gamma, beta, epsilon: float, centred: bool = False):
    """LN over the last axis of x [..., D], with gamma and beta [D]; `centred`: its mean is 0 already.

    Of x in half precision it is computed in float32; the result has the type of x.

    The gradient is written out, to pass over x fewer times; means and sums are products with a vector, the fastest way to take
    them on a CPU.
    """
    depth = x.shape[-1]

    @ops.custom_gradient
    def normalise(x, gamma, beta):
        x = ops.convert_to_tensor(x)
        shape, rows = ops.shape(x), ops.reshape(x, (-1, depth))
        mean = ops.full((depth, 1), 1.0 / depth, dtype=x.dtype)
        if not centred:
            rows = rows - ops.matmul(rows, mean)
        scale = ops.rsqrt(ops.matmul(ops.square(rows), mean) + epsilon)
        normal = rows * scale

        def gradient(*args, upstream=None):
            dy = ops.reshape(args[0] if upstream is None else upstream, (-1, depth))
            per_gain = dy * normal
            weights = ops.reshape(gamma, (depth, 1)) / depth
            d_normal = dy * gamma - normal * ops.matmul(per_gain, weights)
            if not centred:
                d_normal = d_normal - ops.matmul(dy, weights)
            ones = ops.ones((1, ops.shape(dy)[0]), dtype=dy.dtype)
            d_gamma, d_beta = (ops.reshape(ops.matmul(ones, each), (depth,)) for each in (per_gain, dy))
            return ops.reshape(d_normal * scale, shape), d_gamma, d_beta

        return ops.reshape(normal * gamma + beta, shape), gradient

    wide = at_least_float32(x)
    return ops.cast(normalise(wide, ops.cast(gamma, wide.dtype), ops.cast(beta, wide.dtype)), x.dtype)
