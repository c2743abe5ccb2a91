"""Steps of several batches or problems: the gradient equals the joined batch's, or the mean of the problems' gradients."""

import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel.training.checkpoints import by_path
from t2t_multimodel.training.optimizer import make_optimizer
from t2t_multimodel.training.steps import StepFunctions

SHORT = {"mixer_blocks": 0, "decoder_blocks": 1}
QUIET = {**SHORT, "encoder_blocks": 1, "num_experts": 0, "dropout": 0.0, "attention_dropout": 0.0, "embedding_dropout": 0.0}


@pytest.fixture(scope="module")
def joint(hparams):
    """Returns hyperparameters for two problems and two batches per step; Adam's first moment is then the unclipped gradient."""
    return hparams.override(problems_per_step=2, accumulate_steps=2, beta1=0.0, clip_norm=0.0)


class Run:
    """A model and its steps; `gradients` are those of the last step, 0 for a variable that it left out."""

    def __init__(self, model, hparams):
        self.model = model
        self.optimizer = make_optimizer(by_path(model.trainable_variables), hparams)
        self.steps = StepFunctions(model, self.optimizer, hparams)
        self._first = [variable.numpy() for variable in by_path(model.variables).values()]

    def restart(self):
        """Restores the initial weights and states of noise, and empties the slots."""
        for variable, value in zip(by_path(self.model.variables).values(), self._first, strict=True):
            variable.assign(value)
        self.clear()

    def clear(self):
        """Sets all slots to 0."""
        for slot in (slot for kind in self.optimizer.slots.values() for slot in kind.values()):
            slot.assign(tf.zeros_like(slot))

    def gradients(self):
        return {name: slot.numpy() for name, slot in self.optimizer.slots["m"].items()}


@pytest.fixture(scope="module")
def plain(make_model, joint):
    return Run(make_model(**QUIET), joint)


@pytest.fixture(scope="module")
def noisy(make_model, joint):
    return Run(make_model(**SHORT), joint)


def concatenated(*batches):
    """Returns one batch with the rows of several, padded to the longest."""

    def join(tensors):
        width = max(tensor.shape[-1] for tensor in tensors)
        return tf.concat([tf.pad(t, [[0, 0], [0, width - t.shape[-1]]]) if t.shape.rank > 1 else t for t in tensors], 0)

    return {name: join([batch[name] for batch in batches]) for name in batches[0]}


def assert_equal(found, wanted, tolerance=1e-5):
    for name, gradient in wanted.items():
        np.testing.assert_allclose(found[name], gradient, rtol=tolerance, atol=tolerance * max(np.abs(gradient).max(), 1e-3))


@pytest.mark.parametrize("problem", ["french", "topic"])
def test_accumulated_batches_equal_the_joined_batch(problem, plain, make_batch):
    batches = [make_batch(problem, *lengths, seed=i) for i, lengths in enumerate([(6, 3, 9), (4,), (2, 5)])]
    plain.restart()
    whole = plain.steps.train(problem, concatenated(*batches), 0.01, 1)
    wanted, weights = plain.gradients(), plain.model.get_weights()
    plain.restart()
    (result,) = plain.steps.train_on_several([(problem, batches)], 0.01, 1)
    assert_equal(plain.gradients(), wanted)
    np.testing.assert_allclose(result.gradient_norm, whole.gradient_norm, rtol=1e-5)
    np.testing.assert_allclose(result.loss, whole.loss, rtol=1e-5)
    assert float(result.tokens) == float(whole.tokens)
    assert float(whole.gradient_norm) > 0.1
    assert max(np.abs(a - b).max() for a, b in zip(weights, plain.model.get_weights(), strict=True)) < 1e-4


