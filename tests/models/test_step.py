"""One position at a time gives what the whole sequence gives, for every problem with an output to decode."""

import numpy as np
import pytest
import tensorflow as tf
import tiny
from tensors import close
from tiny import SPECS

from t2t_multimodel.features import Label
from t2t_multimodel.layers.mixture_of_experts import SMALL_CAPACITY

DECODED = [name for name, spec in SPECS.items() if not isinstance(spec.targets, Label)]


@pytest.fixture(scope="module", autouse=True)
def not_as_initialised():
    """Gives gates, gains and shifts different values, and restores them afterwards."""
    variables = tiny.model().trainable_variables
    before, random = [np.asarray(v) for v in variables], np.random.default_rng(5)
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value + 0.2 * random.normal(size=value.shape))
    yield
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)


def step_by_step(model, encoded, targets, name, rows_each=1):
    """Returns logits float32 [R, T, V] from `step`, in one traced loop."""

    @tf.function(autograph=False)
    def run(targets):
        constants = model.precompute(encoded)
        length = tf.shape(targets)[1]
        before = tf.pad(targets, [[0, 0], [1, 0]])

        def body(position, state, logits):
            new, state = model.step(before[:, position], position, state, constants, name)
            return position + 1, state, logits.write(position, new)

        start = (0, model.init_cache(tf.shape(targets)[0] // rows_each, length, rows_each), tf.TensorArray(tf.float32, length))
        return tf.transpose(tf.while_loop(lambda position, *_: position < length, body, start)[2].stack(), (1, 0, 2))

    return run(tf.repeat(targets, rows_each, axis=0)).numpy()


@pytest.mark.parametrize("name", DECODED)
def test_steps_equal_the_whole_sequence(name):
    model, made = tiny.model(), tiny.batch(name)
    encoded = model.encode(made["inputs"], made.get("inputs_length"), name)
    whole = model.decode(encoded, made["targets"], name)
    assert (made["targets"] == 0).any()  # some are shorter
    close(step_by_step(model, encoded, made["targets"], name), whole, 1e-4)


def test_steps_equal_the_whole_sequence_beyond_the_reach_of_all_convolutions():
    model, targets = tiny.model(), np.random.default_rng(0).integers(2, tiny.VOCAB, (1, 1200)).astype(np.int32)
    encoded = model.encode(tiny.ids(9), problem="translate")
    close(step_by_step(model, encoded, targets, "translate"), model.decode(encoded, targets, "translate"), 1e-4)


def test_neighbouring_rows_share_an_input():
    model, made = tiny.model(), tiny.batch("translate")
    encoded = model.encode(made["inputs"], problem="translate")
    whole = np.asarray(model.decode(encoded, made["targets"], "translate"))
    close(step_by_step(model, encoded, made["targets"], "translate", rows_each=3), np.repeat(whole, 3, axis=0), 1e-4)


def test_rows_that_go_on_from_others_have_their_past():
    model, random = tiny.model(), np.random.default_rng(3)
    sentences, width, length = 2, 3, 130  # beyond the reach of each convolution
    tokens = random.integers(2, tiny.VOCAB, (length, sentences, width)).astype(np.int32)
    parents = random.integers(0, width, (length, sentences, width)).astype(np.int32)
    encoded = model.encode(tiny.ids(9, 7), problem="translate")

    @tf.function(autograph=False)
    def last_logits():
        constants = model.precompute(encoded)

        def body(position, state, logits):
            before = tf.gather(tf.constant(tokens), tf.maximum(position - 1, 0))
            logits, state = model.step(tf.reshape(before, [-1]), position, state, constants, "translate")
            return position + 1, model.reorder_beams(state, tf.gather(tf.constant(parents), position), position), logits

        start = (0, model.init_cache(sentences, length, width), tf.zeros((sentences * width, tiny.VOCAB)))
        return tf.while_loop(lambda position, *_: position < length, body, start)[2]

    # the token chosen behind position t stands in the row that went on from parents[t]
    lines = np.zeros((sentences, width, 0), np.int32)
    for chosen, parent in zip(tokens[: length - 1], parents[: length - 1], strict=True):
        lines = np.concatenate([np.take_along_axis(lines, parent[:, :, None], axis=1), chosen[:, :, None]], axis=2)
    targets = np.pad(lines, [[0, 0], [0, 0], [0, 1]], constant_values=3)
    whole = [np.asarray(model.decode(encoded, targets[:, row], "translate"))[:, -1] for row in range(width)]
    close(last_logits(), np.stack(whole, axis=1).reshape(sentences * width, -1), 1e-4)


def test_what_a_step_keeps_grows_with_the_length_by_keys_and_values_alone():
    model = tiny.model()
    short, long = (tf.nest.flatten(model.init_cache(2, length)[:2]) for length in (10, 30))
    grown = [(a.shape, b.shape) for a, b in zip(short, long, strict=True) if a.shape != b.shape]
    attentions = 1 + len(model.decoder.attentions)
    assert len(grown) == 2 * attentions
    assert all(np.prod(b) == 3 * np.prod(a) for a, b in grown)


@pytest.mark.parametrize("tokens", [1, 7, 40])
def test_experts_of_a_handful_of_tokens_are_those_of_many(tokens):
    moe = tiny.model().decoder.experts.moe
    random = np.random.default_rng(1)
    x = random.normal(size=(1, tokens, moe.w1.shape[1])).astype(np.float32)
    mask = (random.uniform(size=(1, tokens)) < 0.7).astype(np.float32)
    y, routing = moe(x, mask)
    close(moe.step(x[0], mask[0]), y[0], 1e-5)
    close(moe.step(x[0], mask[0], measured=True), y[0], 1e-5)
    # each of the three ways
    assert (tokens * moe.k <= moe.num_experts) == (tokens == 1)
    assert (np.max(routing.load) <= SMALL_CAPACITY) == (tokens < 40)
