"""Compares the speed of this tree with that of another revision: both sides in turn, in one run. Prints a table.

    python benchmarks/against.py --revision=368c74c --what=train_step,decode,first_steps,mixture

For each figure: best and median of the seconds of both sides, the ratio of the bests and of the CPU seconds (above 1: this tree
needs less), and the machine's load average while it was measured. Where other processes use the machine, the ratio of the CPU
seconds with --threads=1 is the one to trust.

train_step: a step of the paper's single model. decode: greedy decoding of one and of eight sentences, and four beams; no XLA.
first_steps: from the start of a process to the first step of each problem of mini8. mixture: `mm-trainer` on mini8, whose records
are in --data_dir.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SIDES = ("before", "now")
# By figure and side, the samples: (seconds, CPU seconds).
Samples = dict[str, dict[str, list[tuple[float, float]]]]


def main() -> None:
    """Measures both sides and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revision", required=True, help="the other side: a commit of this repository")
    parser.add_argument("--what", default="train_step,decode", help="a list of train_step, decode, first_steps, mixture")
    parser.add_argument("--rounds", type=int, default=5, help="times that each side is measured (default 5)")
    parser.add_argument("--hidden_size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8, help="sentences of a training step (default 8)")
    parser.add_argument("--threads", type=int, default=0, help="TensorFlow's threads of both kinds; 0 is its own choice")
    parser.add_argument("--data_dir", default="", help="of mixture: records of mini8, made by mm-datagen")
    parser.add_argument("--steps", type=int, default=300, help="of mixture (default 300)")
    args = parser.parse_args()
    wanted = args.what.split(",")
    if unknown := set(wanted) - {"train_step", "decode", "first_steps", "mixture"}:
        parser.error(f"--what has {', '.join(sorted(unknown))}, which is none of train_step, decode, first_steps, mixture")
    if "mixture" in wanted and not args.data_dir:
        parser.error("mixture needs --data_dir")
    with tempfile.TemporaryDirectory() as folder:
        trees = {"before": unpack(args.revision, Path(folder) / "before"), "now": ROOT}
        print(f"| figure | {args.revision}: best, median s | now: best, median s | ratio | ratio of CPU | load |")
        print("|---|---|---|---|---|---|", flush=True)
        for what in wanted:
            measure = {"first_steps": first_steps, "mixture": mixture}.get(what, alternating)
            for name, samples in measure(what, trees, args).items():
                print(row(name, samples), flush=True)


def unpack(revision: str, folder: Path) -> Path:
    """Writes the files of a revision below `folder`; returns their folder."""
    folder.mkdir()
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", revision], check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder


def environment(tree: Path) -> dict[str, str]:
    """Returns the environment of a process that finds `tree`'s packages and benchmarks before all others."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(tree), str(tree / "benchmarks")])}


def alternating(what: str, trees: dict[str, Path], args: argparse.Namespace) -> Samples:
    """Returns the samples of one process per side, which measure in turn."""
    script = shutil.copy(ROOT / "benchmarks" / "one_side.py", trees["before"].parent)  # away from this tree's modules
    flags = [f"--{name}={getattr(args, name)}" for name in ("hidden_size", "batch", "threads")]
    command = [sys.executable, script, what, *flags]
    sides: dict[str, Any] = {
        side: subprocess.Popen(command, env=environment(tree), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for side, tree in trees.items()
    }
    samples: Samples = {}
    for process in sides.values():
        answer(process)
    for _ in range(args.rounds):
        for side, process in sides.items():
            process.stdin.write("\n")
            process.stdin.flush()
            for name, times in answer(process).items():
                samples.setdefault(name, {side: [] for side in SIDES})[side] += times
    for process in sides.values():
        process.communicate()
    return samples


def answer(process: Any) -> dict[str, Any]:
    """Returns the next line of JSON from one side."""
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"one side ended with exit code {process.wait()}")
    return json.loads(line)


def first_steps(what: str, trees: dict[str, Path], args: argparse.Namespace) -> Samples:
    """Returns the samples of a process that takes one step of each problem of mini8, from its start to its end."""
    samples: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    for _ in range(args.rounds):
        for side, tree in trees.items():
            samples[side].append(ended([sys.executable, str(tree / "benchmarks" / "first_steps.py")], tree))
    return {what: samples}


def mixture(what: str, trees: dict[str, Path], args: argparse.Namespace) -> Samples:
    """Returns the samples per step of mini8's joint mixture: the difference between a run of --steps and one of a tenth."""
    samples: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    few = args.steps // 10
    for _ in range(args.rounds):
        for side, tree in trees.items():
            runs = [trained(tree, args.data_dir, steps) for steps in (few, args.steps)]
            samples[side].append(tuple((long - short) / (args.steps - few) for short, long in zip(*runs, strict=True)))
    return {what: samples}


def trained(tree: Path, data_dir: str, steps: int) -> tuple[float, float]:
    """Returns the seconds and CPU seconds of a run of mm-trainer."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--problems=mini8", "--hparams_set=multimodel_mini", f"--data_dir={data_dir}", f"--output_dir={folder}/run"]
        changes = f"--hparams=train_steps={steps},eval_every={steps},eval_steps=1,eval_samples=0"
        return ended([sys.executable, str(tree / "bin" / "mm-trainer"), *flags, changes], tree)


def ended(command: list[str], tree: Path) -> tuple[float, float]:
    """Returns the seconds and CPU seconds of a command."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment(tree), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}: {' '.join(command)}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime


def row(name: str, samples: dict[str, list[tuple[float, float]]]) -> str:
    """Returns a row of the table."""
    seconds = {side: [each[0] for each in samples[side]] for side in SIDES}
    cells = [f"{min(seconds[side]):.4g}, {statistics.median(seconds[side]):.4g}" for side in SIDES]
    ratio = min(seconds["before"]) / min(seconds["now"])
    cpu = [min(each[1] for each in samples[side]) for side in SIDES]
    return f"| {name} | {' | '.join(cells)} | {ratio:.2f} | {cpu[0] / cpu[1]:.2f} | {os.getloadavg()[0]:.1f} |"


if __name__ == "__main__":
    main()
