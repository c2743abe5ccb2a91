"""The training loop with several workers: only the chief writes, all stop after the same step, evaluations are divided."""

import pytest
from pretended_training import saved

from t2t_multimodel.training import trainer as module
from t2t_multimodel.utils.errors import DataError


class OtherWorker:
    """This worker is `index` of two. `adds(call, values)` returns the other worker's values; calls count from 0."""

    count = 2

    def __init__(self, index=0, adds=lambda call, values: values):
        self.index, self.adds, self.calls = index, adds, 0

    @property
    def is_chief(self):
        return self.index == 0

    def total(self, values):
        self.calls += 1
        return [own + other for own, other in zip(values, self.adds(self.calls - 1, values), strict=True)]


@pytest.fixture
def make_worker(make_trainer, monkeypatch):
    def make(workers, *args):
        monkeypatch.setattr(module, "WorkerGroup", lambda strategy, cluster: workers)
        return make_trainer(*args)[0]

    return make


def test_a_worker_that_is_not_the_chief_trains_and_leaves_nothing(make_worker, tmp_path):
    trainer = make_worker(OtherWorker(1, lambda call, values: [*[1.0] * (len(values) - 1), 0] if len(values) > 3 else values))
    assert trainer.train() == 12
    assert len(trainer.steps.trained) == 12
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", [0, 1])
def test_workers_stop_when_another_was_told_to_or_its_time_is_over(place, make_worker, tmp_path):
    """The first call is about the restored step; one more call comes before each step."""
    trainer = make_worker(
        OtherWorker(0, lambda call, values: [call == 5 and i == place for i in range(len(values))]), "eval_every=50"
    )
    assert trainer.train() == 4
    assert saved(tmp_path) == [4]
    assert bool(trainer.steps.evaluated) == (place == 1)


def test_an_evaluation_ends_in_all_workers_when_another_was_told_to_stop(make_worker, tmp_path):
    trainer = make_worker(OtherWorker(0, lambda call, values: [0] * (len(values) - 1) + [len(values) > 3]), "batch_tokens=16")
    assert trainer.metrics("copy") is None
    assert len(trainer.steps.evaluated) > 1


def test_workers_divide_the_batches_of_an_evaluation(make_worker):
    half = make_worker(OtherWorker(1, lambda call, values: [10 * value for value in values]), "batch_tokens=16")
    found = half.metrics("copy")
    batches = len(half.steps.evaluated)
    whole = make_worker(OtherWorker(0, lambda call, values: [0 * value for value in values]), "batch_tokens=16")
    whole.metrics("copy")
    assert batches >= 1
    assert found["examples"] == 11 * 2.0 * batches
    assert 0 <= len(whole.steps.evaluated) - batches <= 1


def test_workers_that_found_other_checkpoints_do_not_begin(make_worker):
    trainer = make_worker(OtherWorker(1, lambda call, values: [value + 5 for value in values]))
    with pytest.raises(DataError, match="this worker found step 0 in .*, others did not; it should be a folder that all share"):
        trainer.train()
    assert not trainer.steps.trained
