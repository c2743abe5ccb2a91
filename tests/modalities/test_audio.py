"""The audio modality nets: waveform, and spectrogram with bins kept or folded."""

import math

import numpy as np
import numpy_reference as reference
import pytest
from tensors import close, normal, shake

from t2t_multimodel.modalities.audio import AudioModality

BINS = 5
KINDS = {"waveform": {"bins": 0}, "keep": {"bins": BINS}, "fold": {"bins": BINS, "fold": True}}


def net(kind, blocks=3):
    layer = AudioModality(16, blocks, 4, **KINDS[kind])
    layer.build()
    return shake(layer)


def sound(kind, batch, length, seed=0):
    return normal(batch, length, seed=seed) if kind == "waveform" else normal(batch, length, BINS, seed=seed)


def positions(kind, frames):
    return frames * (BINS if kind == "keep" else 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [1, 8, 21])
def test_equals_a_stack_of_conv_res_and_a_projection(kind, length):
    layer, x = net(kind), sound(kind, 2, length)
    states, mask, shape = layer.bottom(x, np.array([length, length], "int32"))
    h = x.astype("float64")[..., None]
    for block in layer.blocks:
        h = reference.conv_res(block, h)
    frames = math.ceil(length / 8)
    assert h.shape[1] == frames
    h = h.reshape(2, frames, -1) if kind == "fold" else h
    close(states, (h @ reference.array(layer.projection)).reshape(2, -1, 16), 1e-3)
    assert mask.shape == (2, positions(kind, frames)) and np.all(mask)
    assert shape is None if kind != "keep" else tuple(int(n) for n in shape) == (frames, BINS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blocks", [1, 3])
def test_padding_behind_the_end_changes_no_real_position(kind, blocks):
    layer = net(kind, blocks)
    for length in (1, 8, 17):
        x = sound(kind, 1, length)
        alone, mask, _ = layer.bottom(x, np.array([length], "int32"))
        noise = sound(kind, 1, 15, seed=9)
        padded, padded_mask, _ = layer.bottom(np.concatenate([x, noise], axis=1), np.array([length], "int32"))
        real = positions(kind, math.ceil(length / 2**blocks))
        assert mask.shape == (1, real) and int(np.sum(padded_mask)) == real
        close(padded[:, :real], alone, 1e-4)
        assert not np.any(padded[:, real:]) and not np.any(padded_mask[:, real:])


def test_depths_double_from_the_least_to_the_bodys():
    assert AudioModality(64, 8).depths == [2, 4, 8, 16, 32, 64, 64, 64]
    assert AudioModality(1024).depths == [2, 4, 8, 16, 32, 64, 128, 256]
    assert AudioModality(32, 4, 16).depths == [16, 16, 16, 16] != AudioModality(32, 5, 16).depths[1:] == [16, 16, 16, 32]


def test_only_the_first_block_reads_without_relu():
    layer = net("waveform")
    assert [block.step1.relu for block in layer.blocks] == [False, True, True]


def test_a_spectrogram_is_strided_along_time_alone():
    assert all(block.strides == (2, 1) for block in net("keep").blocks)


@pytest.mark.parametrize("kind", KINDS)
def test_is_restored_from_its_configuration(kind):
    layer = net(kind)
    assert AudioModality.from_config(layer.get_config()).get_config() == layer.get_config()
