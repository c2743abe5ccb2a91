"""Records made in several processes, or by a run that was killed and went on, are the files of an undisturbed run."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from t2t_multimodel.data.generation import encode, split_writer
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.features import Text
from t2t_multimodel.problem import Problem
from t2t_multimodel.utils.errors import DataError, WorkerError

PROGRAM = Path(__file__).resolve().parents[2] / "helpers" / "datagen_program.py"
SIZE = "20000"


def pairs(count, interfere=lambda split, i: None):
    """Returns a problem of made-up pairs. `interfere` is called before each, and may return an example in its place."""

    def generate_split(split, tmp_dir):
        for i in range(count if split == "train" else 50):
            yield interfere(split, i) or {"inputs": f"{split} {i} {i % 7}", "targets": f"{split} {i % 11} x {i}"}

    return Problem("pairs", Text(), Text(), "to_german", generate_split)


def make(problem, data_dir, **options):
    lines = []
    generate([problem], data_dir, data_dir.parent, 330, num_shards=3, report=lines.append, **options)
    return lines


def contents(folder):
    return {path.name: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr(encode, "_CHUNK_EXAMPLES", 20)
    monkeypatch.setattr(split_writer, "_SECONDS_BETWEEN_NOTES", -1)


def test_two_workers_make_the_files_that_one_makes(tmp_path):
    make(pairs(500), tmp_path / "one")
    make(pairs(500), tmp_path / "two", num_workers=2)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_an_error_is_the_same_in_every_process(tmp_path):
    def damaged(split, i):
        return {"inputs": "", "targets": "x"} if split == "train" and i in (300, 400) else None

    for num_workers in (1, 2):
        with pytest.raises(DataError, match=r"^pairs-train, example 300, inputs: the text is empty \(--on_error=skip"):
            make(pairs(500, damaged), tmp_path / "data", num_workers=num_workers)
        assert not contents(tmp_path / "data")


def test_a_killed_worker_ends_the_run_with_what_is_done_kept(tmp_path):
    make(pairs(500), tmp_path / "one")

    def kill_a_worker(split, i):
        if i == 400 and children:
            os.kill(children[0].pid, signal.SIGKILL)
            time.sleep(0.5)
        children[:] = multiprocessing.active_children()

    children = []
    with pytest.raises(WorkerError, match="a worker process was killed.*same command"):
        make(pairs(500, kill_a_worker), tmp_path / "data", num_workers=2)
    assert (tmp_path / "data/.pairs.making").is_dir()
    make(pairs(500), tmp_path / "data")
    assert contents(tmp_path / "data") == contents(tmp_path / "one")


class Killed(BaseException):
    """An exception that ends a run as an interrupt does."""


@pytest.mark.parametrize("moment", range(0, 26, 3))
def test_a_run_goes_on_after_an_interruption_between_any_two_notes(tmp_path, monkeypatch, moment):
    problem = pairs(300)
    make(problem, tmp_path / "one")
    save, saved = split_writer.Workspace.save, []

    def interrupted(workspace, split, state):
        if len(saved) == moment:
            raise Killed
        saved.append(state)
        save(workspace, split, state)

    monkeypatch.setattr(split_writer.Workspace, "save", interrupted)
    with pytest.raises(Killed):
        make(problem, tmp_path / "data")
    monkeypatch.setattr(split_writer.Workspace, "save", save)
    encoded = []
    monkeypatch.setattr(split_writer, "encode_chunk", lambda chunk: encoded.append(chunk) or encode.encode_chunk(chunk))
    make(problem, tmp_path / "data")
    assert contents(tmp_path / "data") == contents(tmp_path / "one")
    chunks_noted = sum(number < 3 or 6 <= number < 21 for number in range(moment))
    assert len(encoded) == 18 - chunks_noted


def test_an_interruption_while_files_change_places_loses_nothing(tmp_path, monkeypatch):
    problem = pairs(300)
    make(problem, tmp_path / "data")
    make(problem, tmp_path / "one", image_size=5)
    publish = split_writer.Workspace.publish

    def half(workspace, shards):
        publish(workspace, shards[:2])
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(split_writer.Workspace, "publish", half)
        with pytest.raises(Killed):
            make(problem, tmp_path / "data", image_size=5)
    make(problem, tmp_path / "data", image_size=5)
    assert contents(tmp_path / "data") == contents(tmp_path / "one")


def test_what_was_made_to_another_plan_is_not_used(tmp_path, monkeypatch):
    make(pairs(300), tmp_path / "one", rules=frozenset({"long"}))
    with monkeypatch.context() as patch:
        patch.setattr(split_writer.Workspace, "publish", lambda self, shards: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            make(pairs(300), tmp_path / "data")
    make(pairs(300), tmp_path / "data", rules=frozenset({"long"}))
    assert contents(tmp_path / "data") == contents(tmp_path / "one")


def test_two_runs_do_not_make_the_same_records_at_once(tmp_path):
    def second(split, i):
        if split == "train" and i == 100 and (tmp_path / "data/.pairs.making").exists():
            with pytest.raises(DataError, match="another process is making the records of pairs in .*; wait until it ends"):
                make(pairs(300), tmp_path / "data")

    make(pairs(300), tmp_path / "one")
    make(pairs(300, second), tmp_path / "data")
    assert contents(tmp_path / "data") == contents(tmp_path / "one")


def test_leftovers_of_dead_processes_are_removed_and_of_living_ones_kept(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "data").mkdir()
    for pid in (ended.pid, os.getppid()):
        (tmp_path / f"data/.vocabulary.model.made-{pid}").touch()
    make(pairs(300), tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").glob(".*")] == [f".vocabulary.model.made-{os.getppid()}"]


def start(data_dir, *args):
    """Starts the program in a process group of its own."""
    command = [sys.executable, str(PROGRAM), str(data_dir), *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def said_at_its_end(process):
    """Returns what a process wrote to stderr. If it does not end, the test fails with that and what its threads were doing."""
    try:
        return process.communicate(timeout=60)[1]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGUSR1)
        time.sleep(1)
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(process.communicate()[1]) from None


def wait_for_the_end_of_all(group):
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("a process is left")


def test_an_interrupt_ends_all_processes_with_one_line(tmp_path):
    running = start(tmp_path, "2", "5000", "wait")
    assert running.stdout.readline() == "READY\n"
    os.killpg(running.pid, signal.SIGINT)
    errors = said_at_its_end(running)
    assert running.returncode == 130
    assert errors.splitlines()[-1] == "mm-datagen: interrupted"
    assert "Traceback" not in errors
    wait_for_the_end_of_all(running.pid)
    assert not list(tmp_path.glob("*.tfrecord")) and not list(tmp_path.rglob("*.tmp-*"))


def test_workers_end_with_a_killed_parent(tmp_path):
    running = start(tmp_path, "2", "5000", "wait")
    assert running.stdout.readline() == "READY\n"
    running.kill()
    said_at_its_end(running)
    wait_for_the_end_of_all(running.pid)


@pytest.mark.parametrize("wanted", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_at_random_moments_change_nothing(tmp_path, wanted):
    begun = time.monotonic()
    ended_well(start(tmp_path / "undisturbed", "2", SIZE))
    seconds = time.monotonic() - begun
    rng, kills, runs = random.Random(2017), 0, 1
    while kills < wanted:
        running = start(tmp_path / f"killed-{runs}", "2", SIZE)
        try:
            running.wait(rng.uniform(0, 0.7 * seconds))
            runs += 1
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            kills += 1
        running.communicate()
    for number in range(1, runs + 1):
        ended_well(start(tmp_path / f"killed-{number}", "1", SIZE))
        assert contents(tmp_path / f"killed-{number}") == contents(tmp_path / "undisturbed")


def ended_well(running):
    _, errors = running.communicate()
    assert running.returncode == 0, errors
