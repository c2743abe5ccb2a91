"""The categorical modality net."""

import numpy as np
import numpy_reference as reference
import pytest
from tensors import close, normal, shake

from t2t_multimodel.modalities import Embedded
from t2t_multimodel.modalities.categorical import CategoricalModality


def net():
    layer = CategoricalModality(8, 4, (10, 12))
    layer.build()
    return shake(layer)


def wanted(layer, x):
    """The equations of section 2.5.3 for x [B, H, W, D] without padding."""
    h2 = reference.conv_step(layer.narrow[1], reference.conv_step(layer.narrow[0], x))
    h3 = reference.conv_step(layer.skip, x) + reference.max_pool(h2, (2, 2))
    h5 = reference.conv_step(layer.widen[1], reference.conv_step(layer.widen[0], h3))
    return reference.relu(h5).mean(axis=(1, 2)) @ reference.array(layer.output_kernel)


def embedded(states, mask=None, shape=None):
    return Embedded(states, np.ones(states.shape[:2], "float32") if mask is None else mask, shape)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 7), (6, 2), (1, 1)])
def test_folds_back_to_the_inputs_own_height_and_width(height, width):
    layer, states = net(), normal(2, height * width, 8)
    x = states.reshape(2, height, width, 8).astype("float64")
    close(layer.top(states, embedded(states, shape=(height, width))), wanted(layer, x), 1e-3)


def test_the_shape_of_a_picture_matters():
    layer, states = net(), normal(1, 12, 8)
    tall, wide = (np.asarray(layer.top(states, embedded(states, shape=shape))) for shape in ((6, 2), (2, 6)))
    assert np.abs(tall - wide).max() > 1e-3


@pytest.mark.parametrize("length", [1, 6, 9])
def test_a_sequence_is_a_picture_one_position_wide(length):
    layer, states = net(), normal(2, length, 8)
    close(layer.top(states, embedded(states)), wanted(layer, states[:, :, None].astype("float64")), 1e-3)


@pytest.mark.parametrize("length", [1, 4, 5, 9])
@pytest.mark.parametrize("bins", [None, 3])
def test_padding_changes_no_logit(length, bins):
    layer, width = net(), bins or 1
    real, behind = normal(1, length * width, 8), np.full((1, 7 * width, 8), 3.0, "float32")
    alone = layer.top(real, embedded(real, shape=bins and (length, bins)))
    states = np.concatenate([real, behind], axis=1)
    mask = (np.arange(states.shape[1])[None] < length * width).astype("float32")
    padded = layer.top(states, embedded(states, mask, bins and (length + 7, bins)))
    close(padded, alone, 1e-4)


def test_has_the_papers_widths():
    layer = CategoricalModality(1024, 1000)
    assert [step.filters for step in (layer.skip, *layer.narrow, *layer.widen)] == [1024, 1024, 1024, 1536, 2048]
    assert layer.skip.strides == (2, 2)


def test_is_restored_from_its_configuration():
    layer = net()
    assert CategoricalModality.from_config(layer.get_config()).get_config() == layer.get_config()
