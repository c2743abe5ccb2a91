"""What ends a run: a request, a signal, its time, steps that are no numbers; its checkpoint is written, or as it was."""

import os
import signal
import types

import numpy as np
import pytest
from pretended_training import saved, written

from t2t_multimodel.training import trainer as module
from t2t_multimodel.utils.errors import NotFinite


def test_request_stop_saves_and_ends(make_trainer, tmp_path, capsys):
    trainer, model = make_trainer(at={3: lambda: trainer.request_stop()})
    assert trainer.train() == 3
    assert saved(tmp_path) == [3]
    assert not trainer.steps.evaluated
    assert "stopped at step 3; the checkpoint is written" in capsys.readouterr().err
    assert {row["step"] for row in written(tmp_path)} == {3}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends_and_the_old_handlers_come_back(number, make_trainer, tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    trainer, _ = make_trainer(at={7: lambda: os.kill(os.getpid(), number)})
    assert trainer.train() == 7
    assert trainer.interrupted == number
    assert saved(tmp_path) == [5, 7]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_time_is_limited(make_trainer, tmp_path, monkeypatch):
    clock = types.SimpleNamespace(monotonic=lambda: clock.now, now=0.0)
    monkeypatch.setattr(module, "time", clock)
    trainer, _ = make_trainer(at={step: lambda: setattr(clock, "now", clock.now + 10) for step in range(1, 13)})
    assert trainer.train(seconds=35) == 4
    assert saved(tmp_path) == [4]
    assert trainer.steps.evaluated


BAD = [(float("nan"), 0.5), (float("inf"), 0.5), (1.0, float("nan"))]


@pytest.mark.parametrize("figures", BAD, ids=str)
def test_a_step_that_is_no_number_is_skipped_and_the_run_goes_on(figures, make_trainer, tmp_path, capsys):
    trainer, _ = make_trainer("problem_schedule=round_robin", losses={8: figures})
    assert trainer.train() == 12
    assert "step 8 topic: loss or gradient is not finite, the weights stay as they are" in capsys.readouterr().err
    rows = [row for row in written(tmp_path) if row["split"] == "train"]
    assert all(np.isfinite(row["loss"]) and np.isfinite(row["gradient_norm"]) for row in rows)


def test_float16_steps_that_lower_the_loss_scale_do_not_end_the_run(make_trainer, capsys):
    settings = "precision=float16,train_steps=40,eval_every=50"
    trainer, _ = make_trainer(settings, losses=dict.fromkeys(range(3, 25), BAD[2]))
    assert trainer.train() == 40
    assert "too large for float16; the loss scale is now 32768" in capsys.readouterr().err
    trainer, _ = make_trainer(settings, losses=dict.fromkeys(range(43, 70), BAD[2]), at={50: lambda: scale.assign(1.0)})
    scale = trainer._optimizer.slots["loss_scale"]["scale"]
    with pytest.raises(NotFinite, match="not finite at step 59, the tenth in a row"):
        trainer.train(until=80)


@pytest.mark.parametrize("figures", BAD, ids=str)
def test_ten_steps_in_a_row_that_are_no_numbers_end_the_run_and_harm_no_checkpoint(figures, make_trainer, tmp_path):
    bad = {step: figures for step in range(7, 30) if step != 12}
    trainer, _ = make_trainer("problem_schedule=round_robin,train_steps=40,save_every=3,eval_every=50", losses=bad)
    with pytest.raises(NotFinite, match="not finite at step 22, the tenth in a row; the checkpoint of step 21 is untouched"):
        trainer.train()
    assert saved(tmp_path)[-1] == 21


def test_before_the_first_checkpoint_none_is_promised(make_trainer, tmp_path):
    bad = dict.fromkeys(range(1, 13), (float("nan"), 1.0))
    trainer, _ = make_trainer("eval_every=50", losses=bad)
    with pytest.raises(NotFinite, match="the tenth in a row; there is no checkpoint yet"):
        trainer.train()
    assert saved(tmp_path) == []
