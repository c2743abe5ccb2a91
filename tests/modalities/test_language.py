"""The language modality net."""

import numpy as np
import pytest
from tensors import close, normal

from t2t_multimodel.modalities.language import LanguageModality

IDS = np.array([[3, 5, 1, 0, 0], [2, 2, 4, 6, 1]], "int32")


def net(**arguments):
    layer = LanguageModality(16, 11, **arguments)
    layer.build()
    return layer


@pytest.mark.parametrize("scale", [True, False])
def test_embeds_by_table_and_padding_to_zero(scale):
    layer = net(scale=scale)
    embedded = layer.bottom(IDS)
    wanted = np.asarray(layer.table)[IDS] * (IDS != 0)[:, :, None] * (4.0 if scale else 1.0)
    close(embedded.states, wanted)
    np.testing.assert_array_equal(embedded.mask, IDS != 0)
    assert embedded.shape is None


def test_scaled_embeddings_have_about_unit_variance():
    layer = LanguageModality(64, 500)
    layer.build()
    assert 0.9 < np.std(layer.bottom(np.arange(1, 500)[None]).states) < 1.1


@pytest.mark.parametrize(("tied", "variables"), [(False, 2), (True, 1)])
def test_the_output_is_a_linear_map_tied_to_the_table_if_asked(tied, variables):
    layer, states = net(tied=tied), normal(2, 3, 16)
    assert len(layer.trainable_variables) == variables
    kernel = np.asarray(layer.table).T if tied else np.asarray(layer.output_kernel)
    close(layer.top(states), states @ kernel)


def test_is_restored_from_its_configuration():
    layer = net(scale=False, tied=True)
    assert LanguageModality.from_config(layer.get_config()).get_config() == layer.get_config()
