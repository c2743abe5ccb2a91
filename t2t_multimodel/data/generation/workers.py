"""Work on chunks in several processes, in order; a worker that is gone, or whose parent is, ends what it belongs to.

The caller's process reads the items and takes the results. It works on items itself only until the first process has started:
later it would keep the others waiting, for the interpreter's lock and for what it has to read and to take.
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
    """An item of work."""

    @property
    def name(self) -> str:
        """Different from that of every other item, and the same each time; a file may have it."""


Item = TypeVar("Item", bound=Named)
Result = TypeVar("Result")

_AHEAD = 3  # items for each process that it has, that lie ready for it, or whose results wait for earlier ones


class Workers:
    """`num_workers` processes beside the caller's; 1 is the caller's own.

    Args:
        num_workers: processes that work at once.
    """

    def __init__(self, num_workers: int) -> None:
        self._waiting = _AHEAD * num_workers
        self._pool = _pool(num_workers) if num_workers > 1 else None
        self._started: Future[int] = self._pool.submit(os.getpid) if self._pool else Future()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item], spool: Path) -> Iterator[Result]:
        """`function` of each item, in the order of the items; a few items are taken ahead, however slow the reader is.

        Args:
            function: of a module's top level, as are items and results picklable.
            items: read in this process.
            spool: a folder for workers that need one to hand over items and results; processes do not.

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
    """The result of work that this process does at once; an error is raised in its turn, like that of another process."""
    future: Future[Result] = Future()
    try:
        future.set_result(function(item))
    except Exception as error:
        future.set_exception(error)
    return future


def _pool(num_workers: int) -> ProcessPoolExecutor:
    """All of its processes start here, with interrupts masked: those are the parent's to handle."""
    pool = ProcessPoolExecutor(num_workers, mp_context=multiprocessing.get_context("spawn"), initializer=end_with_parent)
    with interrupts_masked():
        for _ in range(num_workers):
            pool.submit(os.getpid)
    return pool
