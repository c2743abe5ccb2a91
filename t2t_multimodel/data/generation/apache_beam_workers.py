"""Works on chunks and shards in Apache Beam pipelines, on one machine or many (needs the extra `beam`).

Items are written to a folder that all machines see, a pipeline works on these files, and the results are read back in order. Raw
data is therefore read, and a user's own problems are imported, only where mm-datagen was started.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import logging
import os
import pickle
import socket
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from t2t_multimodel.data.generation.workers import Item, Result, Workers
from t2t_multimodel.registry import unknown
from t2t_multimodel.utils.errors import UnknownNameError, WorkerError
from t2t_multimodel.utils.files import write_atomically

# A chunk has about 4 MiB at most: this bounds the spool to 16 GiB of raw examples, and to as much of results.
_ITEMS_OF_A_PIPELINE = 4096
# Beam's own DirectRunner first tries a program that it downloads.
_IN_PROCESS = "apache_beam.runners.portability.fn_api_runner.fn_runner.FnApiRunner"
_DIRECT = ("direct", "directrunner")
_SHARED = "--data_dir must lie on a file system that this machine and all workers share, under the same path"

# Runners may use several threads per process, but the encoding of text and the serialisation of examples keep memory between
# calls.
_one_at_a_time = threading.Lock()


class BeamWorkers(Workers):
    """Workers that a runner of Apache Beam provides.

    Args:
        runner: the runner's name ("DirectRunner", "FlinkRunner") or the dotted name of its class.
        options: Beam's pipeline options as on a command line, for example ["--flink_master=host:8081"].

    Raises:
        WorkerError: Apache Beam, or a package that it needs for this runner, is not installed, or an option is wrong.
        UnknownNameError: there is no such runner.
    """

    def __init__(self, runner: str, options: Sequence[str] = ()) -> None:
        super().__init__(num_workers=1)
        self._name = runner
        self._options = list(options)
        try:
            _import_quietly()
        except ImportError as error:
            raise WorkerError(
                f"--runner={runner} needs Apache Beam ({error}, for {sys.executable}); in the checkout: pip install '.[beam]'"
            ) from None
        with contextlib.redirect_stderr(io.StringIO()) as complaint:
            try:
                self._check_options()
                self._pipeline()
            except SystemExit:
                raise WorkerError(f"--runner_options: {complaint.getvalue().strip().rpartition('error: ')[2]}") from None

    def map(self, function: Callable[[Item], Result], items: Iterable[Item], spool: Path) -> Iterator[Result]:
        """Yields `function(item)` per item, in the order of the items.

        One pipeline works on thousands of items. Items whose results a killed run has left in the spool are not worked on again.

        Args:
            function: a function at the top level of a module; it, the items and the results must be picklable.
            items: the items, which are read in this process.
            spool: an existing folder, which all workers see under the same path.

        Raises:
            WorkerError: a pipeline failed.
        """
        items = iter(items)
        while files := [_spooled(function, item, spool) for item in itertools.islice(items, _ITEMS_OF_A_PIPELINE)]:
            left = [file for file in files if not _result_file(file).exists()]
            if left:
                self._work(left, spool / "beam.log")
            for file in files:
                yield _result(file)
                file.unlink(missing_ok=True)
                _result_file(file).unlink()

    def _work(self, files: Sequence[Path], log: Path) -> None:
        """Runs a pipeline over the files of some items; messages of Beam, and of processes that it starts, go to `log`."""
        import apache_beam as beam

        job = None
        with _stderr_to(log):
            try:
                pipeline = self._pipeline()
                pipeline | beam.Create([str(file) for file in files], reshuffle=True) | beam.Map(work)
                job = pipeline.run()
                state = job.wait_until_finish()
                problem = "" if state in (None, "DONE") else f"it ended as {state}"
            except Exception as error:
                traceback.print_exc()
                problem = _last_line(error)
            except BaseException:
                if job:
                    with contextlib.suppress(Exception):
                        job.cancel()
                raise
        if problem:
            again = "the same command goes on from what is done"
            raise WorkerError(f"the pipeline on {self._name} failed: {problem} (its log is {log}); {again}")

    def _pipeline(self) -> Any:
        """Returns an empty pipeline.

        Raises:
            WorkerError: an option is missing, or options contradict each other.
        """
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions

        try:
            return beam.Pipeline(runner=self._runner(), options=PipelineOptions(self._options))
        except ValueError as error:
            raise WorkerError(f"--runner_options: {error}") from None

    def _runner(self) -> Any:
        from apache_beam.options.pipeline_options import StandardOptions
        from apache_beam.runners.runner import create_runner

        try:
            return create_runner(_IN_PROCESS if self._name.lower() in _DIRECT else self._name)
        except ValueError:
            raise UnknownNameError(unknown("runner", self._name, StandardOptions.KNOWN_RUNNER_NAMES)) from None
        except (ImportError, AttributeError) as error:
            raise WorkerError(f"--runner={self._name}: {error}") from None

    def _check_options(self) -> None:
        """Raises an UnknownNameError for an option that the direct runner does not know.

        Other runners may know more than Beam.
        """
        from apache_beam.options.pipeline_options import PipelineOptions

        options = PipelineOptions(self._options)
        known = options.get_all_options()
        foreign = sorted(options.get_all_options(retain_unknown_options=True).keys() - known.keys())
        if foreign and self._name.lower() in _DIRECT:
            names = [name for name in known if name.startswith("direct_")]
            raise UnknownNameError(f"--runner_options: {unknown('option', foreign[0], names)}")


def work(path: str) -> None:
    """Works on the item in a file and writes the result beside it, whole or not at all; a second call changes nothing."""
    file = Path(path)
    result_file = _result_file(file)
    if result_file.exists():
        return
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is not there on the worker {socket.gethostname()}; {_SHARED}") from None
    function, item = pickle.loads(content)
    with _one_at_a_time:
        result = function(item)
    temporary = file.with_name(f".{result_file.name}.{uuid.uuid4().hex}")
    temporary.write_bytes(pickle.dumps(result))
    temporary.replace(result_file)


def _import_quietly() -> None:
    """Imports Beam without its messages about optional packages, and without the handler that it would add to the root logger."""
    root, nothing = logging.getLogger(), logging.NullHandler()
    root.addHandler(nothing)
    try:
        importlib.import_module("apache_beam")
    finally:
        root.removeHandler(nothing)


def _result(file: Path) -> Any:
    try:
        return pickle.loads(_result_file(file).read_bytes())
    except FileNotFoundError:
        raise WorkerError(f"{_result_file(file)} was not written where this machine sees it; {_SHARED}") from None


@contextlib.contextmanager
def _stderr_to(path: Path) -> Iterator[None]:
    """Appends to a file what this process, and the processes that it starts, write to stderr."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with path.open("a", encoding="utf-8", buffering=1) as file, contextlib.redirect_stderr(file):
            os.dup2(file.fileno(), 2)
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _spooled(function: Callable[[Item], Any], item: Item, spool: Path) -> Path:
    """Writes an item to a file and returns the file."""
    file = spool / f"{item.name}.item"
    if not _result_file(file).exists():
        write_atomically(file, pickle.dumps((function, item)))
    return file


def _result_file(file: Path) -> Path:
    return file.with_suffix(".result")


def _last_line(error: Exception) -> str:
    """Returns the message of an error, without the tracebacks of remote processes that runners put in front of it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
