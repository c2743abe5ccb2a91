"""The search against a plain loop over the whole model, and its invariances."""

import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel.config import ModelConfig
from t2t_multimodel.decoding.encoding import Encoding
from t2t_multimodel.decoding.search import Search
from t2t_multimodel.decoding.strategies import BeamSearch, Greedy, Sampling
from t2t_multimodel.features import Audio, Image, Label, ProblemSpec, Text
from t2t_multimodel.models.multimodel import MultiModel

CONFIG = ModelConfig(
    hidden_size=16,
    num_heads=2,
    encoder_blocks=1,
    mixer_blocks=1,
    decoder_blocks=2,
    num_experts=4,
    moe_k=2,
    moe_hidden_size=16,
    image_channels=(4, 8),
    categorical_sizes=(16, 16),
    audio_blocks=1,
    audio_frequency="fold",
)
SPECS = [
    ProblemSpec("ende", Text(), Text(), "to_german"),
    ProblemSpec("frde", Text(), Text(), "to_german"),
    ProblemSpec("speech", Audio(), Text(), "to_german"),
    ProblemSpec("caption", Image(16, 24), Text(), "to_german"),
    ProblemSpec("picture", Image(16, 24), Label(("a", "b", "c")), "to_class"),
]
EOS = 1


@pytest.fixture(scope="module")
def model():
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    tf.keras.utils.set_random_seed(3)
    model = MultiModel(CONFIG, 50, SPECS, mel_bins=4)
    model.build()
    return model


@pytest.fixture(scope="module")
def search(model):
    return Search(model)


def decode(search, *arguments):
    """Returns the ids [B, T] of the best outputs."""
    return search.decode(*arguments).ids[:, 0]


def sentences(*lengths):
    rows = np.zeros((len(lengths), max(lengths)), np.int32)
    for row, length in enumerate(lengths):
        rows[row, : length - 1] = np.random.default_rng(row).integers(3, 50, length - 1)
        rows[row, length - 1] = EOS
    return {"inputs": rows}


def naive(model, problem, batch, max_length):
    """Decodes token by token with the whole model each time; the values after the current token must not matter."""
    whole = tf.function(lambda batch: model(batch, problem=problem))
    ids = np.zeros((len(batch["inputs"]), 0), np.int32)
    done = np.zeros(len(ids), bool)
    while not done.all() and ids.shape[1] < max_length:
        targets = np.pad(ids, [(0, 0), (0, max_length - ids.shape[1])], constant_values=7)
        logits = whole({**batch, "targets": tf.constant(targets)}).numpy()[:, ids.shape[1]]
        tokens = np.where(done, 0, logits[:, 1:].argmax(-1) + 1).astype(np.int32)
        ids = np.concatenate([ids, tokens[:, None]], axis=1)
        done |= tokens == EOS
    return ids


def scores(model, batch, ids):
    """Returns the log-probabilities of whole outputs, by the model's training graph; padding has probability 0."""
    logits = tf.where(tf.range(50) == 0, -1e9, model({**batch, "targets": tf.constant(ids)}, problem="ende"))
    each = tf.gather(tf.nn.log_softmax(logits), ids, batch_dims=2).numpy()
    return (each * (ids > 0)).sum(axis=1)


def test_greedy_equals_a_plain_loop_over_the_model(model, search):
    batch = sentences(7, 3, 5)
    found = search.decode("ende", batch, 8)
    assert found.ids.dtype == np.int32
    np.testing.assert_array_equal(found.ids[:, 0], naive(model, "ende", batch, 8))
    np.testing.assert_allclose(found.scores[:, 0], scores(model, batch, found.ids[:, 0]), atol=1e-4)


def test_xla_finds_the_same(model, search):
    batch, limits = sentences(7, 3, 5), np.array([6, 3, 5], np.int32)  # sizes that are rounded up
    for strategy in (Greedy(), BeamSearch(3)):
        expected = search.decode("ende", batch, limits, strategy)
        found = Search(model, compiled=True).decode("ende", batch, limits, strategy)
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


def test_beam_scores_are_the_models_and_the_best_is_no_worse_than_greedys(model, search):
    batch = sentences(7, 3, 5)
    found = search.decode("ende", batch, 8, BeamSearch(4, alpha=0.0, n_best=3))
    for place in range(3):
        np.testing.assert_allclose(found.scores[:, place], scores(model, batch, found.ids[:, place]), atol=1e-4)
    greedy = search.decode("ende", batch, 8)
    assert (found.scores[:, 0] >= greedy.scores[:, 0] - 1e-4).all()
    assert (np.diff(found.scores, axis=1) <= 0).all()


