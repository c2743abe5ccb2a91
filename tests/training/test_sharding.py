"""Experts divided into parts, as on parameter servers, give the same steps and the same checkpoint as on one device."""

import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel.distributed.sharding import by_experts, in_parts, joined
from t2t_multimodel.tf_internals import ShardedVariable
from t2t_multimodel.training.checkpoints import Checkpoints, by_path, newest_weights
from t2t_multimodel.training.optimizer import make_optimizer
from t2t_multimodel.training.steps import StepFunctions
from t2t_multimodel.training.warm_start import load_matching_weights

EXPERTS = ("encoder.experts.moe.w1", "encoder.experts.moe.w2")


def test_experts_alone_are_divided_and_each_server_has_some():
    partition = by_experts(240, 8)
    assert partition(tf.TensorShape([240, 1024, 1024]), tf.float32) == [8, 1, 1]
    assert partition(tf.TensorShape([240, 1024]), tf.float32) == [1, 1]
    assert partition(tf.TensorShape([8192, 1024]), tf.float32) == [1, 1]
    assert partition(tf.TensorShape([15, 3, 1024]), tf.float32) == [1, 1, 1]


def divided(next_creator, **options):
    """Makes variables on this device as ParameterServerStrategy makes them with the partitioner and three servers."""
    value = options.pop("initial_value")
    value = tf.convert_to_tensor(value() if callable(value) else value)
    count = by_experts(4, 3)(value.shape, value.dtype)[0] if value.shape.rank else 1
    parts = [next_creator(initial_value=part, **options) for part in np.array_split(value.numpy(), count)] if count > 1 else []
    return ShardedVariable(parts) if parts else next_creator(initial_value=value, **options)


@pytest.fixture(scope="module")
def trained(make_model, make_batch, hparams, tmp_path_factory):
    """Returns results, weights and checkpoints after two steps, of a whole model and of one with its experts in parts."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def train(name, scope):
        with scope:
            model = make_model(mixer_blocks=0, decoder_blocks=0)
        settings = hparams.override(clip_norm=0.5)
        optimizer = make_optimizer(in_parts(by_path(model.trainable_variables)), settings)
        steps = StepFunctions(model, optimizer, settings)
        results = [steps.train("topic", make_batch("topic", 6, 3, 9), 0.01, step) for step in (1, 2)]
        slots = {kind: joined(variables) for kind, variables in optimizer.slots.items()}
        Checkpoints(folder / name, model, slots).save(2)
        return model, slots, results

    whole = train("whole", tf.variable_creator_scope(lambda next_creator, **options: next_creator(**options)))
    return folder, whole, train("parts", tf.variable_creator_scope(divided))


def values(variables):
    return {name: tf.convert_to_tensor(variable).numpy() for name, variable in variables.items()}


def test_steps_on_parts_are_steps_on_the_whole(trained):
    _, (whole, slots, wanted), (parts, part_slots, found) = trained
    assert [len(by_path(parts.variables)[name].variables) for name in EXPERTS] == [3, 3]
    assert min(float(result.gradient_norm) for result in wanted) > 0.5  # it is clipped
    for one, other in zip(wanted, found, strict=True):
        assert float(other.loss) == pytest.approx(float(one.loss), rel=1e-5)
        assert float(other.gradient_norm) == pytest.approx(float(one.gradient_norm), rel=1e-5)
    for one, other in ((by_path(whole.variables), by_path(parts.variables)), *((slots[k], part_slots[k]) for k in "mv")):
        one, other = values(one), values(other)
        assert one.keys() == other.keys()
        assert all(np.allclose(one[name], other[name], rtol=1e-5, atol=1e-6) for name in one)


def shapes(path):
    return dict(tf.train.load_checkpoint(str(path)).get_variable_to_shape_map())


def test_a_checkpoint_of_parts_is_one_of_the_whole(trained, make_model):
    folder, (_, slots, _), (parts, part_slots, _) = trained
    assert shapes(folder / "parts" / "ckpt-2") == shapes(folder / "whole" / "ckpt-2")
    alone = make_model(mixer_blocks=0, decoder_blocks=0)
    assert Checkpoints(folder / "parts", alone).restore() == 2
    wanted, found = values(by_path(parts.variables)), values(by_path(alone.variables))
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


def test_parts_go_on_from_a_checkpoint_of_the_whole_or_begin_with_it(trained):
    folder, (whole, slots, _), (parts, part_slots, _) = trained
    wanted = values(by_path(whole.variables))
    for take in (
        lambda: Checkpoints(folder / "whole", parts, part_slots).restore(),
        lambda: load_matching_weights(by_path(parts.trainable_variables), folder / "whole", lambda line: None),
    ):
        for name in EXPERTS:
            by_path(parts.variables)[name].assign(np.zeros_like(wanted[name]))
        take()
        found = values(by_path(parts.variables))
        assert all(np.array_equal(found[name], wanted[name]) for name in EXPERTS)
    for kind in "mv":
        assert all(np.array_equal(values(slots[kind])[name], values(part_slots[kind])[name]) for name in EXPERTS)


def test_the_number_of_servers_may_change(tmp_path):
    wanted = np.arange(21.0, dtype="float32").reshape(7, 3)

    def variable(parts, start):
        pieces = np.array_split(start, parts)
        return ShardedVariable([tf.Variable(piece) for piece in pieces])

    path = tf.train.Checkpoint(w=variable(3, wanted)).write(str(tmp_path / "ckpt"))
    for parts in (1, 2, 5):
        found = variable(parts, 0 * wanted)
        tf.train.Checkpoint(w=found).read(path).assert_consumed()
        assert np.array_equal(tf.convert_to_tensor(found), wanted)


def test_weights_in_parts_are_read_whole(trained):
    folder, _, (parts, _, _) = trained
    _, found = newest_weights(folder / "parts", lambda line: None)
    wanted = values(by_path(parts.variables))
    assert all(found[name].shape == wanted[name].shape == (4, *wanted[name].shape[1:]) for name in EXPERTS)
