"""Kills an experiment at random and starts it again, and compares its tables with those of an undisturbed one. Prints JSON.

The same command without kills, in another output_dir, makes the results to compare with.

python benchmarks/experiment_kills.py --kills=3 --reference=/tmp/whole/results.json -- \\
    --experiment=table2 --seeds=1 --hparams=train_steps=20 --output_dir=/tmp/killed
"""

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Runs the experiment and prints what was compared; returns 1 if a table differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="the longest time before a kill")
    parser.add_argument("--seed", type=int, default=1, help="decides the times of the kills")
    parser.add_argument("--reference", type=Path, required=True, help="results.json of an undisturbed experiment")
    parser.add_argument("flags", nargs="+", help="flags of mm-experiment, behind --")
    args = parser.parse_args()
    chance, begun, kills = random.Random(args.seed), time.monotonic(), []
    command = [sys.executable, "-m", "t2t_multimodel.cli.experiment", *args.flags]
    for _ in range(args.kills):
        wait = chance.uniform(0.2, 1.0) * args.seconds
        if killed_after(command, wait):
            kills.append(round(wait, 1))
    done = subprocess.run(command, cwd=ROOT, check=False).returncode
    output_dir = next(flag.partition("=")[2] for flag in args.flags if flag.startswith("--output_dir="))
    found, expected = (json.loads(path.read_text())["tables"] for path in (Path(output_dir) / "results.json", args.reference))
    different = [name for name in found if found[name] != expected[name]]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        json.dumps(
            {
                "killed_after_seconds": kills,
                "exit_code": done,
                "cells": sum(map(len, found.values())),
                "different_tables": different,
                "seconds": round(time.monotonic() - begun),
                "cpu_seconds": round(used.ru_utime + used.ru_stime),
            }
        )
    )
    return int(bool(different or done))


def killed_after(command: list[str], seconds: float) -> bool:
    """Runs a command and its children for so many seconds and kills all of them; returns False if it ended before."""
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
