"""The whole model: every kind of problem, what may change an output, what is shared, the loss, gradients, saving."""

import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny
from tensors import close
from tiny import BINS, CLASSES, SPECS, VOCAB

from t2t_multimodel.config import ModelConfig
from t2t_multimodel.features import Label
from t2t_multimodel.models.multimodel import MultiModel

# Keras warns of a softmax over one place, which attention to a single position and a single expert a token are.
DROPPED = {"embedding_dropout": 0.1, "attention_dropout": 0.1, "target_noise": 0.1}
VARIANTS = {
    "paper": {},
    "waveform": {"audio_input": "waveform"},
    "folded bins": {"audio_frequency": "fold"},
    "no experts, norms, branch dropout": {"num_experts": 0, "output_norm": True, "dropout_on": "branch"},
    "tied, unscaled": {"tie_embeddings": True, "scale_embeddings": False, **DROPPED},
}
# Every problem as the paper has it, and each variant with a problem that it concerns.
CASES = [(name, "paper") for name in SPECS] + [
    ("speech", "waveform"),
    ("speech_label", "folded bins"),
    ("caption", "no experts, norms, branch dropout"),
    ("translate", "tied, unscaled"),
]


def model_of(variant):
    """Returns the model of a variant, with that variant's problems in CASES."""
    if variant == "paper":
        return tiny.model()
    return tiny.model(tuple(name for name, of in CASES if of == variant), **VARIANTS[variant])


def batch(name, variant="paper", **arguments):
    return tiny.batch(name, "waveform" if variant == "waveform" else "spectrogram", **arguments)


def logits(model, made, name):
    return np.asarray(model(made, problem=name))


@functools.cache
def traced(name):
    """Returns one traced function for any number of texts of any length."""
    signature, model = [tf.TensorSpec((None, None), tf.int32)] * 2, tiny.model()

    def run(inputs, targets):
        return model({"inputs": inputs, "targets": targets}, problem=name)

    return tf.function(run, input_signature=signature)


def translations(inputs, targets):
    return traced("translate")(inputs, targets).numpy()


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_a_batch_gives_what_its_examples_give_one_by_one_without_padding(name, variant):
    model, made = model_of(variant), batch(name, variant)
    whole = logits(model, made, name)
    size = len(made["targets"])
    assert whole.dtype == np.float32
    assert whole.shape == ((size, len(CLASSES)) if isinstance(SPECS[name].targets, Label) else (*made["targets"].shape, VOCAB))
    for i in (0, 1):
        alone = logits(model, tiny.row(made, i), name)[0]
        close(whole[i] if alone.ndim == 1 else whole[i, : len(alone)], alone, 1e-4)


def test_one_traced_function_serves_all_lengths():
    for lengths in ((9, 5, 12), (3,), (1, 2)):
        made = batch("translate", lengths=lengths)
        close(translations(made["inputs"], made["targets"]), logits(tiny.model(), made, "translate"), 1e-4)
    assert traced("translate").experimental_get_tracing_count() == 1


def test_longer_padding_of_a_text_changes_nothing():
    made = batch("translate")
    longer = np.pad(made["inputs"], [(0, 0), (0, 23)])
    close(translations(longer, made["targets"]), translations(made["inputs"], made["targets"]), 1e-4)


@pytest.mark.parametrize(("name", "variant"), [("speech", "paper"), ("speech_label", "folded bins"), ("speech", "waveform")])
def test_what_stands_behind_the_end_of_a_sound_is_not_heard(name, variant):
    model, made = model_of(variant), batch(name, variant)
    sound = np.pad(made["inputs"], [(0, 0), (0, 13), *[(0, 0)] * (made["inputs"].ndim - 2)])
    for noise, length in zip(sound, made["inputs_length"], strict=True):
        noise[length:] = 5.0
    close(logits(model, {**made, "inputs": sound}, name), logits(model, made, name), 1e-4)


def test_longer_padding_of_the_targets_changes_no_real_position():
    made = batch("translate")
    real = made["targets"] != 0
    longer = translations(made["inputs"], np.pad(made["targets"], [(0, 0), (0, 9)]))[:, : real.shape[1]]
    close(longer[real], translations(made["inputs"], made["targets"])[real], 1e-4)


def changed_from(t, targets):
    """Returns ids with other values from position t on, except the last, which stays 1."""
    changed = targets.copy()
    changed[:, t:-1] = 3 + (changed[:, t:-1] - 2) % (VOCAB - 3)
    return changed


