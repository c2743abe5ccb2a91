"""The counted memory: parameters and slots against a model and its optimizers, the peak against sums by hand."""

import pytest
import tensorflow as tf

from t2t_multimodel.config import TrainingConfig
from t2t_multimodel.hyperparameter import rules
from t2t_multimodel.training.checkpoints import by_path
from t2t_multimodel.training.memory import parameter_counts, peak_bytes, state_bytes
from t2t_multimodel.training.optimizer import make_optimizer


@pytest.fixture(scope="module")
def model(make_model):
    return make_model(encoder_blocks=2, mixer_blocks=0, decoder_blocks=1)


def test_the_parts_of_a_model_add_up_to_its_parameters(model):
    counts = parameter_counts(model)
    assert sum(counts.values()) == sum(int(tf.size(variable)) for variable in by_path(model.trainable_variables).values())
    assert counts.keys() == {"language", "categorical_topics_7", "command tokens", "encoder", "experts", "mixer", "decoder"}
    assert counts["command tokens"] == 2 * 16
    assert counts["experts"] == 2 * (4 * 2 * 16 * 12 + 2 * 16 * 4)  # two mixtures: W1 and W2 of 4 experts, a gate's two matrices
    assert counts["language"] == 2 * 23 * 16


@pytest.mark.parametrize("optimizer", rules(TrainingConfig)["optimizer"][1].choices)
def test_the_state_is_what_the_optimizer_holds(optimizer, model, hparams):
    hparams = hparams.override(optimizer=optimizer)
    found = state_bytes(model, hparams)
    slots = make_optimizer(by_path(model.trainable_variables), hparams).slots
    assert found["optimizer"] == 4 * sum(int(tf.size(slot)) for kind in slots.values() for slot in kind.values())
    assert found["parameters"] == found["gradients"] == 4 * sum(parameter_counts(model).values())
    assert found["accumulators"] == found["averages"] == 0
    more = state_bytes(model, hparams.override(accumulate_steps=2, ema_decay=0.99))
    assert more["accumulators"] == more["averages"] == found["parameters"]


def test_the_peak_is_that_of_tensors_that_are_alive_at_once():
    @tf.function(input_signature=[tf.TensorSpec([10], tf.float32)], autograph=False)
    def program(x):
        a = tf.exp(x)  # 40 bytes, until d
        b = tf.tile(tf.reshape(a, (1, 10)), tf.zeros([2], tf.int32) + [5, 1])  # 200 bytes, until c; a view costs nothing
        tf.tile(b, [100, 1])  # leads nowhere
        c = tf.reduce_sum(b)
        d = tf.exp(a)
        return d * c

    graph = program.get_concrete_function().graph
    small = 100  # the arguments of tile and reduce_sum
    assert 240 <= peak_bytes(graph.get_operations(), graph.outputs) <= 240 + small


def test_a_tensor_of_unknown_size_is_named():
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)], autograph=False)
    def program(x):
        return tf.exp(x, name="grown")

    graph = program.get_concrete_function().graph
    with pytest.raises(ValueError, match="shape of grown:0 of type Exp is known in part only"):
        peak_bytes(graph.get_operations(), graph.outputs)
