"""Measures memory and time of a training step on long sequences, with activations kept and with recompute=true. Prints JSON.

python benchmarks/recompute.py --length=512
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import common
import tensorflow as tf

from t2t_multimodel.runs.memory_estimate import count_memory
from t2t_multimodel.runs.run_config import RunConfig
from t2t_multimodel.training.checkpoints import by_path
from t2t_multimodel.training.optimizer import make_optimizer
from t2t_multimodel.training.steps import StepFunctions


def resident_gib() -> float:
    """Returns the resident memory of this process in GiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**30


def measure(args: argparse.Namespace, recompute: bool) -> dict[str, float]:
    """Returns the memory that a step adds at its peak, the estimate of it, and the seconds of a step."""
    spec, hparams, model = common.text_model(f"{args.hparams},recompute={recompute}", args.vocab_size)
    steps = StepFunctions(model, make_optimizer(by_path(model.trainable_variables), hparams), hparams)
    small = common.random_batch(spec, hparams, 1, 8, 8, args.vocab_size)
    large = common.random_batch(spec, hparams, args.batch, args.length, args.length, args.vocab_size)
    steps.train("text", small, 1e-4, 1)  # traces
    before, seconds = resident_gib(), []
    for step in (2, 3):
        start = time.perf_counter()
        float(steps.train("text", large, 1e-4, step).loss)
        seconds.append(time.perf_counter() - start)
    shapes = {name: tensor.shape for name, tensor in large.items()}
    counted = count_memory(RunConfig("benchmark", hparams, (spec,), args.vocab_size, "", ""), {"text": shapes}).steps["text"]
    found = {"measured_gib": common.peak_memory_gib() - before, "counted_gib": counted / 2**30, "seconds": min(seconds)}
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    """Measures both in a process each and prints them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--hparams", default="hidden_size=128,moe_hidden_size=128,num_experts=8,max_length=1024")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--vocab_size", type=int, default=1000)
    parser.add_argument("--recompute", choices=("true", "false"), help="measure one side, in this process")
    args = parser.parse_args()
    if args.recompute:
        print(json.dumps(measure(args, args.recompute == "true")))
        return
    sides = {}
    for side in ("false", "true"):
        command = [sys.executable, __file__, *sys.argv[1:], f"--recompute={side}"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        sides[side] = json.loads(done.stdout.splitlines()[-1])
    ratios = {f"{name}_ratio": round(sides["true"][name] / sides["false"][name], 2) for name in sides["true"]}
    print(json.dumps({"kept": sides["false"], "recomputed": sides["true"], **ratios}, indent=1))


if __name__ == "__main__":
    tf.config.set_visible_devices([], "GPU")
    main()
