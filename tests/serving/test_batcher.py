"""Requests that arrive one by one are run together, in bounded batches, within a bounded wait."""

import threading
import time

import pytest

from t2t_multimodel.serving.batcher import Batcher, Closed, QueueFull


class Doubler:
    """Doubles numbers and notes the batches; "bad" fails, and `gate` holds every batch back."""

    def __init__(self):
        self.batches = []
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Semaphore(0)

    def __call__(self, items):
        self.batches.append(list(items))
        self.started.release()
        assert self.gate.wait(10)
        if "bad" in items:
            raise ValueError("bad")
        return [item * 2 for item in items]


@pytest.fixture
def made():
    """Makes batchers and closes them."""
    batchers = []

    def make(run, max_batch=4, max_wait=0.0, max_waiting=100):
        batchers.append(Batcher(run, max_batch, max_wait, max_waiting))
        return batchers[-1]

    yield make
    for batcher in batchers:
        batcher.close()


def held(made, **options):
    """A batcher that is busy with a first request."""
    run = Doubler()
    run.gate.clear()
    batcher = made(run, **options)
    first = batcher.submit(0)
    assert run.started.acquire(timeout=10)
    return run, batcher, first


def test_each_request_gets_its_own_result(made):
    batcher = made(Doubler())
    futures = [batcher.submit(number) for number in range(50)]
    assert [future.result(10) for future in futures] == [number * 2 for number in range(50)]


def test_what_waits_is_run_together_in_its_order_up_to_the_largest_batch(made):
    run, batcher, first = held(made)
    futures = [batcher.submit(number) for number in range(1, 8)]
    assert batcher.waiting == 7
    run.gate.set()
    assert [future.result(10) for future in [first, *futures]] == [number * 2 for number in range(8)]
    assert run.batches == [[0], [1, 2, 3, 4], [5, 6, 7]]


def test_a_request_waits_for_others_but_not_longer_than_it_may(made):
    run = Doubler()
    batcher = made(run, max_batch=2, max_wait=60.0)
    futures = [batcher.submit(number) for number in (1, 2)]
    assert [future.result(10) for future in futures] == [2, 4]  # a full batch does not wait
    assert run.batches == [[1, 2]]
    batcher = made(run, max_batch=2, max_wait=0.01)
    assert batcher.submit(3).result(10) == 6


def test_a_full_queue_refuses_the_next_request_in_a_line(made):
    run, batcher, first = held(made, max_waiting=2)
    futures = [batcher.submit(number) for number in (1, 2)]
    with pytest.raises(QueueFull, match="^2 requests are waiting already; try again in a moment$"):
        batcher.submit(3)
    run.gate.set()
    assert [future.result(10) for future in [first, *futures]] == [0, 2, 4]
    assert batcher.submit(4).result(10) == 8


def test_a_request_that_fails_alone_fails_and_its_neighbours_do_not(made):
    run, batcher, _ = held(made)
    futures = [batcher.submit(item) for item in (1, "bad", 2)]
    run.gate.set()
    assert [futures[0].result(10), futures[2].result(10)] == [2, 4]
    with pytest.raises(ValueError, match="bad"):
        futures[1].result(10)


def test_a_request_that_is_given_up_is_not_run(made):
    run, batcher, _ = held(made)
    futures = [batcher.submit(number) for number in (1, 2)]
    assert futures[0].cancel()
    run.gate.set()
    assert futures[1].result(10) == 4
    assert run.batches[1:] == [[2]]


def test_closing_ends_the_running_batch_and_refuses_the_rest(made):
    run, batcher, first = held(made)
    waiting = batcher.submit(1)
    closing = threading.Thread(target=batcher.close)
    closing.start()
    while not waiting.done():
        time.sleep(0.001)
    run.gate.set()
    closing.join(10)
    assert first.result(10) == 0
    for late in (lambda: waiting.result(0), lambda: batcher.submit(2)):
        with pytest.raises(Closed, match="the service is ending"):
            late()
