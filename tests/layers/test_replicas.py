"""Random numbers are those of a replica's rows, and those of a batch before it is padded to a fixed shape."""

import keras
import numpy as np
import pytest

from t2t_multimodel.layers.replicas import RealLengths, draw_for_replica, draws_over, replica_rows, unpadded_draws

SOURCE, TARGET = 7, 5
# The shape of the padded batch of 4 rows, the axes that it counts, and its shape without padding, of 3 rows.
SHAPES = {
    "tokens": ((4, 9), ("target", "target"), (3, TARGET)),
    "source states": ((4, 9, 3), ("source", "source"), (3, SOURCE, 3)),
    "attention over the source": ((4, 2, 9, 9), ("target", "source"), (3, 2, TARGET, SOURCE)),
    "attention to earlier positions": ((4, 2, 9, 9), ("target", "target"), (3, 2, TARGET, TARGET)),
}


def uniform(shape):
    return keras.random.uniform(shape, seed=3)


def normal(shape):
    return keras.random.normal(shape, seed=3)


@pytest.mark.parametrize("draw", [uniform, normal])
@pytest.mark.parametrize("name", SHAPES)
def test_padding_changes_no_number(name, draw):
    padded, axes, real = SHAPES[name]
    with unpadded_draws(RealLengths(SOURCE, TARGET)), draws_over(*axes):
        found = np.asarray(draw_for_replica(draw, padded))
        with replica_rows((1, 2, 4)):
            part = np.asarray(draw_for_replica(draw, (2, *padded[1:])))
    assert found.shape == padded
    np.testing.assert_array_equal(found[tuple(map(slice, real))], draw(real))
    assert np.count_nonzero(found[: real[0]]) == np.prod(real)
    np.testing.assert_array_equal(part, found[1:3])


def test_without_lengths_all_numbers_are_drawn():
    np.testing.assert_array_equal(draw_for_replica(uniform, (4, 9)), uniform((4, 9)))
