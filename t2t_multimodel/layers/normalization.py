"""Pointwise products, softmax, and layer normalisation (Ba et al. 2016, arXiv 1607.06450)."""

from typing import Any, NamedTuple

import keras
from keras import ops


class NormConstants(NamedTuple):
    """Tensors that every decoding step of a LayerNorm reads, in float32 at least.

    Attributes:
        gamma, beta: gain and shift, [D].
        mean: [D, 1], whose product with a row is the row's mean.
    """

    gamma: Any
    beta: Any
    mean: Any


@keras.saving.register_keras_serializable("t2t_multimodel")
class LayerNorm(keras.layers.Layer):
    """Normalises x [..., D] over the last axis, then scales it by `gamma` [D] and shifts it by `beta` [D].

    Args:
        epsilon: added to the variance.
        gain, shift: initial values of `gamma` and `beta`.
        centred: True promises that the input's mean over the last axis is 0 (see `centred_kernel`); no mean is subtracted then.

    Call: x [..., D]; returns the same shape and type.
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

    def precompute(self) -> NormConstants:
        """Returns the tensors that every decoding step reads."""
        gamma, beta = (at_least_float32(ops.cast(weight, weight.dtype)) for weight in (self.gamma, self.beta))
        depth = self.gamma.shape[0]
        return NormConstants(gamma, beta, ops.full((depth, 1), 1.0 / depth, dtype=gamma.dtype))

    def step(self, x, constants: NormConstants):
        """Returns the normalisation of x [R, D] without a gradient, in few operations; constants: from `precompute`."""
        rows = at_least_float32(x)
        if not self.centred:
            rows = rows - ops.matmul(rows, constants.mean)
        scale = ops.rsqrt(ops.matmul(ops.square(rows), constants.mean) + self.epsilon)
        return ops.cast(rows * scale * constants.gamma + constants.beta, x.dtype)

    def get_config(self):
        names = ("epsilon", "gain", "shift", "centred")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def dense(x, kernel):
    """Returns x [..., C] times kernel [C, F]: [..., F], in the type of x.

    It is one product of matrices, since a general contraction would transpose and count dimensions.
    """
    kernel = ops.cast(kernel, x.dtype)
    if len(x.shape) == 2:
        return ops.matmul(x, kernel)
    inputs, outputs = kernel.shape
    return ops.reshape(ops.matmul(ops.reshape(x, (-1, inputs)), kernel), (*ops.shape(x)[:-1], outputs))


def at_least_float32(x):
    """Returns x in float32 if its type has fewer bits, else x: half precision is too coarse for sums and exponentials."""
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))


def softmax(x):
    """Returns the softmax of x over the last axis; for an axis of length 1 it is 1, without the warning that Keras gives."""
    return ops.ones_like(x) if x.shape[-1] == 1 else ops.softmax(x)


def centred_kernel(kernel):
    """Returns kernel [C, F] minus the mean of each row.

    x times the result equals x times `kernel` with its mean over F subtracted, at no cost per position. The gradient, which is
    written out, is the upstream gradient centred in the same way.
    """

    @ops.custom_gradient
    def centre(kernel):
        def gradient(*args, upstream=None):
            return _centred(args[0] if upstream is None else upstream)

        return _centred(ops.convert_to_tensor(kernel)), gradient

    return centre(ops.cast(kernel, kernel.dtype))  # a variable is read here: TensorFlow allows no variable within


def _centred(x):
    return x - ops.mean(x, axis=1, keepdims=True)


def layer_norm(x, gamma, beta, epsilon: float, centred: bool = False):
    """Returns the layer normalisation of x [..., D] over the last axis, in the type of x.

    Half precision is computed in float32. The gradient is written out, so that it passes over x fewer times. Means and sums are
    products with a vector, which is their fastest form on a CPU.

    Args:
        gamma, beta: gain and shift, [D].
        epsilon: added to the variance.
        centred: whether the mean of x over the last axis is 0 already.
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