@pytest.mark.parametrize("t", [0, 1, 5, 12, 30])
def test_no_translation_depends_on_its_own_or_a_later_target(t):
    inputs, targets = tiny.ids(9), tiny.ids(36, seed=3)
    before, after = translations(inputs, targets), translations(inputs, changed_from(t, targets))
    close(after[:, : t + 1], before[:, : t + 1], 1e-4)
    assert np.abs(after[:, t + 1] - before[:, t + 1]).max() > 1e-3


@pytest.mark.parametrize("name", ["speech", "caption"])
def test_no_output_depends_on_its_own_or_a_later_target(name):
    model, made = tiny.model(), batch(name, lengths=(9,))
    targets = tiny.ids(14, seed=3)
    before, after = (logits(model, {**made, "targets": ids}, name) for ids in (targets, changed_from(5, targets)))
    close(after[:, :6], before[:, :6], 1e-4)
    assert np.abs(after[:, 6] - before[:, 6]).max() > 1e-3


def test_growing_prefixes_give_the_whole_sequences_logits():
    model, made = tiny.model(), batch("translate", lengths=(9,))
    targets = tiny.ids(8, seed=3)
    whole = logits(model, {**made, "targets": targets}, "translate")
    encoded = model.encode(made["inputs"], problem="translate")
    for length in (1, 2, 5):
        part = model.decode(encoded, targets[:, :length], "translate")
        close(part, whole[:, :length], 1e-4)


def test_encode_then_decode_or_classify_is_the_call():
    model = tiny.model()
    for name in ("speech", "speech_label"):
        made = batch(name)
        encoded = model.encode(made["inputs"], made["inputs_length"], name)
        parts = model.classify(encoded, name) if name == "speech_label" else model.decode(encoded, made["targets"], name)
        close(parts, logits(model, made, name), 1e-6)


def test_the_command_token_tells_target_spaces_apart():
    model, made = tiny.model(), batch("translate")
    assert set(model.commands) == {"to_german", "to_parse_tree", "to_english"}
    encoded = model.encode(made["inputs"], problem="translate")
    german, parse = (np.asarray(model.decode(encoded, made["targets"], name)) for name in ("translate", "parse"))
    assert np.abs(german[:, 0] - parse[:, 0]).max() > 1e-3
    from_text, as_caption = (np.asarray(model.decode(encoded, made["targets"], name)) for name in ("speech", "caption"))
    np.testing.assert_array_equal(from_text, as_caption)


def test_problems_of_one_domain_share_their_nets():
    model = tiny.model()
    assert set(model.nets) == {"language", "spectrogram", "image_3", "categorical_shapes_3"}
    alone = tiny.make(("translate",))
    both = tiny.make(("translate", "parse"))
    assert len(both.variables) == len(alone.variables) + 1  # one more command token


def test_variables_are_the_same_ones_in_the_same_order_whenever_a_model_is_made():
    first, second = (list(by_path(model).items()) for model in (tiny.model(), tiny.make()))
    assert [(path, v.shape) for path, v in first] == [(path, v.shape) for path, v in second]
    assert len(first) == len(tiny.model().variables)


def by_path(model):
    """Returns the weights by their paths; `tf.train.Checkpoint(model=...)` would miss layers in a list or a dict."""
    return {v.path.partition("/")[2].replace("/", "."): v.value for v in model.variables}


# The loss


def cross_entropy(made, values, smoothing):
    """Returns the smoothed cross-entropy, computed one position at a time."""
    total, weight = 0.0, 0
    for place, target in np.ndenumerate(made["targets"]):
        if target == 0 and made["targets"].ndim == 2:
            continue
        log_p = values[place] - np.log(np.exp(values[place]).sum())
        wanted = np.full(len(log_p), smoothing / len(log_p))
        wanted[target] += 1 - smoothing
        total, weight = total - (wanted * log_p).sum(), weight + 1
    return total, weight


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("name", ["translate", "image_label"])
def test_loss_terms_are_the_smoothed_cross_entropy_and_its_weight(name, smoothing):
    model, made = tiny.model(), batch(name)
    terms = model.loss_terms(made, name, training=False, label_smoothing=smoothing)
    total, weight = cross_entropy(made, logits(model, made, name).astype("float64"), smoothing)
    close(terms.total, total, 1e-4)
    assert float(terms.weight) == weight


