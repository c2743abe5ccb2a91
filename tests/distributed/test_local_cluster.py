"""The launcher of a cluster on one machine: the tasks that it starts and ends, and its messages. The tasks do not train."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import cluster_task
import pytest

from t2t_multimodel.distributed import local_cluster
from t2t_multimodel.distributed.local_cluster import local_clusters, run_local_cluster
from t2t_multimodel.utils.errors import WorkerError


def launch(folder, jobs, *orders):
    return run_local_cluster(jobs, cluster_task.command, [str(folder), *orders], folder / "logs")


def begun(folder):
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.begun")}


def told(folder):
    return sorted(path.name for path in folder.glob("*.SIG*"))


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_every_task_of_every_job_gets_an_address_of_its_own_and_the_chief_comes_first():
    clusters = local_clusters({"ps": 1, "worker": 2, "chief": 1})
    assert [cluster.name for cluster in clusters] == ["chief 0", "ps 0", "worker 0", "worker 1"]
    addresses = clusters[0].addresses
    assert list(addresses) == ["chief 0", "ps 0", "worker 0", "worker 1"]
    assert len(set(addresses.values())) == 4
    assert all(cluster.jobs == clusters[0].jobs for cluster in clusters)


def test_tasks_are_told_their_cluster_and_all_but_the_chief_write_to_logs(tmp_path, capfd):
    assert launch(tmp_path, {"worker": 2}, "worker 0=0", "worker 1=0") == 0
    first, second = begun(tmp_path)["worker 0"], begun(tmp_path)["worker 1"]
    assert first["cluster"] == second["cluster"] and len(first["cluster"]["worker"]) == 2
    assert (first["task"], second["task"]) == ({"type": "worker", "index": 0}, {"type": "worker", "index": 1})
    assert capfd.readouterr().out == "this is worker 0\n"
    assert (tmp_path / "logs" / "worker-1.log").read_text() == "this is worker 1\n"
    assert not (tmp_path / "logs" / "worker-0.log").exists()


@pytest.mark.parametrize(("order", "ending"), [("3", "ended with exit code 3"), ("killed", "was killed by SIGKILL")])
def test_a_dead_worker_is_named_and_ends_the_others(order, ending, tmp_path):
    with pytest.raises(WorkerError) as error:
        launch(tmp_path, {"worker": 2}, f"worker 1={order}")
    tasks = begun(tmp_path)
    address = tasks["worker 0"]["cluster"]["worker"][1]
    assert str(error.value).startswith(f"worker 1 ({address}) {ending}, and the others were stopped; it said: this is worker 1 (")
    assert told(tmp_path) == ["worker 0.SIGTERM"]
    assert all(gone(task["pid"]) for task in tasks.values())


def test_a_task_that_ends_between_two_looks_is_noticed(monkeypatch):
    class Task:
        pid = 1

        def __init__(self, *codes):
            self.codes, (self.sentinel, self.writer) = list(codes), os.pipe()

        @property
        def exitcode(self):
            return self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]

    def end(pid, number):
        lasting.codes = [-number]
        os.close(lasting.writer)

    lasting, failing = Task(None), Task(None, 3)
    os.close(failing.writer)  # it has ended, which the first look at its code did not tell
    monkeypatch.setattr(os, "kill", end)
    running = local_cluster._Running({"worker 0": lambda: lasting, "worker 1": lambda: failing}, (), ())
    sender = threading.Timer(20, end, (1, signal.SIGKILL))  # otherwise a failure would last for ever
    sender.start()
    running.wait()
    sender.cancel()
    assert running.failed == "worker 1" and running.code("worker 0") == -signal.SIGTERM


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_reaches_all_tasks_once_they_run(number, code, tmp_path):
    def send():
        until(lambda: len(begun(tmp_path)) == 2)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    sender = threading.Thread(target=send)
    sender.start()
    assert launch(tmp_path, {"worker": 2}) == code
    sender.join()
    assert told(tmp_path) == [f"worker {i}.{signal.Signals(number).name}" for i in (0, 1)]
    assert signal.getsignal(number) == before


def test_a_launcher_that_is_killed_leaves_no_task(tmp_path, root):
    code = (
        "import cluster_task, pathlib, sys; from t2t_multimodel.distributed.local_cluster import run_local_cluster as run\n"
        "if __name__ == '__main__': run({'worker': 2}, cluster_task.command, sys.argv[1:], pathlib.Path(sys.argv[1]))"
    )
    (tmp_path / "launcher.py").write_text(code)
    path = os.pathsep.join([str(root), str(root / "tests" / "helpers")])
    with subprocess.Popen(
        [sys.executable, tmp_path / "launcher.py", tmp_path], env=os.environ | {"PYTHONPATH": path}
    ) as launcher:
        until(lambda: len(begun(tmp_path)) == 2)
        launcher.kill()
    until(lambda: all(gone(task["pid"]) for task in begun(tmp_path).values()))


def test_tasks_that_serve_end_last_and_one_that_was_killed_is_started_again(tmp_path, capfd):
    def kill_and_end():
        until(lambda: len(begun(tmp_path)) == 3)
        killed = begun(tmp_path)["worker 0"]["pid"]
        os.kill(killed, signal.SIGKILL)
        until(lambda: begun(tmp_path)["worker 0"]["pid"] != killed)
        os.kill(os.getpid(), signal.SIGTERM)

    ender = threading.Thread(target=kill_and_end)
    ender.start()
    jobs, folder = {"chief": 1, "worker": 1, "ps": 1}, [str(tmp_path)]
    code = run_local_cluster(jobs, cluster_task.command, folder, tmp_path, serving=("worker", "ps"), replaced=("worker",))
    ender.join()
    assert code == 0
    ends = {path.stem: path.stat().st_mtime_ns for path in tmp_path.glob("*.SIGTERM")}
    assert ends["chief 0"] < min(ends["worker 0"], ends["ps 0"])
    assert "worker 0 was killed and is started again" in capfd.readouterr().err
