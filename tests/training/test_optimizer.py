"""Learning rates by hand, and Adam against NumPy."""

import math

import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel.config import HParams, TrainingConfig
from t2t_multimodel.hyperparameter import rules
from t2t_multimodel.training import loss_scale
from t2t_multimodel.training.loss_scale import LossScale
from t2t_multimodel.training.optimizer import Adafactor, Adam, learning_rate, make_optimizer

SCHEDULES = rules(TrainingConfig)["learning_rate_schedule"][1].choices
RATES = [
    ({"learning_rate_schedule": "constant"}, {0: 0.02, 49: 1.0, 99: 1.0 * 2, 100: 2.0, 10_000: 2.0}),
    ({"learning_rate_schedule": "rsqrt"}, {0: 0.02, 99: 2.0, 399: 1.0, 9999: 0.2}),
    ({"learning_rate_schedule": "noam"}, {0: 0.02, 99: 2.0, 399: 1.0, 9999: 0.2}),
    ({"learning_rate_schedule": "rsqrt", "warmup_steps": 0}, {0: 2.0, 3: 1.0, 99: 0.2}),
    ({"learning_rate_schedule": "cosine"}, {99: 2.0, 100: 2.0, 550: 1.1, 1000: 0.2, 5000: 0.2}),
    (
        {"learning_rate_schedule": "cosine", "decay_steps": 300},
        {100: 2.0, 150: 0.2 + 1.8 * (2 + math.sqrt(2)) / 4, 200: 1.1, 300: 0.2},
    ),
    ({"learning_rate_schedule": "exp", "decay_steps": 50}, {99: 2.0, 100: 2.0, 150: 1.0, 250: 0.25}),
    ({"learning_rate_schedule": "exp", "train_steps": 0}, {100: 2.0, 101: 1.0}),
    ({"learning_rate_schedule": "exp", "decay_steps": 50, "decay_rate": 0.01}, {100: 2.0, 125: 0.2, 150: 0.02}),
    # Warm-up from 1% in equal factors; the last steps by hand from 1 - 0.0005, 1 - 0.00005 and 1 - 0.0000045.
    (
        {"learning_rate_schedule": "exp10k", "train_steps": 50_000},
        {0: 0.02, 50: 0.2, 99: 1.9099851, 100: 2.0, 40_000: 2.0, 40_001: 1.999, 50_000: 2.0 * 0.0067295270},
    ),
    (
        {"learning_rate_schedule": "exp50k", "train_steps": 250_000},
        {0: 0.02, 200_000: 2.0, 200_001: 1.9999, 250_000: 2.0 * 0.0820798704},
    ),
    (
        {"learning_rate_schedule": "exp500k", "train_steps": 250_000},
        {0: 0.02, 100: 2.0 * 0.3245056, 250_000: 2.0 * 0.1053986},
    ),
    ({"learning_rate_schedule": "exp100k"}, {0: 2.0, 99_999: 2.0, 100_000: 1.88, 250_000: 1.7672}),
]


@pytest.mark.parametrize(("changes", "wanted"), RATES)
def test_the_learning_rate_is_as_the_schedule_says(changes, wanted):
    config = TrainingConfig(
        **{"learning_rate": 2.0, "warmup_steps": 100, "train_steps": 1000, "final_learning_rate": 0.1, **changes}
    )
    assert {step: learning_rate(step, config) for step in wanted} == pytest.approx(wanted)


@pytest.mark.parametrize("kind", [kind for kind in SCHEDULES if not kind.endswith("k")])
def test_every_schedule_falls_after_the_warm_up_without_a_jump(kind):
    config = TrainingConfig(learning_rate=1.0, learning_rate_schedule=kind, warmup_steps=50, train_steps=500)
    rates = np.array([learning_rate(step, config) for step in range(500)])
    assert np.all(np.diff(rates[:50]) > 0)
    assert np.all(np.diff(rates[50:]) <= 0)
    assert np.max(np.abs(np.diff(rates))) <= 0.0201


