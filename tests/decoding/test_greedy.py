"""Greedy search against a plain loop over the model, and its invariances."""

import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel.config import ModelConfig
from t2t_multimodel.decoding.greedy import GreedySearch
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

# Keras takes an argument called mask for its own, which layers here pass on themselves.


@pytest.fixture(scope="module")
def model():
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    tf.keras.utils.set_random_seed(3)
    model = MultiModel(CONFIG, 50, SPECS, mel_bins=4)
    model.build()
    return model


@pytest.fixture(scope="module")
def search(model):
    return GreedySearch(model)


def sentences(*lengths):
    rows = np.zeros((len(lengths), max(lengths)), np.int32)
    for row, length in enumerate(lengths):
        rows[row, : length - 1] = np.random.default_rng(row).integers(3, 50, length - 1)
        rows[row, length - 1] = EOS
    return {"inputs": rows}


def naive(model, problem, batch, max_length):
    """One token after the other, the whole model again for each; what stands behind the token in question must not matter."""
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


def test_greedy_equals_a_plain_loop_over_the_model(model, search):
    batch = sentences(7, 3, 5)
    found = search.decode("ende", batch, 8)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, naive(model, "ende", batch, 8))


def test_sound_and_images_are_decoded(search):
    noise = np.random.default_rng(0).normal
    sound = {"inputs": noise(size=(2, 12, 4)).astype("float32"), "inputs_length": np.array([12, 7], np.int32)}
    together = search.decode("speech", sound, 4)
    alone = search.decode("speech", {"inputs": sound["inputs"][1:, :7], "inputs_length": sound["inputs_length"][1:]}, 4)
    np.testing.assert_array_equal(together[1], alone[0])
    assert search.decode("caption", {"inputs": noise(size=(3, 16, 24, 3))}, 4).shape == (3, 4)


def test_images_are_classified(model, search):
    pictures = {"inputs": np.random.default_rng(0).normal(size=(2, 16, 24, 3)).astype("float32")}
    expected = tf.function(lambda batch: model(batch, problem="picture"))(pictures)
    np.testing.assert_allclose(search.classify("picture", pictures), expected, atol=1e-5)


def test_a_batch_equals_its_rows_one_by_one(search):
    limits = np.array([9, 2, 6], np.int32)
    lengths = (9, 4, 6)
    together = search.decode("ende", sentences(*lengths), limits)
    for row, length in enumerate(lengths):
        alone = {"inputs": sentences(*lengths)["inputs"][row : row + 1, :length]}
        expected = search.decode("ende", alone, limits[row : row + 1])[0]
        np.testing.assert_array_equal(together[row, : len(expected)], expected)
        assert not together[row, len(expected) :].any()


class Replay:
    """A model that says one sentence a row; what it is asked for is counted."""

    def __init__(self, *rows):
        self.rows = tf.constant(rows)
        self.specs = {spec.name: spec for spec in SPECS}
        self.steps = tf.Variable(0)

    def encode(self, inputs, length, problem, training):
        mask = tf.cast(inputs != 0, tf.float32)
        return type("Encoded", (), {"states": mask[:, :, None], "mask": mask})

    def space_index(self, problem):
        return 0

    def decode(self, encoded, targets, problem, training, space):
        self.steps.assign_add(1)
        logits = tf.one_hot(self.rows[:, : tf.shape(targets)[1]], 9)
        return logits + 9.0 * tf.one_hot(0, 9)


def test_it_stops_when_every_row_has_ended_and_never_says_padding():
    model = Replay([5, 6, 1, 7, 7, 7], [4, 1, 8, 8, 8, 8])
    found = GreedySearch(model).decode("ende", sentences(2, 2), 6)
    np.testing.assert_array_equal(found, [[5, 6, 1], [4, 1, 0]])
    assert model.steps.numpy() == 3


def test_it_stops_at_the_greatest_length():
    found = GreedySearch(Replay([5, 5, 5, 5], [6, 6, 6, 6])).decode("ende", sentences(2, 2), np.array([3, 1]))
    np.testing.assert_array_equal(found, [[5, 5, 5], [6, 0, 0]])


def test_problems_of_one_input_modality_share_functions():
    search = GreedySearch(Replay([5, 6, 7]))
    for problem in ("ende", "frde", "ende"):
        for length in (3, 5, 8):
            search.decode(problem, sentences(length), 2)
    assert len(search._functions) == 2
    assert all(function.experimental_get_tracing_count() == 1 for function in search._functions.values())
