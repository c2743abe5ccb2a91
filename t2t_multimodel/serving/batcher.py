"""Gathers requests that arrive one by one into batches."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from t2t_multimodel.utils.errors import MultiModelError


class QueueFull(MultiModelError):
    """The queue is full: it holds the largest allowed number of waiting requests."""


class Closed(MultiModelError):
    """The batcher was closed, and answers no more requests."""


class _Request(NamedTuple):
    item: Any
    future: Future[Any]
    arrival: float


class Batcher:
    """Runs requests together, in one thread, in the order in which they arrived.

    A batch is run when it is full, or when its oldest request has waited for `max_wait` seconds. While a batch is run, the next
    one fills.

    Args:
        run: called with a list of items; returns a result for each item.
        max_batch: the most items of a batch.
        max_wait: seconds for which a request waits for others to join it.
        max_waiting: the most requests that wait; those that are being run do not count.
    """

    def __init__(self, run: Callable[[list[Any]], Sequence[Any]], max_batch: int, max_wait: float, max_waiting: int) -> None:
        self._run = run
        self._max_batch = max_batch
        self._max_wait = max_wait
        self._max_waiting = max_waiting
        self._queue: collections.deque[_Request] = collections.deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Returns the number of requests that wait."""
        return len(self._queue)

    def submit(self, item: Any) -> Future[Any]:
        """Returns the future result for `item`. A future that is cancelled before its batch is run costs nothing.

        Raises:
            QueueFull: `max_waiting` requests wait.
            Closed: `close` has been called.
        """
        request = _Request(item, Future(), time.monotonic())
        with self._changed:
            if self._closed:
                raise Closed("the service is ending")
            if self.waiting >= self._max_waiting:
                raise QueueFull(f"{self._max_waiting} requests are waiting already; try again in a moment")
            self._queue.append(request)
            self._changed.notify_all()
        return request.future

    def close(self) -> None:
        """Ends the thread after the batch that it is running; requests that wait get Closed."""
        with self._changed:
            self._closed = True
            abandoned = list(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        for request in abandoned:
            if request.future.set_running_or_notify_cancel():
                request.future.set_exception(Closed("the service is ending"))
        self._thread.join()

    def _work(self) -> None:
        while requests := self._next_batch():
            self._answer([request for request in requests if request.future.set_running_or_notify_cancel()])

    def _next_batch(self) -> list[_Request] | None:
        """Returns the next batch as soon as it may be run; None when the batcher is closed."""
        with self._changed:
            while not self._closed:
                if not self._queue:
                    self._changed.wait()
                    continue
                left = self._queue[0].arrival + self._max_wait - time.monotonic()
                if left > 0 and len(self._queue) < self._max_batch:
                    self._changed.wait(left)
                    continue
                return [self._queue.popleft() for _ in range(min(len(self._queue), self._max_batch))]
        return None

    def _answer(self, requests: list[_Request]) -> None:
        """Gives every request its result. If a batch fails, each request is run alone, so that only the faulty one fails."""
        if not requests:
            return
        try:
            results = self._run([request.item for request in requests])
        except Exception as error:
            if len(requests) == 1:
                requests[0].future.set_exception(error)
                return
            for request in requests:
                self._answer([request])
            return
        for request, result in zip(requests, results, strict=True):
            request.future.set_result(result)