def test_the_balance_is_that_of_both_mixtures_and_nothing_without_experts():
    model, made = tiny.model(), batch("translate")
    terms = model.loss_terms(made, "translate", training=False)
    assert len(terms.routings) == 2
    wanted = sum(1e-2 * np.var(v) / np.mean(v) ** 2 for routing in terms.routings for v in (routing.importance, routing.load))
    close(model.balance_loss(terms.routings), wanted, 1e-4)
    assert [int(np.sum(routing.load)) for routing in terms.routings] == [
        2 * np.count_nonzero(made[k]) for k in ("inputs", "targets")
    ]
    assert len(model.loss_terms(batch("text_label"), "text_label").routings) == 1
    without = tiny.model(("translate",), num_experts=0)
    assert without.loss_terms(made, "translate").routings == () and float(without.balance_loss(())) == 0


# Gradients


def used(model, name):
    """Returns the paths of the variables that the problem trains."""
    spec = SPECS[name]
    parts = [model._net(spec.inputs), model._net(spec.targets), model.encoder]
    if not isinstance(spec.targets, Label):
        parts += [model.mixer, model.decoder, model.commands[spec.target_space]]
    paths = {v.path for part in parts for v in part.trainable_variables}
    return {path for path in paths if not path.endswith("language/output")} if name == "text_label" else paths


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_a_finite_gradient_reaches_every_variable_of_the_problem_and_no_other(name, variant):
    model, made = model_of(variant), batch(name, variant)
    with tf.GradientTape() as tape:
        terms = model.loss_terms(made, name, training=True, label_smoothing=0.1)
        loss = terms.total / terms.weight + model.balance_loss(terms.routings)
    found = tape.gradient(loss, [v.value for v in model.trainable_variables])
    reached = {v.path for v, gradient in zip(model.trainable_variables, found, strict=True) if gradient is not None}
    assert reached == used(model, name)
    assert all(np.isfinite(tf.convert_to_tensor(gradient)).all() for gradient in found if gradient is not None)
    assert all(v.dtype == "float32" for v in model.trainable_variables)


# Saving


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_configuration_survives_json(variant):
    model = model_of(variant)
    again = MultiModel.from_config(json.loads(json.dumps(model.get_config())))
    assert again.get_config() == model.get_config()
    assert again.config == model.config and again.specs == model.specs


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of NumPy 2 for h5py and Keras
def test_a_saved_model_gives_the_same_outputs(tmp_path):
    model = tiny.model()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for name in ("translate", "speech_label"):
        np.testing.assert_array_equal(logits(loaded, batch(name), name), logits(model, batch(name), name))


def test_a_checkpoint_by_paths_gives_the_same_outputs(tmp_path):
    model, other = tiny.model(), tiny.make()
    saved, read = (tf.train.Checkpoint(**by_path(m)) for m in (model, other))
    path = saved.write(str(tmp_path / "ckpt"))
    for v in other.trainable_variables:
        v.assign(v + 1)
    read.read(path).assert_consumed()
    for name in ("caption", "text_label"):
        np.testing.assert_array_equal(logits(other, batch(name), name), logits(model, batch(name), name))


def test_an_unknown_problem_is_named():
    with pytest.raises(ValueError, match="knows the problems translate.*got 'chess'"):
        tiny.model().encode(batch("translate")["inputs"], problem="chess")


def test_only_labels_need_no_decoder():
    model = tiny.make(("image_label",))
    assert model.mixer is None and model.decoder is None and not model.commands
    assert np.isfinite(logits(model, batch("image_label"), "image_label")).all()


def test_dimensions_of_sound_follow_the_configuration():
    assert tiny.model().nets["spectrogram"].bins == BINS
    assert set(model_of("waveform").nets) == {"waveform", "language"}


def test_the_papers_joint_model_has_the_papers_shape():
    model = MultiModel(ModelConfig(), 8192, [SPECS["translate"]])
    assert (model.encoder.config.encoder_blocks, model.mixer.config.mixer_blocks, model.decoder.config.decoder_blocks) == (
        6,
        2,
        4,
    )
    assert (model.config.num_experts, model.config.moe_k, model.config.dropout, model.config.num_heads) == (240, 4, 0.4, 8)


def test_padding_at_and_behind_a_position_changes_no_logit_up_to_it():
    inputs, targets = tiny.ids(9), tiny.ids(14, seed=3)
    cut = targets.copy()
    cut[:, 5:] = 0
    close(translations(inputs, cut)[:, :6], translations(inputs, targets)[:, :6], 1e-4)
