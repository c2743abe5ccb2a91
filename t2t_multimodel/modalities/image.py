"""The image modality net, the Xception entry flow (section 2.5.2)."""

import keras
from keras import ops

from t2t_multimodel.layers.convolution import ConvRes, ConvStep
from t2t_multimodel.modalities.base import Embedded, modalities


@keras.saving.register_keras_serializable("t2t_multimodel")
class ImageModality(keras.layers.Layer):
    """Two ConvSteps, the first with a stride, then one ConvRes per further depth and a last ConvRes to the body's depth.

    Args:
        hidden_size: depth D of the body.
        channels: depths of the two steps and of every ConvRes but the last; each is limited to D.
        stem_stride: stride of the first step in pixels. This step reads raw pixels and therefore has no ReLU.

    `bottom(pixels)` returns an Embedded with shape (H', W') and its rows laid end to end: pixels float32 [B, H, W, C],
    standardised.
    """

    def __init__(self, hidden_size, channels=(32, 64, 128, 256), stem_stride=2, **kwargs):
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.channels = tuple(channels)
        self.stem_stride = stem_stride
        depths = [min(depth, hidden_size) for depth in self.channels]
        same = {"dtype": self.dtype_policy}
        self.stem = ConvStep(depths[0], (3, 3), strides=(stem_stride, stem_stride), relu=False, name="stem", **same)
        self.widen = ConvStep(depths[1], (3, 3), name="widen", **same)
        self.depths = [*depths[2:], hidden_size]
        self.blocks = [ConvRes(depth, (2, 2), name=f"res{i}", **same) for i, depth in enumerate(self.depths, start=1)]

    def build(self, input_shape):
        shape = tuple(input_shape)
        self.stem.build(shape)
        shape = (*shape[:-1], self.stem.filters)
        self.widen.build(shape)
        for block, depth in zip(self.blocks, (self.widen.filters, *self.depths), strict=False):
            block.build((*shape[:-1], depth))
        self.built = True

    def bottom(self, pixels, length=None, training=None):
        x = self.widen(self.stem(pixels))
        for block in self.blocks:
            x = block(x)
        shape = (ops.shape(x)[1], ops.shape(x)[2])
        states = ops.reshape(x, (-1, shape[0] * shape[1], self.hidden_size))
        return Embedded(states, ops.ones_like(states[:, :, 0], dtype="float32"), shape)

    def positions(self, pixels, length=None):
        """Returns the number of positions of `bottom`, an int: images have no padding."""
        stride = self.stem_stride * 2 ** len(self.depths)
        return -(-pixels.shape[1] // stride) * -(-pixels.shape[2] // stride)

    def get_config(self):
        names = ("hidden_size", "channels", "stem_stride")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@modalities.registered("image")
def _image(config, size):
    sizes = (config.hidden_size, config.image_channels, config.image_stem_stride)
    return ImageModality(*sizes, name=f"image_{size}", dtype=config.dtype_policy)