def test_the_gradient_of_several_problems_is_the_mean_of_theirs_noise_and_experts_included(noisy, make_batch):
    drawn = [("french", [make_batch("french", 6, 3, 9)]), ("topic", [make_batch("topic", 4, 7, seed=1)])]
    noisy.restart()
    alone, gradients = [], []
    for problem, (batch,) in drawn:
        noisy.clear()
        alone.append(noisy.steps.train(problem, batch, 0.0, 1))
        gradients.append(noisy.gradients())
    wanted = {name: (french + gradients[1][name]) / 2 for name, french in gradients[0].items()}
    noisy.restart()
    results = noisy.steps.train_on_several(drawn, 0.0, 1)
    assert_equal(noisy.gradients(), wanted)
    for one, joint in zip(alone, results, strict=True):
        np.testing.assert_allclose(joint.loss, one.loss, rtol=1e-5)
        np.testing.assert_allclose(joint.expert_load, one.expert_load, rtol=1e-5)
    norm = np.sqrt(sum(np.sum(np.square(gradient)) for gradient in wanted.values()))
    np.testing.assert_allclose([float(result.gradient_norm) for result in results], [norm, norm], rtol=1e-4)


def test_experts_are_balanced_by_the_mean_over_batches(noisy, make_batch):
    """If all batches have the same weight, the gradient, balance losses included, is the mean of the batches' gradients."""
    batches = [make_batch("topic", 4, 7, 5, seed=seed) for seed in (1, 2)]
    noisy.restart()
    gradients = []
    for batch in batches:
        noisy.clear()
        noisy.steps.train_on_several([("topic", [batch])], 0.0, 1)
        gradients.append(noisy.gradients())
    wanted = {name: (first + gradients[1][name]) / 2 for name, first in gradients[0].items()}
    noisy.restart()
    noisy.steps.train_on_several([("topic", batches)], 0.0, 1)
    assert_equal(noisy.gradients(), wanted)
    assert np.abs(wanted["encoder.experts.moe.gate.gate"]).max() > 1e-4


def test_no_mixture_is_traced_anew(plain, make_batch):
    plain.restart()
    for problems in (["german"], ["german", "topic"], ["topic", "french", "german"], ["french", "french"]):
        for lengths in ((3, 5), (4,)):
            plain.steps.train_on_several([(name, [make_batch(name, *lengths)] * 2) for name in problems], 0.01, 1)
    kinds = [(key[0], function.experimental_get_tracing_count()) for key, function in plain.steps._traced.items()]
    assert sorted(kind for kind in kinds if kind[0] == "add") == [("add", 1), ("add", 1)]
    assert plain.steps._apply.experimental_get_tracing_count() == 1


def test_a_variable_that_no_drawn_problem_reads_stays_as_it_is(plain, make_batch):
    run = plain
    run.restart()
    run.steps.train_on_several([("german", [make_batch("german", 6)]), ("topic", [make_batch("topic", 4)])], 0.01, 1)
    before, slots = {name: value.numpy() for name, value in by_path(run.model.variables).items()}, run.gradients()
    run.steps.train_on_several([("topic", [make_batch("topic", 5)])] * 2, 0.01, 2)
    for name, value in by_path(run.model.trainable_variables).items():
        read = not (name.startswith(("mixer", "decoder", "command_")) or name == "language.output")
        assert np.array_equal(value, before[name]) != read, name
        assert np.array_equal(run.gradients()[name], slots[name]) != read, name


def test_a_step_that_is_not_finite_leaves_nothing_behind(plain, make_batch):
    plain.restart()
    good = [("german", [make_batch("german", 6, 3)])]
    plain.steps.train_on_several(good, 0.01, 1)
    wanted = plain.gradients()
    plain.restart()
    kernel = plain.model.encoder.blocks[0].steps[0].pointwise
    value = kernel.numpy()
    kernel.assign(value * np.nan)
    assert not np.isfinite(plain.steps.train_on_several(good, 0.01, 1)[0].gradient_norm)
    assert not any(gradient.any() for gradient in plain.gradients().values())
    kernel.assign(value)
    plain.steps.train_on_several(good, 0.01, 1)
    assert_equal(plain.gradients(), wanted, 1e-6)