@pytest.mark.parametrize("strategy", [Greedy(), BeamSearch(3, n_best=2), Sampling(top_k=1)])
def test_a_batch_equals_its_rows_one_by_one(search, strategy):
    limits = np.array([9, 2, 6], np.int32)
    lengths = (9, 4, 6)
    together = search.decode("ende", sentences(*lengths), limits, strategy)
    for row, length in enumerate(lengths):
        alone = {"inputs": sentences(*lengths)["inputs"][row : row + 1, :length]}
        expected = search.decode("ende", alone, limits[row : row + 1], strategy)
        size = expected.ids.shape[2]
        np.testing.assert_array_equal(together.ids[row, :, :size], expected.ids[0])
        assert not together.ids[row, :, size:].any()
        np.testing.assert_allclose(together.scores[row], expected.scores[0], atol=1e-4)


def test_sound_and_images_are_decoded(search):
    noise = np.random.default_rng(0).normal
    sound = {"inputs": noise(size=(2, 12, 4)).astype("float32"), "inputs_length": np.array([12, 7], np.int32)}
    together = decode(search, "speech", sound, 4)
    alone = decode(search, "speech", {"inputs": sound["inputs"][1:, :7], "inputs_length": sound["inputs_length"][1:]}, 4)
    np.testing.assert_array_equal(together[1], np.pad(alone[0], (0, together.shape[1] - alone.shape[1])))
    assert decode(search, "caption", {"inputs": noise(size=(3, 16, 24, 3))}, 4).shape == (3, 4)


def test_images_are_classified(model, search):
    pictures = {"inputs": np.random.default_rng(0).normal(size=(2, 16, 24, 3)).astype("float32")}
    expected = tf.function(lambda batch: model(batch, problem="picture"))(pictures)
    np.testing.assert_allclose(search.classify("picture", pictures).logits, expected, atol=1e-5)


class Replay:
    """A model that writes one given sentence per row and counts its calls."""

    def __init__(self, *rows):
        self.rows = tf.constant(rows)
        self.specs = {spec.name: spec for spec in SPECS}
        self.steps = tf.Variable(0)

    def encode(self, inputs, length, problem, training):
        mask = tf.cast(inputs != 0, tf.float32)
        return type("Encoded", (), {"states": mask[:, :, None], "mask": mask, "routing": None})

    def space_index(self, problem):
        return 0

    def precompute(self, encoded):
        return ()

    def init_cache(self, sentences, length, width):
        return ()

    def step(self, tokens, position, state, memory, problem, space, write):
        self.steps.assign_add(1)
        return tf.one_hot(self.rows[:, position], 9) + 9.0 * tf.one_hot(0, 9), state


def test_it_stops_when_every_row_has_ended_and_never_says_padding():
    model = Replay([5, 6, 1, 7, 7, 7], [4, 1, 8, 8, 8, 8])
    found = decode(Search(model), "ende", sentences(2, 2), 6)
    np.testing.assert_array_equal(found, [[5, 6, 1], [4, 1, 0]])
    assert model.steps.numpy() == 3


def test_it_stops_at_the_greatest_length():
    found = decode(Search(Replay([5, 5, 5, 5], [6, 6, 6, 6])), "ende", sentences(2, 2), np.array([3, 1]))
    np.testing.assert_array_equal(found, [[5, 5, 5], [6, 0, 0]])


def test_problems_of_one_input_modality_share_functions():
    search = Search(Replay([5, 6, 7]))
    for problem in ("ende", "frde", "ende"):
        for length in (3, 5, 8):
            search.decode(problem, sentences(length), 2)
    functions = [*search._functions.values(), *search._encoding._functions.values()]
    assert [function.experimental_get_tracing_count() for function in functions] == [1, 1]


def test_experts_shares_are_those_of_each_input_alone_and_sum_to_1(model):
    (gate,) = [value for value in model.encoder.trainable_variables if value.path.endswith("/gate")]
    gate.assign(np.random.default_rng(0).normal(size=gate.shape))  # it starts at 0, where all inputs are alike
    both = Encoding(model).encode("ende", sentences(9, 4)).experts.numpy()
    assert both.shape == (2, 4)
    np.testing.assert_allclose(both.sum(axis=1), 1, rtol=1e-5)
    for row, length in ((0, 9), (1, 4)):
        alone = sentences(9, 4)["inputs"][row : row + 1, :length]
        routing = model.encode(alone, None, "ende").routing
        expected = np.asarray(routing.importance) / np.asarray(routing.importance).sum()
        np.testing.assert_allclose(both[row], expected, rtol=1e-4)
    assert np.abs(both[0] - both[1]).max() > 1e-3
    pixels = {"inputs": np.random.default_rng(0).normal(size=(2, 16, 24, 3)).astype("float32")}
    np.testing.assert_allclose(Encoding(model).classify("picture", pixels).experts.sum(axis=1), 1, rtol=1e-5)
    gate.assign(np.zeros(gate.shape))
