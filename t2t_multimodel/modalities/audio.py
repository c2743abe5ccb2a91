"""The audio modality nets, for waveforms and for log-mel spectrograms (section 2.5.4)."""

import keras
from keras import ops

from t2t_multimodel.layers.convolution import ConvRes
from t2t_multimodel.layers.normalization import dense
from t2t_multimodel.modalities.base import Embedded, modalities


@keras.saving.register_keras_serializable("t2t_multimodel")
class AudioModality(keras.layers.Layer):
    """A stack of ConvRes blocks, the i-th with 2^i channels and a stride of 2 along time, then a projection to the body's depth.

    Args:
        hidden_size: depth D of the body.
        num_blocks: ConvRes blocks (8 in the paper); the time axis becomes shorter by a factor of 2^num_blocks.
        min_channels: smallest depth of a block (2 in the paper); the largest is D.
        bins: frequency bins of a spectrogram; 0 reads a waveform.
        fold: for spectrograms. True projects all bins of a frame to one position. False keeps one position per frame and bin,
            with the rows laid end to end ("preserving full resolution in the spectral domain").

    `bottom(sound, length)` returns an Embedded: sound float32 [B, samples] or [B, frames, bins], length int32 [B] in samples or
    frames.
    """

    def __init__(self, hidden_size, num_blocks=8, min_channels=2, bins=0, fold=False, **kwargs):
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.num_blocks = num_blocks
        self.min_channels = min_channels
        self.bins = bins
        self.fold = fold
        strides = (2, 1) if bins else (2,)
        self.depths = [min(max(2**i, min_channels), hidden_size) for i in range(1, num_blocks + 1)]
        self.blocks = [
            ConvRes(depth, strides, relu=i > 1, name=f"res{i}", dtype=self.dtype_policy)
            for i, depth in enumerate(self.depths, start=1)
        ]

    def build(self, input_shape=None):
        shape = (None, None, self.bins, 1) if self.bins else (None, None, 1)
        for block in self.blocks:
            block.build(shape)
            shape = (*shape[:-1], block.filters)
        inputs = shape[-1] * (self.bins if self.bins and self.fold else 1)
        self.projection = self.add_weight(shape=(inputs, self.hidden_size), initializer="glorot_uniform", name="projection")
        self.built = True

    def bottom(self, sound, length, training=None):
        x = sound[..., None]
        mask = ops.cast(ops.arange(ops.shape(x)[1], dtype="int32")[None, :] < ops.cast(length, "int32")[:, None], "float32")
        for block in self.blocks:
            x = block(x, padding_mask=mask)
            mask = mask[:, ::2]
        if not self.bins:
            return self._embedded(dense(x, self.projection), mask)
        frames = ops.shape(x)[1]
        if self.fold:
            x = ops.reshape(x, (-1, frames, self.bins * self.depths[-1]))
            return self._embedded(dense(x, self.projection), mask)
        states = ops.reshape(dense(x, self.projection), (-1, frames * self.bins, self.hidden_size))
        mask = ops.repeat(mask, self.bins, axis=1)
        return self._embedded(states, mask, (frames, self.bins))

    def positions(self, sound, length):
        """Returns the number of positions of `bottom`, int32 scalar, up to the last real one of any row."""
        shorter = 2**self.num_blocks
        frames = (ops.max(ops.cast(length, "int32")) + shorter - 1) // shorter
        return frames if self.fold or not self.bins else frames * self.bins

    def _embedded(self, states, mask, shape=None):
        return Embedded(states * ops.cast(mask, states.dtype)[:, :, None], mask, shape)

    def get_config(self):
        names = ("hidden_size", "num_blocks", "min_channels", "bins", "fold")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@modalities.registered("waveform")
def _waveform(config, size):
    return AudioModality(
        config.hidden_size, config.audio_blocks, config.audio_min_channels, name="waveform", dtype=config.dtype_policy
    )


@modalities.registered("spectrogram")
def _spectrogram(config, size):
    fold = config.audio_frequency == "fold"
    sizes = (config.hidden_size, config.audio_blocks, config.audio_min_channels, size)
    return AudioModality(*sizes, fold, name="spectrogram", dtype=config.dtype_policy)
