"""Several processes share the work; the caller works too until they have started."""

import os
import time

import pytest

from t2t_multimodel.data.generation.workers import Workers


@pytest.fixture(scope="module")
def workers():
    with Workers(2) as pair:
        yield pair


def test_both_processes_work_and_the_callers_until_they_have_started(tmp_path):
    seen, begun = [], time.monotonic()

    def items():
        while len(set(seen)) < 3 and time.monotonic() < begun + 60:
            yield "__import__('time').sleep(0.01) or __import__('os').getpid()"

    with Workers(2) as workers:
        for process in workers.map(eval, items(), tmp_path):
            seen.append(process)
    assert len(set(seen)) == 3
    own = seen.count(os.getpid())
    assert seen[:own] == [os.getpid()] * own  # It works alone first, and never again.


def test_results_and_errors_come_in_the_order_of_the_items(workers, tmp_path):
    results = []
    with pytest.raises(ValueError, match="'x'"):
        for number in workers.map(int, [*map(str, range(50)), "x", "51"], tmp_path):
            results.append(number)
    assert results == list(range(50))


def test_few_items_are_taken_ahead_of_a_slow_reader(workers, tmp_path):
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield str(number)

    for done, _ in enumerate(workers.map(int, items(), tmp_path)):
        assert len(taken) <= done + 10
