"""Convolution steps and blocks (arXiv 1706.05137, sections 2.1 and 2.5.2).

Letters in shapes: B batch, L length, H height, W width, C input channels, F output channels.

One-dimensional inputs are [B, L, C] and two-dimensional inputs [B, H, W, C]. Zeros are padded explicitly: as many on both sides,
or all on the left. An output position then reads the same inputs, however long the input is.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from t2t_multimodel.layers.dropout import Dropout
from t2t_multimodel.layers.normalization import LayerNorm, NormConstants, centred_kernel, dense
from t2t_multimodel.utils.constants import LOWEST, LOWEST_HALF

# The mean of the largest of nine standard normal values. A normalised step before a 3x3 max-pooling starts shifted down by it.
# Otherwise every later step receives the same large constant, and two pictures differ by only a few percent of it.
POOLED_MEAN = 1.485


class ConvStepConstants(NamedTuple):
    """Tensors that every decoding step of a ConvStep reads: the centred pointwise kernel [C, F] and the normalisation's."""

    kernel: Any
    norm: NormConstants


def depthwise_conv_1d(x, kernel, dilation: int = 1, causal: bool = False):
    """Returns the depthwise convolution of x over time.

    A dilated convolution is an undilated one over the rows of [L / dilation, dilation]. This avoids the copy of the input into
    batches that the usual space-to-batch makes: forward and backward together were 2.5 to 6 times faster on a CPU.

    Args:
        x: [B, L, C].
        kernel: [size, C].
        dilation: distance between taps, in positions.
        causal: True pads zeros on the left alone, False as many on both sides.

    Returns:
        [B, L, C].
    """
    size, channels = kernel.shape
    reach = (size - 1) * dilation
    left = reach if causal else reach // 2
    kernel = ops.reshape(kernel, (size, 1, channels, 1))
    if dilation == 1:
        x = ops.expand_dims(ops.pad(x, [[0, 0], [left, reach - left], [0, 0]]), 2)
        return ops.squeeze(ops.depthwise_conv(x, kernel, padding="valid", data_format="channels_last"), 2)
    length = ops.shape(x)[1]
    fill = (-length) % dilation
    x = ops.pad(x, [[0, 0], [left, reach - left + fill], [0, 0]])
    x = ops.reshape(x, (-1, (length + reach + fill) // dilation, dilation, channels))
    y = ops.depthwise_conv(x, kernel, padding="valid", data_format="channels_last")
    return ops.reshape(y, (-1, length + fill, channels))[:, :length]


def depthwise_conv_2d(x, kernel, stride: int = 1):
    """Returns the depthwise convolution of x over height and width.

    Args:
        x: [B, H, W, C].
        kernel: [h, w, C] with odd h and w.
        stride: along both axes, in positions.

    Returns:
        [B, ceil(H / stride), ceil(W / stride), C].
    """
    height, width, channels = kernel.shape
    x = ops.pad(x, [[0, 0], [height // 2] * 2, [width // 2] * 2, [0, 0]])
    kernel = ops.reshape(kernel, (height, width, channels, 1))
    return ops.depthwise_conv(x, kernel, strides=stride, padding="valid", data_format="channels_last")


def max_pool(x, strides: tuple[int, ...], mask=None):
    """Returns the maxima of x over windows of 3 positions along every axis.

    Args:
        x: [B, L, C] or [B, H, W, C].
        strides: one per axis.
        mask: [B, L] or [B, H]; a position where it is 0 is never the maximum.

    Returns:
        A tensor of x's rank and type, each axis ceil(size / stride) long.
    """
    lowest = LOWEST_HALF if keras.backend.standardize_dtype(x.dtype) == "float16" else LOWEST
    if mask is not None:
        x = x + lowest * (1.0 - _spread(mask, x))
    x = ops.pad(x, [[0, 0], *([1, 1] for _ in strides), [0, 0]], constant_values=lowest)
    return ops.max_pool(x, pool_size=3, strides=strides, padding="valid", data_format="channels_last")


def subsample(x, strides: tuple[int, ...]):
    """Returns every stride-th position along each axis of x [B, L, C] or [B, H, W, C], starting with the first.

    Max-pooling with windows of one position does this: the gradient of a strided slice took three times as long on a CPU.
    """
    return (
        x if set(strides) == {1} else ops.max_pool(x, pool_size=1, strides=strides, padding="valid", data_format="channels_last")
    )


def _spread(mask, x):
    """Returns mask [B, L] as a factor [B, L, 1, ...] for x [B, L, ...], in the type of x."""
    mask = ops.cast(mask, x.dtype)
    for _ in range(len(x.shape) - 2):
        mask = ops.expand_dims(mask, -1)
    return mask


@keras.saving.register_keras_serializable("t2t_multimodel")
class ConvStep(keras.layers.Layer):
    """The convolution step LN(SepConv(W, ReLU(x))) of section 2.1.

    The depthwise multiplier is 1. SepConv has no bias, since LN has one. A 1x1 kernel has no depthwise part: it would be one
    factor per channel, which the pointwise part contains. A stride with a 1x1 kernel picks positions before it computes anything.

    Args:
        filters: output channels F.
        kernel_size: (k,) for one-dimensional inputs, (h, w) for two-dimensional inputs; odd.
        dilation: distance between the taps of a one-dimensional kernel, in positions.
        strides: one per axis; None means 1. Other strides need a 1x1 kernel, or two axes with equal strides.
        causal: whether a one-dimensional input is padded on the left alone.
        relu: False for the step that reads raw pixels or samples.
        gain, shift: initial gain and shift of the normalisation.

    Call: x [B, L, C] or [B, H, W, C] and, optionally, padding_mask [B, L] or [B, H] (1 real, 0 padding): padded positions are
    read as 0. Returns [B, L', F] or [B, H', W', F], each axis ceil(size / stride) long.

    Raises:
        ValueError: `strides` do not fit the kernel.
    """

    def __init__(self, filters, kernel_size, dilation=1, strides=None, causal=False, relu=True, gain=1.0, shift=0.0, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = tuple(kernel_size)
        self.strides = tuple(strides or (1,) * len(self.kernel_size))
        self.dilation = dilation
        self.causal = causal
        self.relu = relu
        self.pointwise_only = set(self.kernel_size) == {1}
        self.gain = gain
        self.shift = shift
        self.norm = LayerNorm(gain=gain, shift=shift, centred=True, name="norm", dtype=self.dtype_policy)
        if not self.pointwise_only and (len(set(self.strides)) > 1 or (len(self.strides) == 1 and self.strides != (1,))):
            raise ValueError(f"a depthwise kernel needs equal strides on two axes or none on one, got {self.strides}")

    def build(self, input_shape):
        channels = input_shape[-1]
        if not self.pointwise_only:
            taps = 1
            for size in self.kernel_size:
                taps *= size
            initializer = keras.initializers.TruncatedNormal(stddev=taps**-0.5)
            self.depthwise = self.add_weight(shape=(*self.kernel_size, channels), initializer=initializer, name="depthwise")
        shape = (channels, self.filters)
        self.pointwise = self.add_weight(shape=shape, initializer="glorot_uniform", name="pointwise", autocast=False)
        self.norm.build((*input_shape[:-1], self.filters))

    def call(self, x, padding_mask=None):
        if self.pointwise_only:
            x = subsample(x, self.strides)
        if self.relu:
            x = ops.relu(x)
        if not self.pointwise_only:
            if padding_mask is not None:
                x = x * _spread(padding_mask, x)
            x = self._depthwise(x)
        return self.norm(dense(x, centred_kernel(ops.convert_to_tensor(self.pointwise))))

    def precompute(self) -> ConvStepConstants:
        """Returns the tensors that every step reads."""
        kernel = ops.cast(centred_kernel(ops.convert_to_tensor(self.pointwise)), self.compute_dtype)
        return ConvStepConstants(kernel, self.norm.precompute())

    def step(self, x, step, constants: ConvStepConstants):
        """Computes one position of the causal one-dimensional form: x [R, C] -> [R, F].

        Args:
            step: a DecodeStep.
            constants: from `precompute`.
        """
        convolved = step.convolutions.convolve(self, ops.relu(x) if self.relu else x)
        return self.norm.step(ops.matmul(convolved, constants.kernel), constants.norm)

    def _depthwise(self, x):
        kernel = ops.cast(self.depthwise, x.dtype)
        if len(self.kernel_size) == 1:
            return depthwise_conv_1d(x, kernel, self.dilation, self.causal)
        return depthwise_conv_2d(x, kernel, self.strides[0])

    def get_config(self):
        names = ("filters", "kernel_size", "dilation", "strides", "causal", "relu", "gain", "shift")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("t2t_multimodel")
class ConvBlock(keras.layers.Layer):
    """The convolution block of section 2.1: four steps with kernels 3, 3, 15 and 15 (the last dilated by 8) and two skips.

    Both skips start at the block's own input.

    Args:
        causal: whether the steps pad on the left alone.
        dropout: rate at the end of the block.
        dropout_on: "stream" drops values of the block's whole output (as the paper), "branch" of the last step's alone.
        gain: initial gain of the last step's normalisation. With a small gain a block starts close to the identity (as in
            arXiv 1706.02677, section 5.1).

    Call: x [B, L, D], padding_mask [B, L] or None; returns [B, L, D].
    """

    def __init__(self, causal=False, dropout=0.4, dropout_on="stream", gain=0.1, **kwargs):
        super().__init__(**kwargs)
        self.causal = causal
        self.dropout = dropout
        self.dropout_on = dropout_on
        self.gain = gain
        self.drop = Dropout(dropout, name="dropout", dtype=self.dtype_policy)

    def build(self, input_shape):
        kernels = ((3, 1, 1.0), (3, 1, 1.0), (15, 1, 1.0), (15, 8, self.gain))
        self.steps = [
            ConvStep(input_shape[-1], (size,), dilation, causal=self.causal, gain=gain, name=f"step{i}", dtype=self.dtype_policy)
            for i, (size, dilation, gain) in enumerate(kernels, start=1)
        ]
        for step in self.steps:
            step.build(input_shape)
        self.drop.build()

    def call(self, x, padding_mask=None, training=None):
        hidden1 = self.steps[0](x, padding_mask=padding_mask)
        hidden2 = x + self.steps[1](hidden1, padding_mask=padding_mask)
        hidden3 = self.steps[2](hidden2, padding_mask=padding_mask)
        branch = self.steps[3](hidden3, padding_mask=padding_mask)
        if self.dropout_on == "branch":
            return x + self.drop(branch, training=training)
        return self.drop(x + branch, training=training)

    @property
    def generators(self):
        """Returns the random generators from which `call` draws in training."""
        return [self.drop.noise]

    def precompute(self) -> tuple[ConvStepConstants, ...]:
        """Returns the tensors that every decoding step reads, of the four convolution steps."""
        return tuple(step.precompute() for step in self.steps)

    def step(self, x, step, constants: tuple[ConvStepConstants, ...]):
        """Computes one position of a causal block: x [R, D] -> [R, D]. step: a DecodeStep; constants: from `precompute`."""
        step1, step2, step3, step4 = self.steps
        constants1, constants2, constants3, constants4 = constants
        hidden1 = step1.step(x, step, constants1)
        hidden2 = x + step2.step(hidden1, step, constants2)
        hidden3 = step3.step(hidden2, step, constants3)
        return x + step4.step(hidden3, step, constants4)

    def get_config(self):
        names = ("causal", "dropout", "dropout_on", "gain")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("t2t_multimodel")
class ConvRes(keras.layers.Layer):
    """The residual block MaxPool(ConvStep(ConvStep(x))) + ConvStep_strided_1x1(x) of section 2.5.2.

    Args:
        filters: output channels F.
        strides: strides of the pooling and of the shortcut, one per axis.
        relu: False where x is raw pixels or samples: the first step and the shortcut then have no ReLU.

    Call: x [B, L, C] or [B, H, W, C], padding_mask [B, L] or [B, H] or None; returns [B, L', F] or [B, H', W', F], each axis
    ceil(size / stride) long.
    """

    def __init__(self, filters, strides, relu=True, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = tuple(strides)
        self.relu = relu
        kernel = (3,) * len(self.strides)
        same = {"dtype": self.dtype_policy}
        self.step1 = ConvStep(filters, kernel, relu=relu, name="step1", **same)
        self.step2 = ConvStep(filters, kernel, shift=-POOLED_MEAN, name="step2", **same)
        self.shortcut = ConvStep(filters, (1,) * len(kernel), strides=strides, relu=relu, name="shortcut", **same)

    def build(self, input_shape):
        self.step1.build(input_shape)
        self.step2.build((*input_shape[:-1], self.filters))
        self.shortcut.build(input_shape)

    def call(self, x, padding_mask=None):
        h = self.step2(self.step1(x, padding_mask=padding_mask), padding_mask=padding_mask)
        return max_pool(h, self.strides, padding_mask) + self.shortcut(x)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "strides": self.strides, "relu": self.relu}
