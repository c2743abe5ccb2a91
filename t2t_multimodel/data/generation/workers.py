"""Works on chunks in several processes and returns the results in order.

If a worker is killed, the run ends; if the parent is killed, its workers end. The caller's process reads the items and takes the
results. It works on items itself only until the first process has started: after that it would delay the others, since it holds
the interpreter's lock and cannot read items or take results meanwhile.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

from t2t_multimodel.utils.errors import WorkerError
from t2t_multimodel.utils.processes import end_with_parent, interrupts_masked


class Named(Protocol):
    """An item of work with a name."""

    @property
    def name(self) -> str:
        """Returns a name that no other item has, the same in each run; it may be used as a file name."""


Item = TypeVar("Item", bound=Named)
Result = TypeVar("Result")

_AHEAD = 3  # items per process that are being worked on, are ready, or whose results wait for earlier ones


class Workers:
    """Worker processes beside the caller's process.

    Args:
        num_workers: the number of processes that work at once; 1 works in the caller's process.
    """

    def __init__(self, num_workers: int) -> None:
        self._waiting = _AHEAD * num_workers
        self._pool = _pool(num_workers) if num_workers > 1 else None
        self._started: Future[int] = self._pool.submit(os.getpid) if self._pool else Future()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item], spool: Path) -> Iterator[Result]:
        """Yields `function(item)` per item, in the order of the items.

        Only a few items are read ahead, however slow the consumer is.

        Args:
            function: a function at the top level of a module; it, the items and the results must be picklable.
            items: the items, which are read in this process.
            spool: a folder for workers that hand over items and results as files; processes do not need it.

        Raises:
            WorkerError: a process was killed.
        """
        if not self._pool:
            yield from map(function, items)
            return
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(self._pool.submit(function, item) if self._started.done() else _done(function, item))
                while waiting and (waiting[0].done() or len(waiting) > self._waiting):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise WorkerError(
                "a worker process was killed, maybe because memory ran out; give the same command again, which goes on from "
                "what is done, or a smaller --num_workers"
            ) from None
        finally:
            for future in waiting:
                future.cancel()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)


def _done(function: Callable[[Item], Result], item: Item) -> Future[Result]:
    """Returns the result of work done at once in this process; an error is raised in its turn, as from another process."""
    future: Future[Result] = Future()
    try:
        future.set_result(function(item))
    except Exception as error:
        future.set_exception(error)
    return future


def _pool(num_workers: int) -> ProcessPoolExecutor:
    """Returns a pool whose processes have all started, with interrupts masked, since the parent handles them."""
    pool = ProcessPoolExecutor(num_workers, mp_context=multiprocessing.get_context("spawn"), initializer=end_with_parent)
    with interrupts_masked():
        for _ in range(num_workers):
            pool.submit(os.getpid)
    return pool
