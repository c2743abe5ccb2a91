"""Traced steps: they learn, one trace serves many problems, and their metrics equal NumPy's."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel.training.checkpoints import Checkpoints, by_path
from t2t_multimodel.training.optimizer import Adam, make_optimizer
from t2t_multimodel.training.steps import StepFunctions, metric_sums


@pytest.fixture(scope="module")
def model(make_model):
    return make_model(dropout=0.0, attention_dropout=0.0, embedding_dropout=0.0)


@pytest.fixture(scope="module")
def optimizer(model, hparams):
    return Adam(by_path(model.trainable_variables), hparams.training)


@pytest.fixture(scope="module")
def steps(model, optimizer, hparams):
    return StepFunctions(model, optimizer, hparams)


@pytest.fixture(autouse=True)
def unchanged(model, optimizer):
    """Restores the initial weights and empties the slots before each test."""
    weights = model.get_weights()
    yield
    model.set_weights(weights)
    for slot in (*optimizer.slots["m"].values(), *optimizer.slots["v"].values()):
        slot.assign(tf.zeros_like(slot))


def traces(steps):
    return {key: function.experimental_get_tracing_count() for key, function in steps._traced.items()}


@pytest.mark.parametrize("problem", ["german", "topic"])
def test_training_on_one_batch_again_and_again_lowers_its_loss(problem, steps, make_batch):
    batch = make_batch(problem, 6, 3, 9)
    losses = [float(steps.train(problem, batch, 0.01, step).loss) for step in range(1, 16)]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize(
    "changes",
    [{"precision": "bfloat16"}, {"precision": "float16"}, {"optimizer": "adafactor", "learning_rate": 0.1}],
    ids=lambda changes: next(iter(changes.values())),
)
def test_it_learns_in_half_precision_and_with_adafactor_and_goes_on_from_its_checkpoint(
    changes, make_model, hparams, make_batch, tmp_path
):
    hparams, batch = hparams.override(**changes), make_batch("topic", 6, 3, 9)
    model = make_model(**changes, dropout=0.0, embedding_dropout=0.0)
    optimizer = make_optimizer(by_path(model.trainable_variables), hparams)
    trained, checkpoints = StepFunctions(model, optimizer, hparams), Checkpoints(tmp_path, model, optimizer.slots)

    def losses(first, last):
        rate = hparams.training.learning_rate
        return [float(trained.train("topic", batch, rate, step).loss) for step in range(first, last)]

    before = losses(1, 11)
    checkpoints.save(10)
    wanted = losses(11, 16)
    assert np.isfinite([*before, *wanted]).all()
    assert wanted[-1] < 0.6 * before[0]
    assert checkpoints.restore() == 10
    assert losses(11, 16) == wanted


def test_a_step_reports_its_figures(steps, make_batch):
    batch = make_batch("german", 6, 3, 9)
    result = steps.train("german", batch, 0.01, 1)
    assert float(result.tokens) == 18
    assert 0.5 < float(result.loss) < 10
    assert float(result.gradient_norm) > 0
    assert result.expert_load.shape == (2, 4)
    np.testing.assert_allclose(tf.reduce_sum(result.expert_load, axis=1), 1.0, rtol=1e-5)
    assert float(result.load_cv) >= 0 and float(result.importance_cv) >= 0
    assert float(steps.train("topic", make_batch("topic", 5, 3), 0.01, 2).tokens) == 2


def test_one_trace_serves_all_lengths_and_target_spaces(steps, make_batch):
    for problem in ("german", "french", "topic"):
        for lengths in ((6, 3), (4, 9, 5), (2,)):
            steps.train(problem, make_batch(problem, *lengths), 0.01, 1)
            steps.evaluate(problem, make_batch(problem, *lengths))
    assert len(traces(steps)) == 4
    assert set(traces(steps).values()) == {1}


def test_problems_with_one_trace_use_their_own_command_token(steps, model, make_batch):
    batch = make_batch("german", 6, 3, 9)
    german, french = (float(steps.evaluate(problem, batch).nats) for problem in ("german", "french"))
    assert abs(german - french) > 1e-3
    for problem, nats in (("german", german), ("french", french)):
        wanted = metric_sums(model(batch, problem=problem), batch["targets"])
        assert float(wanted.nats) == pytest.approx(nats, rel=1e-4)


def test_a_step_trains_its_own_command_token_alone(steps, model, make_batch):
    steps.train("german", make_batch("german", 6, 3), 0.01, 1)  # Its moments would move the token on.
    tokens = {space: command.embedding.numpy() for space, command in model.commands.items()}
    steps.train("french", make_batch("french", 6, 3), 0.01, 2)
    moved = {space: np.abs(command.embedding.numpy() - tokens[space]).max() for space, command in model.commands.items()}
    assert moved["to_french"] > 1e-4
    assert moved["to_german"] == 0


def test_the_weight_of_a_problem_scales_its_gradient(make_model, hparams, make_batch):
    model = make_model(num_experts=0, dropout=0.0, attention_dropout=0.0, embedding_dropout=0.0)
    steps = StepFunctions(model, Adam(by_path(model.trainable_variables), hparams.training), hparams)
    batch, norms = make_batch("german", 6, 3), []
    for weight in (1, 3.0):
        model.specs["german"] = dataclasses.replace(model.specs["german"], loss_weight=weight)
        norms.append(float(steps.train("german", batch, 0.0, 1).gradient_norm))
    assert norms[1] == pytest.approx(3 * norms[0], rel=1e-4)


def test_evaluation_changes_no_weight(steps, model, make_batch):
    before = model.get_weights()
    first, again = (steps.evaluate("german", make_batch("german", 6, 3)) for _ in range(2))
    assert [float(x) for x in first] == [float(x) for x in again]
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_evaluation_takes_batches_with_references(steps, make_batch):
    batch = make_batch("german", 6, 3)
    with_more = {**batch, "references": tf.constant([["a"], ["b"]])}
    assert float(steps.evaluate("german", with_more).nats) == float(steps.evaluate("german", batch).nats)


def log_softmax(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def test_sums_over_text_equal_numpys_and_padding_does_not_count():
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(4, 5, 9)).astype("float32")
    targets = np.array([[3, 4, 1, 0, 0], [8, 2, 6, 7, 1], [1, 0, 0, 0, 0], [5, 5, 1, 0, 0]], "int32")
    for row, column in ((0, 0), (0, 1), (0, 2), (2, 0), (1, 3)):
        logits[row, column, targets[row, column]] += 9
    logits[0, 3, 0] -= 20
    real = targets != 0
    best = np.argsort(-logits, axis=-1)
    nats = -np.take_along_axis(log_softmax(logits.astype("float64")), targets[..., None], -1)[..., 0]
    right = best[..., 0] == targets
    top5 = (best[..., :5] == targets[..., None]).any(-1)
    found = metric_sums(tf.constant(logits), tf.constant(targets))
    assert float(found.nats) == pytest.approx(nats[real].sum(), rel=1e-5)
    assert float(found.correct) == right[real].sum()
    assert float(found.correct_top5) == top5[real].sum()
    assert right[real].sum() < top5[real].sum() < real.sum()
    assert float(found.weight) == 12
    assert float(found.sequences_correct) == sum(right[i][real[i]].all() for i in range(4)) == 2
    assert float(found.sequences) == 4


@pytest.mark.parametrize("classes", [3, 8])
def test_sums_over_labels_equal_numpys_and_class_0_counts(classes):
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(20, classes)).astype("float32")
    targets = generator.integers(0, classes, 20).astype("int32")
    nats = -np.take_along_axis(log_softmax(logits.astype("float64")), targets[:, None], -1).sum()
    best = np.argsort(-logits, axis=-1)
    found = metric_sums(tf.constant(logits), tf.constant(targets))
    assert 0 in targets
    assert float(found.nats) == pytest.approx(nats, rel=1e-5)
    assert float(found.correct) == float(found.sequences_correct) == (best[:, 0] == targets).sum()
    assert float(found.correct_top5) == (best[:, :5] == targets[:, None]).any(-1).sum()
    assert float(found.weight) == float(found.sequences) == 20
