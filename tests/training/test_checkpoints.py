"""Saving and going on: the same weights, slots, noise and step."""

import contextlib
import errno
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel.training.checkpoints import Checkpoints, by_path
from t2t_multimodel.training.optimizer import Adam
from t2t_multimodel.training.steps import StepFunctions
from t2t_multimodel.utils.errors import DataError


class Run:
    """Returns model, optimizer, steps and checkpoints of a run in `folder`."""

    def __init__(self, model, hparams, folder):
        self.model = model
        self.optimizer = Adam(by_path(model.trainable_variables), hparams.training)
        self.steps = StepFunctions(model, self.optimizer, hparams)
        self.checkpoints = Checkpoints(folder, model, self.optimizer.slots)

    def state(self):
        slots = [slot.numpy() for kind in self.optimizer.slots.values() for slot in kind.values()]
        return [variable.numpy() for variable in by_path(self.model.variables).values()] + slots


def equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_restored_run_goes_on_bit_for_bit(make_model, make_batch, hparams, tmp_path):
    run = Run(make_model(), hparams, tmp_path)
    batches = [make_batch("german", 6, 3, seed=seed) for seed in range(4)]
    for step in (1, 2):
        run.steps.train("german", batches[step - 1], 0.01, step)
    assert run.checkpoints.save(2).endswith("ckpt-2")
    saved = run.state()
    other = Run(make_model(seed=99), hparams, tmp_path)
    assert not equal(other.state(), saved)
    assert other.checkpoints.restore() == 2
    assert equal(other.state(), saved)
    for step in (3, 4):
        losses = [float(r.steps.train("german", batches[step - 1], 0.01, step).loss) for r in (run, other)]
        assert losses[0] == losses[1]
    assert equal(run.state(), other.state())
    assert not equal(run.state(), saved)


def test_every_variable_has_a_path_of_its_own_that_is_the_same_in_each_model(make_model):
    first, second = make_model(), make_model()
    assert len(by_path(first.variables)) == len(first.variables)
    assert list(by_path(first.variables)) == list(by_path(second.variables))
    assert any("noise" in path for path in by_path(first.variables))


@pytest.fixture(scope="module")
def model(make_model):
    return make_model(num_experts=0)


def test_weights_are_restored_without_an_optimizer(model, hparams, tmp_path):
    saved = [weight + 1 for weight in model.get_weights()]
    model.set_weights(saved)
    Run(model, hparams, tmp_path).checkpoints.save(7)
    model.set_weights([0 * weight for weight in saved])
    assert Checkpoints(tmp_path, model).restore() == 7
    assert equal(model.get_weights(), saved)


def test_training_does_not_go_on_from_weights_alone(model, hparams, tmp_path):
    Checkpoints(tmp_path, model).save(5)  # as --average does
    with pytest.raises(DataError, match=f"{tmp_path} holds weights alone, .* begin a new run with --warm_start={tmp_path}$"):
        Run(model, hparams, tmp_path).checkpoints.restore()


def test_the_last_few_are_kept_and_each_can_be_restored(model, tmp_path):
    checkpoints = Checkpoints(tmp_path, model, keep=2)
    for step in (1, 2, 5):
        model.set_weights([np.full_like(weight, step) for weight in model.get_weights()])
        checkpoints.save(step)
    assert sorted(path.name for path in tmp_path.glob("*.index")) == ["ckpt-2.index", "ckpt-5.index"]
    fresh = Checkpoints(tmp_path, model)
    assert fresh.restore(2) == 2
    assert np.all(model.get_weights()[0] == 2)
    assert fresh.restore() == 5
    assert np.all(model.get_weights()[0] == 5)
    with pytest.raises(DataError, match=r"no checkpoint of step 1 in .*; there are: ckpt-2, ckpt-5"):
        fresh.restore(1)


def test_without_a_checkpoint_nothing_is_restored(model, tmp_path):
    before = model.get_weights()
    assert Checkpoints(tmp_path, model).restore() is None
    assert equal(before, model.get_weights())
    with pytest.raises(DataError, match="no checkpoint of step 3 in .*; there are: none"):
        Checkpoints(tmp_path, model).restore(3)


