"""A user's keras.json (dtypes, image layout, epsilon) does not change this package's model."""

import keras
import numpy as np
import pytest
import tiny
from keras import ops

NAMES = ("speech", "image_label")


def made():
    """Returns a model's losses in training and the logits of a decoding step."""
    keras.utils.set_random_seed(5)
    model = tiny.make(NAMES, dropout=0.1)
    terms = {name: model.loss_terms(tiny.batch(name), name) for name in NAMES}
    losses = [float(t.total / t.weight + model.balance_loss(t.routings)) for t in terms.values()]
    batch = tiny.batch("speech")
    encoded = model.encode(batch["inputs"], batch["inputs_length"], "speech")
    state, tokens = model.init_cache(len(batch["inputs"]), 4), ops.zeros(len(batch["inputs"]), "int32")
    logits, _ = model.step(tokens, ops.cast(0, "int32"), state, model.precompute(encoded), "speech")
    return model, losses, np.asarray(logits)


@pytest.fixture
def settings():
    """Sets floatx, image_data_format and epsilon, as keras.json does when Keras is imported."""
    config = keras.config
    before = config.floatx(), config.image_data_format(), config.epsilon()

    def change(floatx, image_data_format, epsilon):
        config.set_floatx(floatx)
        config.set_image_data_format(image_data_format)
        config.set_epsilon(epsilon)

    yield change
    change(*before)


def test_the_model_is_the_same_whatever_keras_json_says(settings):
    model, losses, logits = made()
    settings("float16", "channels_first", 0.5)
    other, other_losses, other_logits = made()

    assert {variable.dtype for variable in other.trainable_variables} == {"float32"}
    for ours, theirs in zip(model.trainable_variables, other.trainable_variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(other_losses, losses, rtol=1e-6)
    np.testing.assert_allclose(other_logits, logits, rtol=1e-6)
