"""One process at a time writes to a folder, however the process before it ended."""

import errno
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from t2t_multimodel.utils import writer_lock
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.writer_lock import FILE_NAME, WriterLock

HOST = socket.gethostname()
HOLD = "import sys, time; from pathlib import Path; from t2t_multimodel.utils.writer_lock import WriterLock\n"
HOLD += "with WriterLock(Path(sys.argv[1]), print): print('held', flush=True); time.sleep(60)"


@pytest.fixture
def said(monkeypatch):
    """The reported lines; watching takes less than the real minute."""
    monkeypatch.setattr(writer_lock, "WATCHED_SECONDS", 0.3)
    monkeypatch.setattr(writer_lock, "BEAT_SECONDS", 0.01)
    return []


def leave(folder, host, process, beat=0):
    content = {"host": host, "process": process, "since": "2026-01-02 03:04:05", "beat": beat}
    (folder / FILE_NAME).write_text(json.dumps(content))


def refused(folder, said, named):
    with pytest.raises(DataError, match=re.escape(named) + ".*; wait until it ends, or choose another --output_dir"):
        WriterLock(folder, said.append).__enter__()


def test_a_second_writer_is_refused_by_the_name_of_the_first(said, tmp_path):
    folder = tmp_path / "new" / "run"
    with WriterLock(folder, said.append):
        refused(folder, said, f"process {os.getpid()} on {HOST} writes to {folder} since 20")
    with WriterLock(folder, said.append):
        time.sleep(0.1)
    assert not list(folder.iterdir()) and not said


def test_an_error_releases_it(said, tmp_path):
    with pytest.raises(ZeroDivisionError), WriterLock(tmp_path, said.append):
        raise ZeroDivisionError
    with WriterLock(tmp_path, said.append):
        pass


def test_a_killed_process_holds_nothing(said, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, env=environment) as holder:
        assert holder.stdout.readline() == b"held\n"
        refused(tmp_path, said, f"process {holder.pid} on {HOST}")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert (tmp_path / FILE_NAME).exists()
        with WriterLock(tmp_path, said.append):
            pass


def test_a_process_of_another_machine_is_watched_and_replaced_if_it_is_dead(said, tmp_path):
    leave(tmp_path, "elsewhere", 7)
    with WriterLock(tmp_path, said.append):
        assert json.loads((tmp_path / FILE_NAME).read_text())["host"] == HOST
    assert said[0].startswith(f"process 7 on elsewhere writes to {tmp_path} since 2026-01-02 03:04:05; seeing for 0.3 seconds")
    assert said[1] == "it is not; its place is taken"


def test_a_process_of_another_machine_that_lives_is_named(said, tmp_path):
    leave(tmp_path, "elsewhere", 7)
    beats = threading.Timer(0.05, leave, (tmp_path, "elsewhere", 7, 1))
    beats.start()
    refused(tmp_path, said, "process 7 on elsewhere")
    beats.join()


@pytest.fixture
def without_locks(monkeypatch):
    def flock(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize(
    ("process", "lives"), [(os.getppid(), True), (os.getpid(), False), (2**22 + 1, False)], ids=["parent", "own", "none"]
)
def test_without_locks_the_number_of_the_process_decides(process, lives, without_locks, said, tmp_path):
    leave(tmp_path, HOST, process)
    if lives:
        refused(tmp_path, said, f"process {process} on {HOST}")
    else:
        with WriterLock(tmp_path, said.append):
            pass


def test_a_file_that_nobody_wrote_to_is_no_lock(said, tmp_path):
    (tmp_path / FILE_NAME).write_text("x")
    with WriterLock(tmp_path, said.append):
        pass
    assert not said