def one_line(error):
    return "\n" not in str(error.value)


@pytest.mark.parametrize("changes", [{"hidden_size": 8}, {"encoder_blocks": 3}], ids=str)
def test_a_checkpoint_of_another_model_is_refused_in_one_line(changes, model, make_model, tmp_path):
    Checkpoints(tmp_path, model).save(3)
    other = make_model(num_experts=0, **changes)
    with pytest.raises(DataError, match=r"checkpoint .*ckpt-3 does not fit the model of config\.json beside it") as error:
        Checkpoints(tmp_path, other).restore()
    assert one_line(error)


@pytest.mark.parametrize("file", ["ckpt-3.index", "ckpt-3.data-00000-of-00001"])
@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_a_damaged_checkpoint_is_passed_over_and_named(file, damage, model, tmp_path):
    said = []
    model.set_weights([np.full_like(weight, 2) for weight in model.get_weights()])
    checkpoints = Checkpoints(tmp_path, model)
    checkpoints.save(2)
    model.set_weights([np.full_like(weight, 3) for weight in model.get_weights()])
    checkpoints.save(3)
    content = (tmp_path / file).read_bytes()
    (tmp_path / file).unlink()
    if damage == "cut":
        (tmp_path / file).write_bytes(content[: len(content) // 2])
    if damage == "changed":
        (tmp_path / file).write_bytes(content[:40] + bytes(8) + content[48:])
    assert Checkpoints(tmp_path, model, report=said.append).restore() == 2
    assert np.all(model.get_weights()[0] == 2)
    assert len(said) == 1 and "ckpt-3 is damaged" in said[0] and "\n" not in said[0]
    with pytest.raises(DataError, match="damaged, and nothing else to go on from in .*: ckpt-3") as error:
        Checkpoints(tmp_path, model).restore(3)
    assert one_line(error)


def test_paths_use_no_separator_of_checkpoints():
    variable = tf.Variable(1.0)

    class Named:
        path, value = "model/encoder/block1/kernel", variable

    assert by_path([Named]) == {"encoder.block1.kernel": variable}


def full_disk(*args, **kwargs):
    raise tf.errors.ResourceExhaustedError(None, None, "run/ckpt-3_temp/part.tempstate; No space left on device")


def full_for_the_list_of_checkpoints(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@contextlib.contextmanager
def small_files():
    """The system limits files to 1,000 bytes, so that checkpoints are really written in part."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("fault", ["tensors", "list", "file"])
def test_what_cannot_be_written_is_told_and_the_checkpoints_before_are_whole(fault, model, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, model)
    model.set_weights([np.full_like(weight, 2) for weight in model.get_weights()])
    checkpoints.save(2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    model.set_weights([np.full_like(weight, 3) for weight in model.get_weights()])
    with contextlib.ExitStack() as stack:
        if fault == "tensors":
            stack.enter_context(monkeypatch.context()).setattr(tf.train.Checkpoint, "_write", full_disk)
        elif fault == "list":
            stack.enter_context(monkeypatch.context()).setattr(
                tf.train.CheckpointManager, "_record_state", full_for_the_list_of_checkpoints
            )
        else:
            stack.enter_context(small_files())
        with pytest.raises(DataError, match=r"the checkpoint of step 3 could not be written to .*; when .*: ckpt-2$") as error:
            checkpoints.save(3)
    assert one_line(error)
    assert ("the disk is full" in str(error.value)) == (fault != "file")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert Checkpoints(tmp_path, model).restore() == 2
    assert np.all(model.get_weights()[0] == 2)


def test_a_worker_that_is_not_the_chief_saves_where_nobody_looks_and_restores_what_the_chief_saved(model, tmp_path):
    Checkpoints(tmp_path, model).save(2)
    before = sorted(tmp_path.iterdir())
    other = Checkpoints(tmp_path, model, writes=False)
    assert not list(Path(other.save(5)).parent.parent.glob("ckpt*"))
    assert sorted(tmp_path.iterdir()) == before
    assert other.restore() == 2
