"""The image modality net."""

import numpy as np
import numpy_reference as reference
import pytest
from tensors import close, normal, shake

from t2t_multimodel.modalities.image import ImageModality


def net(hidden_size=16, channels=(4, 6, 8), **arguments):
    layer = ImageModality(hidden_size, channels, **arguments)
    layer.build((None, None, None, 3))
    return shake(layer)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (13, 22), (1, 9)])
@pytest.mark.parametrize("stride", [1, 2])
def test_equals_the_papers_equations_in_their_order(height, width, stride):
    layer, pixels = net(stem_stride=stride), normal(2, height, width, 3)
    x = reference.conv_step(layer.widen, reference.conv_step(layer.stem, pixels.astype("float64")))
    for block in layer.blocks:
        x = reference.conv_res(block, x)
    embedded = layer.bottom(pixels)
    close(embedded.states, x.reshape(2, -1, 16), 1e-3)
    assert tuple(int(n) for n in embedded.shape) == x.shape[1:3]
    np.testing.assert_array_equal(embedded.mask, np.ones((2, x.shape[1] * x.shape[2])))


def test_has_the_papers_depths_and_strides():
    layer = ImageModality(1024)
    assert (layer.stem.filters, layer.stem.strides, layer.widen.filters, layer.widen.strides) == (32, (2, 2), 64, (1, 1))
    assert [(block.filters, block.strides) for block in layer.blocks] == [(128, (2, 2)), (256, (2, 2)), (1024, (2, 2))]
    assert [tuple(int(n) for n in net().bottom(normal(1, h, w, 3)).shape) for h, w in ((64, 48), (33, 50))] == [(8, 6), (5, 7)]


def test_the_stem_reads_negative_pixels_too():
    layer, pixels = net(), -abs(normal(1, 8, 8, 3))
    assert np.abs(np.asarray(layer.bottom(pixels).states - layer.bottom(2 * pixels + pixels**2).states)).max() > 1e-3
    assert not layer.stem.relu and layer.widen.relu


def test_no_depth_exceeds_the_bodys():
    layer = ImageModality(16)
    layer.build((None, None, None, 3))
    assert (layer.stem.filters, layer.widen.filters, layer.depths) == (16, 16, [16, 16, 16])


def test_is_restored_from_its_configuration():
    layer = net(stem_stride=1)
    assert ImageModality.from_config(layer.get_config()).get_config() == layer.get_config()
