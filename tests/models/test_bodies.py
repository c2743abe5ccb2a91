"""Other bodies between the same modality nets: the Transformer, and the MultiModel without attention (Table 4's ablation)."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny
from tensors import close

from t2t_multimodel.config import ModelConfig
from t2t_multimodel.hyperparameter import rules
from t2t_multimodel.layers.aligned_reading import AlignedReading
from t2t_multimodel.models import models
from t2t_multimodel.testing import run_layer_test

BODIES = {"transformer": {"architecture": "transformer"}, "no_attention": {"attention": False}}
NAMES = ("translate", "speech", "caption", "image_label")
EVERY_BODY = pytest.mark.parametrize("body", BODIES)


def model_of(body):
    return tiny.model(NAMES, **BODIES[body])


def encoded(model, made, name):
    return model.encode(made["inputs"], made.get("inputs_length"), name)


def test_the_registry_has_the_choices_of_the_hyperparameter():
    assert models.names() == sorted(rules(ModelConfig)["architecture"][1].choices)


@EVERY_BODY
@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_nothing(body, name):
    model, made = model_of(body), tiny.batch(name)
    whole = np.asarray(model(made, problem=name))
    for i in range(len(whole)):
        alone = tiny.row(made, i)
        found = np.asarray(model(alone, problem=name))[0]
        close(whole[i][: len(found)] if whole.ndim == 3 else whole[i], found, 1e-4)


@EVERY_BODY
@pytest.mark.parametrize("width", [1, 3])
def test_steps_equal_the_whole_sequence(body, width):
    model, made = model_of(body), tiny.batch("translate")
    read = encoded(model, made, "translate")
    targets = np.random.default_rng(3).integers(2, tiny.VOCAB, (3, 20)).astype(np.int32)  # longer than the sources
    whole = np.asarray(model.decode(read, targets, "translate"))

    @tf.function(autograph=False)
    def steps(targets):
        constants, length = model.precompute(read), tf.shape(targets)[1]
        before = tf.repeat(tf.pad(targets, [[0, 0], [1, 0]]), width, axis=0)

        def advance(position, state, logits):
            new, state = model.step(before[:, position], position, state, constants, "translate")
            return position + 1, state, logits.write(position, new)

        start = (0, model.init_cache(tf.shape(targets)[0], length, width), tf.TensorArray(tf.float32, length))
        return tf.transpose(tf.while_loop(lambda position, *_: position < length, advance, start)[2].stack(), (1, 0, 2))

    close(steps(targets), np.repeat(whole, width, axis=0), 1e-4)


@EVERY_BODY
def test_no_output_depends_on_a_later_target_and_all_depend_on_the_source(body):
    model, made = model_of(body), tiny.batch("translate")
    read = encoded(model, made, "translate")
    targets = made["targets"].copy()
    before = np.asarray(model.decode(read, targets, "translate"))
    targets[:, 4:] = 5
    close(np.asarray(model.decode(read, targets, "translate"))[:, :5], before[:, :5], 1e-5)
    other = model.encode(np.where(made["inputs"] > 2, 4, made["inputs"]), problem="translate")
    assert (np.abs(np.asarray(model.decode(other, made["targets"], "translate")) - before).max(axis=(0, 2)) > 1e-4).all()


@EVERY_BODY
def test_every_variable_gets_a_gradient_and_the_loss_falls(body):
    model, made = tiny.make(("translate",), dropout=0.0, **BODIES[body]), tiny.batch("translate")
    optimizer = keras.optimizers.Adam(0.01)

    def train():
        with tf.GradientTape() as tape:
            terms = model.loss_terms(made, "translate")
            loss = terms.total / terms.weight + model.balance_loss(terms.routings)
        gradients = tape.gradient(loss, model.trainable_variables)
        assert all(gradient is not None for gradient in gradients)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return float(loss)

    losses = [train() for _ in range(6)]
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of NumPy 2 for h5py and Keras
@EVERY_BODY
def test_saving_and_loading_changes_nothing(body, tmp_path):
    model, made = model_of(body), tiny.batch("translate")
    wanted = model(made, problem="translate")
    model.save(tmp_path / "model.keras")
    close(keras.saving.load_model(tmp_path / "model.keras")(made, problem="translate"), wanted, 1e-6)


def test_without_attention_there_is_no_attention_and_position_t_reads_source_state_t():
    model = model_of("no_attention")
    assert not [variable.path for variable in model.variables if "_attention/" in variable.path]
    layer, random = AlignedReading(), np.random.default_rng(0)
    source = random.normal(size=(2, 4, 8)).astype(np.float32)
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], np.float32)
    layer.build((2, 7, 8))
    read = np.asarray(layer(np.zeros((2, 7, 8), np.float32), source, mask))
    wanted = np.asarray(layer.read(source)) * mask[..., None]
    close(read[:, :4], wanted, 1e-6)
    assert not read[:, 4:].any() and wanted[0].any()
    run_layer_test(AlignedReading, (random.normal(size=(2, 7, 8)).astype(np.float32), source, mask), output_shape=(2, 7, 8))


def test_the_transformer_has_the_parameters_that_its_sizes_say():
    size, hidden = 16, 40
    model = tiny.make(("translate",), architecture="transformer", feed_forward_size=hidden, encoder_blocks=3, decoder_blocks=2)
    norm, attention = 2 * size, 4 * size * size
    feed_forward = size * hidden + hidden + hidden * size + size
    encoder = 3 * (attention + feed_forward + 2 * norm) + norm
    decoder = 2 * (2 * attention + feed_forward + 3 * norm) + norm
    counted = [sum(int(np.prod(v.shape)) for v in part.trainable_variables) for part in (model.encoder, model.decoder)]
    assert counted == [encoder, decoder]
    assert not model.mixer.trainable_variables


def test_an_encoder_block_equals_its_equations_in_numpy():
    model = tiny.make(("translate",), architecture="transformer", encoder_blocks=1)
    block, random = model.encoder.blocks[0], np.random.default_rng(1)
    x = random.normal(size=(1, 5, 16))
    weights = {
        name: np.asarray(getattr(block.attentions[0], f"{name}_kernel"), np.float64)
        for name in ("query", "key", "value", "output")
    }

    def norm(values, layer):
        centred = values - values.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * np.asarray(layer.gamma) + np.asarray(layer.beta)

    y = norm(x, block.norms[0])
    q, k, v = ((y @ weights[name]).reshape(1, 5, 2, 8).transpose(0, 2, 1, 3) for name in ("query", "key", "value"))
    logits = q @ k.transpose(0, 1, 3, 2) / np.sqrt(8)
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    context = (shares / shares.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3).reshape(1, 5, 16)
    x1 = x + context @ weights["output"]
    hidden = np.maximum(norm(x1, block.norms[1]) @ np.asarray(block.hidden.kernel) + np.asarray(block.hidden.bias), 0)
    wanted = x1 + hidden @ np.asarray(block.output_layer.kernel) + np.asarray(block.output_layer.bias)
    close(block(x.astype(np.float32), readable=np.ones((1, 1, 5), np.float32)), wanted, 1e-4)
