"""In bfloat16 and float16 the model computes the same as in float32, up to the type's rounding."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny
from tiny import SPECS

from t2t_multimodel.decoding.search import Search
from t2t_multimodel.features import Label
from t2t_multimodel.layers.normalization import LayerNorm
from t2t_multimodel.models.multimodel import MultiModel
from t2t_multimodel.models.transformer import Dense

# Of logits whose standard deviation is 1: a few times the rounding of a network of this depth, 2^-8 and 2^-11 relative a number.
TOLERANCES = {"bfloat16": 0.1, "float16": 0.03}
HALF = pytest.mark.parametrize("precision", TOLERANCES)


def in_float32_and(precision, **changes):
    """Returns two models with the same weights. Every expert computes every token, since rounding may change a close choice."""
    keras.utils.set_random_seed(1)
    every = {"num_experts": 3, "moe_k": 3, **changes}
    wide, half = (tiny.model(**every, precision=name) for name in ("float32", precision))
    for target, source in zip(half.trainable_variables, wide.trainable_variables, strict=True):
        target.assign(source)
    return wide, half


def distance(found, wanted):
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    assert np.isfinite(found).all()
    return np.sqrt(np.mean(np.square(found - wanted))) / np.std(wanted)


@HALF
def test_logits_are_those_of_float32_within_rounding(precision):
    wide, half = in_float32_and(precision)
    for name in SPECS:
        logits = [model(tiny.batch(name), problem=name) for model in (half, wide)]
        assert logits[0].dtype == tf.float32
        assert 0 < distance(*logits) < TOLERANCES[precision], name


@HALF
def test_steps_equal_the_whole_sequence_within_rounding(precision):
    _, half = in_float32_and(precision)
    batch = tiny.batch("translate")
    encoded = half.encode(batch["inputs"], problem="translate")
    whole = half.decode(encoded, batch["targets"], "translate")
    memory, state = half.precompute(encoded), half.init_cache(3, whole.shape[1])
    before, logits = np.pad(batch["targets"], [[0, 0], [1, 0]]), []
    for position in range(whole.shape[1]):
        step, state = half.step(before[:, position], position, state, memory, "translate")
        logits.append(step)
    assert {value.dtype.name for value in tf.nest.flatten(state[:2])} == {precision}
    assert distance(np.stack(logits, axis=1), whole) < TOLERANCES[precision]


@HALF
def test_weights_and_what_must_be_exact_stay_in_float32(precision):
    wide, half = in_float32_and(precision)
    assert {variable.dtype for variable in half.trainable_variables} == {"float32"}
    assert half.encoder.experts.moe.gate.compute_dtype == "float32"
    made = {layer.compute_dtype for layer in half._flatten_layers() if layer.name.startswith(("step", "self_attention", "res"))}
    assert made == {precision}
    encoded = half.encode(tiny.batch("translate")["inputs"], problem="translate")
    assert encoded.states.dtype.name == precision and encoded.mask.dtype == tf.float32
    assert all(value.dtype == tf.float32 for value in encoded.routing[1:])


@HALF
def test_a_gradient_is_that_of_float32_within_rounding(precision):
    gradients = []
    for model in in_float32_and(precision):
        with tf.GradientTape() as tape:
            terms = model.loss_terms(tiny.batch("translate"), "translate", training=False)
            loss = terms.total / terms.weight
        found = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
        gradients.append(np.concatenate([np.ravel(tf.convert_to_tensor(value)) for value in found if value is not None]))
    assert gradients[1].dtype == np.float32
    assert distance(gradients[1], gradients[0]) < 2 * TOLERANCES[precision]


def test_padding_is_hidden_in_float16_too():
    """Neither -1e9 nor sums of a long mask fit into float16."""
    _, half = in_float32_and("float16")
    for name in ("text_label", "speech_label", "speech"):
        batch = tiny.batch(name, lengths=(9, 5, 12))
        together = np.asarray(half(batch, problem=name))
        for i in range(3):
            alone = np.asarray(half(tiny.row(batch, i), problem=name))[0]
            shown = together[i] if isinstance(SPECS[name].targets, Label) else together[i, : len(alone)]
            np.testing.assert_allclose(shown, alone, atol=0.03)


def test_a_model_in_half_precision_is_restored_from_its_configuration():
    _, half = in_float32_and("bfloat16")
    again = MultiModel.from_config(half.get_config())
    assert again.compute_dtype == "bfloat16" and again.variable_dtype == "float32"


def test_a_search_in_half_precision_scores_what_the_model_scores():
    _, half = in_float32_and("bfloat16")
    batch = tiny.batch("translate")
    found = Search(half).decode("translate", batch, 6)
    ids = found.ids[:, 0]
    encoded = half.encode(batch["inputs"], problem="translate")
    logits = half.decode(encoded, ids, "translate")
    log_probs = tf.nn.log_softmax(logits - 1e9 * tf.one_hot(0, logits.shape[-1]))  # padding is never offered
    wanted = tf.reduce_sum(tf.gather(log_probs, ids, batch_dims=2) * tf.cast(ids != 0, tf.float32), axis=1)
    np.testing.assert_allclose(found.scores[:, 0], wanted, rtol=0.02)


@pytest.mark.parametrize("layer", [Dense(4, kernel_initializer="zeros"), LayerNorm()])
def test_gradients_of_biases_are_no_running_sums_in_half_precision(layer):
    """A running sum of ones in bfloat16 ends at 256."""
    layer = type(layer).from_config({**layer.get_config(), "dtype": "mixed_bfloat16"})
    x = tf.ones([8, 125, 4], tf.bfloat16)
    layer.build(x.shape)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.cast(layer(x), tf.float32))
    assert tape.gradient(total, layer.trainable_variables[-1].value).numpy() == pytest.approx([1000] * 4, rel=0.01)


@pytest.mark.parametrize("body", [{"num_experts": 3, "moe_k": 3}, {"attention": False}, {"architecture": "transformer"}])
@pytest.mark.parametrize("name", ["speech", "image_label"])
def test_no_part_adds_a_bias_by_the_operation_whose_gradient_is_a_running_sum(body, name):
    model, batch = tiny.model((name,), **body, precision="bfloat16"), tiny.batch(name)
    traced = tf.function(lambda: model(batch, problem=name, training=True), autograph=False).get_concrete_function().graph
    assert not {op.type for op in traced.get_operations()} & {"BiasAdd", "BiasAddV1"}
