"""Moving averages of the weights: against NumPy, across a stop, and in evaluation and decoding."""

import dataclasses

import numpy as np
import pytest
import small_run
import tensorflow as tf

from t2t_multimodel.runs.averaging import average_run
from t2t_multimodel.runs.run_config import RunConfig, build_model, open_run
from t2t_multimodel.training.checkpoints import Checkpoints, by_path, newest_weights
from t2t_multimodel.training.moving_averages import MovingAverages


def some_weights():
    return {"a": tf.Variable([[1.0, 2.0], [3.0, 4.0]]), "b": tf.Variable(5.0)}


@pytest.mark.parametrize("decay", [0.9, 0.1])
def test_averages_equal_numpys(decay):
    generator, weights = np.random.default_rng(0), some_weights()
    averages = MovingAverages(weights, decay)
    wanted = {name: weight.numpy().astype("float64") for name, weight in weights.items()}
    for step in range(1, 41):
        d = min(decay, (1 + step) / (10 + step))
        for name, weight in weights.items():
            weight.assign(generator.normal(size=weight.shape) * 10)
            wanted[name] = d * wanted[name] + (1 - d) * weight.numpy()
        averages.update(step)
        for name, average in averages.variables.items():
            np.testing.assert_allclose(average, wanted[name], rtol=1e-5, atol=1e-5)


def test_weights_are_their_averages_for_a_while():
    weights = some_weights()
    averages = MovingAverages(weights, 0.5)
    weights["b"].assign(9.0)
    averages.update(1)
    with pytest.raises(KeyError), averages.in_place():
        assert weights["b"].numpy() == averages.variables["b"].numpy() == pytest.approx(5 * 2 / 11 + 9 * 9 / 11)
        raise KeyError
    assert weights["b"].numpy() == 9.0
    assert averages.variables["b"].numpy() != 9.0


def test_without_a_decay_there_are_none():
    weights = some_weights()
    averages = MovingAverages(weights, 0.0)
    averages.update(1)
    with averages.in_place():
        assert weights["b"].numpy() == 5.0
    assert averages.variables == {}


@pytest.fixture(scope="module")
def output_dir(tmp_path_factory):
    """Returns a run in which all weights are 1 and their averages 2."""
    folder = small_run.make(tmp_path_factory.mktemp("run"))
    config = RunConfig.load(folder)
    config = dataclasses.replace(config, hparams=config.hparams.override(ema_decay=0.9))
    config.save(folder)
    model = build_model(config)
    weights = by_path(model.trainable_variables)
    averages = {name: tf.Variable(tf.fill(weight.shape, 2.0)) for name, weight in weights.items()}
    for weight in weights.values():
        weight.assign(tf.ones_like(weight))
    Checkpoints(folder, model, averages=averages).save(9)
    return folder


def values(folder):
    """Returns all values in the weights of an opened run."""
    return {float(value) for weight in open_run(folder)[2].trainable_variables for value in np.unique(weight.numpy())}


def test_a_run_is_opened_with_its_averages(output_dir):
    assert values(output_dir) == {2.0}
    step, found = newest_weights(output_dir, print)
    assert step == 9 and all(np.all(value == 2.0) for value in found.values())


def test_the_mean_of_checkpoints_is_that_of_the_weights_themselves(output_dir):
    assert values(average_run(output_dir, 1)) == {1.0}
