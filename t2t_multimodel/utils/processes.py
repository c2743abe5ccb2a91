"""Finds out whether a process is alive, makes child processes end with their parent, and lets a command end by itself."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType

_SECONDS_TO_NOTICE = 2.0


def is_running(process: int) -> bool:
    """Whether a process with this id exists on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@contextlib.contextmanager
def interrupts_masked() -> Iterator[None]:
    """Delays SIGINT until the context ends. Processes that are started inside it inherit the mask and never see SIGINT."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Starts a thread that ends this process when its parent has ended. Without it, the child of a killed parent would stay."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def run_until_it_ends(command: Sequence[str], env: Mapping[str, str] | None = None) -> int:
    """Runs a command and returns its exit code, which is negative if a signal killed it.

    A command that is interrupted saves its work, which takes a while; this function waits for it. SIGTERM is passed on. Ctrl-C in
    a terminal reaches the command by itself. If the command has not ended soon after it, the signal came to this process alone,
    and SIGTERM is sent. Call it in the main thread.

    Args:
        command: the program and its arguments.
        env: the environment; None is this process's.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the command has ended.
    """
    process = subprocess.Popen(command, env=env)

    def terminate(number: int, frame: FrameType | None) -> None:
        process.terminate()

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        return process.wait()
    except KeyboardInterrupt:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_NOTICE)
        process.terminate()
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
