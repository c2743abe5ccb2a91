"""The categorical modality net, the Xception exit flow (section 2.5.3)."""

import keras
from keras import ops

from t2t_multimodel.layers.convolution import POOLED_MEAN, ConvStep, max_pool
from t2t_multimodel.layers.normalization import at_least_float32
from t2t_multimodel.modalities.base import modalities


@keras.saving.register_keras_serializable("t2t_multimodel")
class CategoricalModality(keras.layers.Layer):
    """Two steps with max-pooling and a skip, two widening steps, a mean over real positions, and a map to the classes.

    The states of a two-dimensional input are folded back to its height and width; a sequence becomes a picture one position wide.
    The down-sampling skip is a strided ConvStep.

    Args:
        hidden_size: depth D of the body.
        num_classes: number of classes.
        sizes: widths of the last two steps (1536 and 2048 in the paper).

    `top(states, embedded)` returns logits float32 [B, num_classes]: states [B, L, D], embedded the input's Embedded, of which the
    mask and the shape are read.
    """

    def __init__(self, hidden_size, num_classes, sizes=(1536, 2048), **kwargs):
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.num_classes = num_classes
        self.sizes = tuple(sizes)
        same = {"dtype": self.dtype_policy}
        self.skip = ConvStep(hidden_size, (3, 3), strides=(2, 2), name="skip", **same)
        shifts = {1: 0.0, 2: -POOLED_MEAN}
        self.narrow = [ConvStep(hidden_size, (3, 3), shift=shift, name=f"step{i}", **same) for i, shift in shifts.items()]
        self.widen = [ConvStep(size, (3, 3), name=f"step{i}", **same) for i, size in enumerate(self.sizes, start=3)]

    def build(self, input_shape=None):
        shape = (None, None, None, self.hidden_size)
        for step in (self.skip, *self.narrow, *self.widen):
            step.build(shape)
            shape = (*shape[:-1], step.filters)
        kernel = (self.sizes[-1], self.num_classes)
        self.output_kernel = self.add_weight(shape=kernel, initializer="glorot_uniform", name="output", autocast=False)
        self.built = True

    def top(self, states, embedded, training=None):
        x, mask = self._fold(states, embedded)
        h = x
        for step in self.narrow:
            h = step(h, padding_mask=mask)
        h = max_pool(h, (2, 2), mask) + self.skip(x, padding_mask=mask)
        mask = mask[:, ::2]
        for step in self.widen:
            h = step(h, padding_mask=mask)
        h = at_least_float32(ops.relu(h))
        real = mask[:, :, None, None]
        positions = ops.sum(mask, axis=1)[:, None] * ops.cast(ops.shape(h)[2], h.dtype)
        pooled = ops.sum(h * real, axis=(1, 2)) / ops.maximum(positions, 1.0)
        return ops.cast(ops.matmul(pooled, self.output_kernel), "float32")

    def _fold(self, states, embedded):
        """Returns the states as [B, H, W, D] and the mask of their rows, [B, H].

        A sequence runs along H. Padding then fills whole rows.
        """
        if embedded.shape is None:
            return states[:, :, None, :], embedded.mask
        height, width = embedded.shape
        x = ops.reshape(states, (-1, height, width, self.hidden_size))
        return x, ops.reshape(embedded.mask, (-1, height, width))[:, :, 0]

    def get_config(self):
        names = ("hidden_size", "num_classes", "sizes")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@modalities.registered("categorical")
def _categorical(config, size):
    return CategoricalModality(config.hidden_size, size, config.categorical_sizes, name="categorical", dtype=config.dtype_policy)
