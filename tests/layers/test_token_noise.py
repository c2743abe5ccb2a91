"""Tokens that are replaced in training."""

import keras
import numpy as np
import pytest

from t2t_multimodel.layers.replicas import replica_rows
from t2t_multimodel.layers.token_noise import TokenNoise

EOS, FIRST = 1, 2
# Every row has its own hundred, and a position its own number in it: a token says where it comes from. The last row is short.
IDS = 100 * np.arange(1, 41)[:, None] + np.arange(10, 30) * np.ones((40, 1), int)
IDS[-1, 12:] = [EOS] + [0] * 7
IDS = IDS.astype("int32")


def noise(rate=0.3, seed=5):
    layer = TokenNoise(rate, FIRST, seed=seed)
    layer.build()
    return layer


def test_nothing_is_replaced_outside_training_or_at_rate_0():
    np.testing.assert_array_equal(noise()(IDS), IDS)
    quiet = noise(0.0)
    np.testing.assert_array_equal(quiet(IDS, training=True), IDS)
    assert not quiet.variables


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_a_token_is_replaced_by_that_of_another_row_at_its_position(rate):
    noisy = np.asarray(noise(rate)(IDS, training=True))
    changed = noisy != IDS
    assert noisy.dtype == np.int32
    assert changed.mean() == pytest.approx(rate, abs=0.06)
    assert (noisy % 100 == np.arange(10, 30))[changed].all()
    assert len(set((noisy[changed] // 100).tolist())) > 20


def test_the_end_and_padding_neither_replace_nor_are_replaced():
    noisy = np.asarray(noise(0.9)(IDS, training=True))
    np.testing.assert_array_equal(noisy[-1, 12:], IDS[-1, 12:])
    assert (noisy[:-1] >= FIRST).all()


def test_a_replica_reads_its_own_rows_where_one_device_replaces():
    whole = np.asarray(noise()(IDS, training=True))
    with replica_rows((10, 20, 40)):
        part = np.asarray(noise()(IDS[10:30], training=True))
    assert set((part // 100).ravel().tolist()) <= set(range(11, 31))
    assert ((part != IDS[10:30]) == (whole != IDS)[10:30]).mean() > 0.95


def test_a_restored_state_draws_the_same_again():
    layer, again = noise(), noise(seed=6)
    layer(IDS, training=True)
    again.variables[0].assign(layer.variables[0])
    np.testing.assert_array_equal(again(IDS, training=True), layer(IDS, training=True))


def test_the_layer_survives_its_configuration():
    saved = keras.saving.serialize_keras_object(TokenNoise(0.3, FIRST, seed=5))
    again = keras.saving.deserialize_keras_object(saved)
    again.build()
    np.testing.assert_array_equal(again(IDS, training=True), noise()(IDS, training=True))


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_outside_its_range_is_refused(rate):
    with pytest.raises(ValueError, match="rate must lie in"):
        TokenNoise(rate)
