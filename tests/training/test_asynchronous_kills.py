"""Asynchronous training in processes on this machine, some of which are killed (SIGKILL) and started again.

The slow test does it with eight workers and the eight problems mini8.
"""

import json
import os
import re
import subprocess
import sys
import time

import asynchronous_program
import pytest
import tensorflow as tf

from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.distributed.local_cluster import local_clusters

WORKERS = 8
SECONDS = 3000


class Processes:
    """Runs `command` in one process per task of `jobs`; the chief writes to `folder`, and all write their logs there."""

    def __init__(self, command, jobs, root, folder):
        self._clusters = {cluster.name: cluster for cluster in local_clusters(jobs)}
        self._command, self._folder = command, folder
        self._environment = os.environ | {"PYTHONPATH": str(root)}
        self._running = {}

    def start(self, name):
        with (self._folder / f"{name}.log").open("a") as log:
            environment = self._environment | {"TF_CONFIG": self._clusters[name].tf_config()}
            self._running[name] = subprocess.Popen(self._command, env=environment, stdout=log, stderr=log)

    def kill(self, name):
        assert self._running[name].poll() is None, f"{name} has ended"
        self._running[name].kill()
        self._running[name].wait()

    def said(self):
        return (self._folder / "chief 0.log").read_text()

    def until(self, step):
        """Waits for the checkpoint of a step or of a later one."""
        end = time.monotonic() + SECONDS
        while int((tf.train.latest_checkpoint(str(self._folder)) or "ckpt-0").rpartition("-")[2]) < step:
            assert self._running["chief 0"].poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.05)

    def code(self):
        """Waits until the chief has ended, and returns its exit code."""
        return self._running["chief 0"].wait(SECONDS)

    def __enter__(self):
        for name in reversed(self._clusters):
            self.start(name)
        return self

    def __exit__(self, *exc):
        for process in self._running.values():
            process.kill()
            process.wait()


def flags(data_dir, output_dir, names, hparams_set, hparams):
    return [
        "--strategy=parameter_server",
        f"--problems={names}",
        f"--hparams_set={hparams_set}",
        f"--hparams=problem_schedule=worker_per_problem,{hparams}",
        f"--data_dir={data_dir}",
        f"--output_dir={output_dir}",
    ]


def killed_run(processes, every, total):
    """A worker and later the chief are killed between checkpoints and started again; then the run ends by itself."""
    with processes:
        processes.until(every)
        processes.kill("worker 0")
        processes.until(2 * every)
        processes.start("worker 0")
        processes.until(3 * every)
        processes.kill("chief 0")
        processes.start("chief 0")
        processes.until(total)
        assert processes.code() == 0, processes.said()
    resumed = re.search(r"going on from step (\d+)", processes.said())
    assert resumed and 3 * every <= int(resumed[1]) < total
    assert "Traceback" not in processes.said()


def check_run(folder, total, names, split):
    """Checks that every step is counted once, and that every problem's last loss on `split` is below its first."""
    reader = tf.train.load_checkpoint(str(folder / f"ckpt-{total}"))
    counts = {name: int(reader.get_tensor(f"counts/{name}/.ATTRIBUTES/VARIABLE_VALUE")) for name in names}
    assert sum(counts.values()) == total
    assert min(counts.values()) > 0
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = {name: [row["loss"] for row in rows if (row["problem"], row["split"]) == (name, split)] for name in names}
    assert all(values[-1] < values[0] for values in losses.values()), losses
    assert {row["problem"]: row["problem_steps"] for row in rows if row["split"] == "train"} == counts


def test_a_run_outlives_its_workers_and_its_chief(root, tmp_path):
    data_dir, folder = tmp_path / "data", tmp_path / "run"
    folder.mkdir()
    problems = asynchronous_program.PROBLEMS
    generate(list(problems.values()), data_dir, data_dir, 290, num_shards=1, report=lambda line: None)
    program = root / "tests" / "helpers" / "asynchronous_program.py"
    settings = "train_steps=192,save_every=24,eval_every=48,keep_checkpoints=9"
    command = [sys.executable, str(program), *flags(data_dir, folder, ",".join(problems), "tiny_set", settings)]
    # Two parameter servers: a variable and its moments have to lie on the same one.
    killed_run(Processes(command, {"chief": 1, "worker": 2, "ps": 2}, root, folder), 24, 192)
    check_run(folder, 192, problems, "dev")


@pytest.mark.slow
def test_eight_problems_train_on_as_many_workers(root, tmp_path):
    data_dir, folder = tmp_path / "data", tmp_path / "run"
    folder.mkdir()
    bin_dir, environment = root / "bin", os.environ | {"PYTHONPATH": str(root)}
    make = ["--problems=mini8", "--hparams_set=multimodel_mini", f"--data_dir={data_dir}"]
    subprocess.run([sys.executable, bin_dir / "mm-datagen", *make], env=environment, check=True)
    settings = (
        "train_steps=240,save_every=40,eval_every=40,eval_steps=2,keep_checkpoints=9,problem_weights=,hidden_size=16,"
        "moe_hidden_size=16,num_heads=2,encoder_blocks=1,mixer_blocks=1,decoder_blocks=1,image_channels=8:16:16,"
        "learning_rate=0.005,learning_rate_schedule=constant,warmup_steps=20,batch_tokens=768,batch_images=16,batch_seconds=20"
    )
    command = [sys.executable, str(bin_dir / "mm-trainer"), *flags(data_dir, folder, "mini8", "multimodel_mini", settings)]
    killed_run(Processes(command, {"chief": 1, "worker": WORKERS, "ps": 1}, root, folder), 40, 240)
    names = [row["name"] for row in json.loads((folder / "config.json").read_text())["problems"]]
    check_run(folder, 240, names, "train")  # dev of mini_class asks for what training never shows
