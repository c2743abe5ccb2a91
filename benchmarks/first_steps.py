"""Measures the seconds from the start of the process to the end of the first training step of each problem of mini8. Prints JSON.

With --alone it also measures each problem in a process of its own, and divides the time of all by that of the slowest one.

python benchmarks/first_steps.py --hparams_set=multimodel_tiny --alone
"""

import argparse
import json
import subprocess
import sys
import time

START = time.perf_counter()

import common  # noqa: E402
import tensorflow as tf  # noqa: E402

from t2t_multimodel.cli.common import load_registries  # noqa: E402
from t2t_multimodel.config import get_hparams  # noqa: E402
from t2t_multimodel.problem import resolve  # noqa: E402
from t2t_multimodel.runs.run_config import RunConfig, build_model  # noqa: E402
from t2t_multimodel.training.checkpoints import by_path  # noqa: E402
from t2t_multimodel.training.optimizer import make_optimizer  # noqa: E402
from t2t_multimodel.training.steps import StepFunctions  # noqa: E402


def main() -> None:
    """Measures the first steps and prints the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--hparams_set", default="multimodel_tiny")
    parser.add_argument("--hparams", default="")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--problems", default="mini8")
    parser.add_argument("--alone", action="store_true", help="also each problem alone")
    args = parser.parse_args()
    result = first_steps(args)
    if args.alone:
        alone = {name: alone_seconds(name) for name in result["first_step_done"]}
        result |= {
            "alone": alone,
            "all_over_slowest_alone": round(max(result["first_step_done"].values()) / max(alone.values()), 2),
        }
    print(json.dumps(result, indent=1))


def alone_seconds(name: str) -> float:
    """Returns the time of one problem in a process of its own, with the same flags."""
    flags = [flag for flag in sys.argv[1:] if flag != "--alone"]
    done = subprocess.run([sys.executable, __file__, *flags, f"--problems={name}"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["first_step_done"][name]


def first_steps(args: argparse.Namespace) -> dict:
    """Returns the seconds until the model is built, and until each problem has taken a step."""
    load_registries()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    hparams = get_hparams(args.hparams_set, args.hparams)
    vocab_size = hparams.data.vocab_size
    specs = tuple(problem.spec() for problem in resolve(args.problems))
    model = build_model(RunConfig(args.hparams_set, hparams, specs, vocab_size, "", ""))
    built = time.perf_counter() - START
    steps = StepFunctions(model, make_optimizer(by_path(model.trainable_variables), hparams), hparams)
    done = {}
    for number, spec in enumerate(specs, start=1):
        batch = common.random_batch(spec, hparams, args.batch, args.length, args.length, vocab_size)
        float(steps.train(spec.name, batch, 1e-4, number).loss)
        done[spec.name] = round(time.perf_counter() - START, 1)
    memory = round(common.peak_memory_gib(), 2)
    return {"model_built": round(built, 1), "first_step_done": done, "peak_memory_gib": memory}


if __name__ == "__main__":
    main()