class NumpyAdam:
    """Adam by algorithm 1 of arXiv 1412.6980, with the corrections in the rate (section 2), after clipping by global norm."""

    def __init__(self, variables, config):
        self.values = {name: value.numpy().astype("float64") for name, value in variables.items()}
        self.m = {name: np.zeros_like(value) for name, value in self.values.items()}
        self.v = {name: np.zeros_like(value) for name, value in self.values.items()}
        self.config = config

    def apply(self, gradients, rate, step):
        c = self.config
        norm = math.sqrt(sum(np.sum(gradient**2) for gradient in gradients.values()))
        scale = min(1.0, c.clip_norm / norm) if c.clip_norm else 1.0
        rate = rate * math.sqrt(1 - c.beta2**step) / (1 - c.beta1**step)
        for name, gradient in gradients.items():
            self.m[name] = c.beta1 * self.m[name] + (1 - c.beta1) * scale * gradient
            self.v[name] = c.beta2 * self.v[name] + (1 - c.beta2) * (scale * gradient) ** 2
            self.values[name] -= rate * self.m[name] / (np.sqrt(self.v[name]) + c.epsilon)
        return norm


@pytest.mark.parametrize("clip_norm", [0.5, 1000.0, 0.0])
def test_adam_equals_numpy_adam(clip_norm):
    generator = np.random.default_rng(0)
    config = TrainingConfig(clip_norm=clip_norm, beta1=0.8, beta2=0.95, epsilon=1e-3)
    variables = {
        name: tf.Variable(generator.normal(size=shape), dtype=tf.float32)
        for name, shape in {"a": (3, 4), "b": (5,), "c": ()}.items()
    }
    ours, wanted = Adam(variables, config), NumpyAdam(variables, config)
    for step in range(1, 9):
        used = [name for name in variables if not (name == "b" and step in (3, 4, 7))]
        gradients = {name: generator.normal(size=variables[name].shape) * 10 ** generator.uniform(-1, 1) for name in used}
        before = variables["b"].numpy()
        values = [tf.constant(gradient, tf.float32) for gradient in gradients.values()]
        norm = ours.apply(used, values, tf.constant(0.1 / step), tf.constant(float(step)))
        assert float(norm) == pytest.approx(wanted.apply(gradients, 0.1 / step, step), rel=1e-5)
        assert np.array_equal(before, variables["b"]) == ("b" not in used)
        for name, variable in variables.items():
            np.testing.assert_allclose(variable, wanted.values[name], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(ours.slots["m"][name], wanted.m[name], rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(ours.slots["v"][name], wanted.v[name], rtol=1e-4, atol=1e-6)


class NumpyAdafactor:
    """Adafactor by algorithms 4 and 5 of arXiv 1804.04235, with relative steps; a tensor of rank 3 is a stack of matrices."""

    def __init__(self, variables):
        self.values = {name: value.numpy().astype("float64") for name, value in variables.items()}
        self.moments = {}

    def apply(self, gradients, rate, step):
        beta = 1 - step**-0.8
        for name, gradient in gradients.items():
            x, square = self.values[name], gradient**2 + 1e-30
            if gradient.ndim < 2:
                moment = self.moments.get(name, 0.0)
                moment = self.moments[name] = beta * moment + (1 - beta) * square
            else:
                row, column = self.moments.get(name, (0.0, 0.0))
                row = beta * row + (1 - beta) * square.sum(-1, keepdims=True)
                column = beta * column + (1 - beta) * square.sum(-2, keepdims=True)
                self.moments[name] = row, column
                moment = row @ column / row.sum(-2, keepdims=True)
            update = gradient / np.sqrt(moment)
            update /= max(1.0, np.sqrt(np.mean(update**2)))
            self.values[name] = x - max(1e-3, np.sqrt(np.mean(x**2))) * rate * update


def test_adafactor_equals_numpy_adafactor():
    generator = np.random.default_rng(0)
    shapes = {"experts": (2, 3, 4), "matrix": (5, 2), "vector": (6,), "zeros": (3, 3)}
    variables = {name: tf.Variable(generator.normal(size=shape), dtype=tf.float32) for name, shape in shapes.items()}
    variables["zeros"].assign(tf.zeros((3, 3)))
    ours, wanted = Adafactor(variables, TrainingConfig(clip_norm=0.0)), NumpyAdafactor(variables)
    for step in range(1, 9):
        used = [name for name in variables if not (name == "matrix" and step in (1, 4))]
        gradients = {name: generator.normal(size=shapes[name]) * 10 ** generator.uniform(-1, 1) for name in used}
        wanted.apply(gradients, 0.1 / step, step)
        every = [tf.constant(gradients.get(name, np.zeros(shapes[name])), tf.float32) for name in variables]
        mask = [tf.constant(float(name in used)) for name in variables]
        ours.apply(list(variables), every, tf.constant(0.1 / step), tf.constant(float(step)), mask)
        for name, variable in variables.items():
            np.testing.assert_allclose(variable, wanted.values[name], rtol=1e-4, atol=1e-5)
    sizes = {kind: {name: slot.shape.as_list() for name, slot in slots.items()} for kind, slots in ours.slots.items()}
    assert sizes == {
        "row": {"experts": [2, 3], "matrix": [5], "zeros": [3]},
        "column": {"experts": [2, 4], "matrix": [2], "zeros": [3]},
        "v": {"vector": [6]},
    }


@pytest.mark.parametrize("kind", [Adam, Adafactor])
def test_the_loss_scale_changes_no_step_and_is_lowered_by_one_that_is_not_finite(kind):
    gradient, found = tf.constant([[3.0, -1.0], [0.5, 2.0]]), []
    for scale in (None, LossScale()):
        variables = {"a": tf.Variable([[1.0, 2.0], [3.0, 4.0]])}
        optimizer = kind(variables, TrainingConfig(clip_norm=1.0), scale)
        scaled = optimizer.scaled(gradient)
        norm = optimizer.apply(["a"], [scaled], tf.constant(0.1), tf.constant(1.0))
        assert float(norm) == pytest.approx(np.sqrt(14.25))
        found.append(variables["a"].numpy())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
    assert float(scale.value) == 2**15 == scaled[0, 0] / 3
    for step in range(20):
        assert not scale.is_least() or step >= 15
        optimizer.apply(["a"], [gradient / 0.0], tf.constant(0.1), tf.constant(2.0))
        assert float(scale.value) == max(2.0 ** (14 - step), 1)
    assert np.array_equal(variables["a"], found[1])


def test_the_loss_scale_grows_after_so_many_finite_steps(monkeypatch):
    monkeypatch.setattr(loss_scale, "GROWTH_STEPS", 3)
    scale, values = LossScale(), []
    for finite in (1, 1, 0, 1, 1, 1, 1):
        scale.update(tf.constant(bool(finite)))
        values.append(np.log2(scale.value))
    assert values == [15, 15, 14, 14, 14, 15, 15]


@pytest.mark.parametrize("optimizer", ["adam", "adafactor"])
def test_hyperparameters_choose_the_optimizer_and_float16_a_loss_scale(optimizer):
    made = [make_optimizer({}, HParams().override(optimizer=optimizer, precision=name)) for name in ("float16", "bfloat16")]
    assert [type(each).__name__.lower() for each in made] == [optimizer] * 2
    assert made[0].slots["loss_scale"].keys() == {"scale", "finite_steps"}
    assert "loss_scale" not in made[1].slots


def test_gradients_of_zero_change_nothing():
    variables = {"a": tf.Variable([1.0, 2.0])}
    norm = Adam(variables, TrainingConfig()).apply(["a"], [tf.zeros(2)], tf.constant(0.1), tf.constant(1.0))
    assert float(norm) == 0
    assert variables["a"].numpy().tolist() == [1.0, 2.0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_changes_nothing(bad):
    variables = {"a": tf.Variable([1.0, 2.0]), "b": tf.Variable(3.0)}
    optimizer = Adam(variables, TrainingConfig())
    norm = optimizer.apply(["a", "b"], [tf.constant([bad, 1.0]), tf.constant(1.0)], tf.constant(0.1), tf.constant(1.0))
    assert not np.isfinite(norm)
    assert variables["a"].numpy().tolist() == [1.0, 2.0] and variables["b"].numpy() == 3.0
    assert not any(slot.numpy().any() for kind in optimizer.slots.values() for slot in kind.values())
