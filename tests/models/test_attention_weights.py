"""Where a model looks: the weights of a whole output's pass are those that decoding step by step attends with."""

import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf
import tiny
from tensors import close

from t2t_multimodel.layers.attention import MultiHeadAttention

BODIES = {"multimodel": {}, "transformer": {"architecture": "transformer"}, "no_attention": {"attention": False}}
NAMES = ("translate", "speech", "caption", "image_label")


@pytest.fixture
def stepped(monkeypatch):
    """The weights [R, N, 1, S] with which each step of an attention over a source reads it, by layer, computed apart from it."""
    found, original = {}, MultiHeadAttention.attend_step

    def attend_step(layer, x, read, bias, width, query_kernel, output_kernel):
        heads = layer.num_heads
        query = (np.asarray(x) @ np.asarray(query_kernel)).reshape(-1, heads, 1, x.shape[-1] // heads)
        keys = np.repeat(np.asarray(read.keys), width, axis=0)
        weights = reference.softmax(query @ keys + np.repeat(np.asarray(bias), width, axis=0))
        found.setdefault(id(layer), []).append(weights)
        return original(layer, x, read, bias, width, query_kernel, output_kernel)

    monkeypatch.setattr(MultiHeadAttention, "attend_step", attend_step)
    return found


@pytest.mark.parametrize(("body", "name", "width"), [("multimodel", "translate", 2), ("transformer", "caption", 1)])
def test_the_weights_are_those_of_the_steps(stepped, body, name, width):
    model, made = tiny.model(NAMES, **BODIES[body]), tiny.batch(name)
    encoded = model.encode(made["inputs"], made.get("inputs_length"), name)
    logits, weights = model.decode_with_attention(encoded, made["targets"], name)
    close(logits, model.decode(encoded, made["targets"], name))
    length = 4
    before = tf.repeat(tf.pad(made["targets"], [[0, 0], [1, 0]]), width, axis=0)
    constants, state = model.precompute(encoded), model.init_cache(len(made["targets"]), length, width)
    for position in range(length):
        _, state = model.step(before[:, position], tf.constant(position), state, constants, name)
    last = list(stepped.values())[-1]
    by_step = np.concatenate(last, axis=2).mean(axis=1)[::width]
    close(weights[:, :length], by_step, 1e-5)
    assert np.ptp(by_step, axis=-1).max() > 1e-3  # not even


@pytest.mark.parametrize("body", BODIES)
def test_a_row_sums_to_one_over_real_positions(body):
    model, made = tiny.model(NAMES, **BODIES[body]), tiny.batch("speech")
    encoded = model.encode(made["inputs"], made["inputs_length"], "speech")
    weights = np.asarray(model.decode_with_attention(encoded, made["targets"], "speech")[1])
    assert weights.shape == (*made["targets"].shape, encoded.mask.shape[1])
    assert np.abs(weights * (1 - np.asarray(encoded.mask))[:, None]).max() == 0
    if body == "no_attention":  # position t reads source state t
        np.testing.assert_array_equal(weights[0], np.eye(*weights.shape[1:]) * np.asarray(encoded.mask)[0])
    else:
        close(weights.sum(axis=-1), np.ones(made["targets"].shape), 1e-5)


def test_a_body_without_an_attention_over_the_source_has_no_weights():
    model, made = tiny.model(("translate",), architecture="transformer", decoder_blocks=0), tiny.batch("translate")
    assert model.decode_with_attention(model.encode(made["inputs"], problem="translate"), made["targets"], "translate")[1] is None
