"""Compares steps per second with the input pipeline and with batches kept in memory, to see whether training waits for input.

Measures text, pictures and sound; passes of both kinds take turns. Makes the records if they are not in --data_dir. Prints JSON.

python benchmarks/input.py --data_dir=/tmp/mini8
"""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import common
import tensorflow as tf

from t2t_multimodel.cli.common import load_registries
from t2t_multimodel.config import HParams, get_hparams
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.pipeline import TrainingBatches
from t2t_multimodel.data.vocabulary import FILE_NAME, Vocabulary
from t2t_multimodel.problem import Problem, resolve
from t2t_multimodel.runs.run_config import RunConfig, build_model
from t2t_multimodel.training.checkpoints import by_path
from t2t_multimodel.training.optimizer import make_optimizer
from t2t_multimodel.training.steps import StepFunctions


def main() -> None:
    """Measures one problem of each kind and prints the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--problems", nargs="+", default=["mini_ende", "mini_class", "mini_caption", "mini_speech"])
    parser.add_argument("--hparams_set", default="multimodel_mini")
    parser.add_argument("--hparams", default="")
    parser.add_argument("--steps", type=int, default=40, help="of a pass")
    parser.add_argument("--passes", type=int, default=3, help="of each kind")
    args = parser.parse_args()
    load_registries()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    hparams = get_hparams(args.hparams_set, args.hparams)
    problems = resolve(",".join(args.problems))
    data_dir = Path(args.data_dir)
    if not (data_dir / FILE_NAME).exists():
        generate(problems, data_dir, data_dir, hparams.data.vocab_size)
    size = Vocabulary.load(data_dir / FILE_NAME).size
    model = build_model(RunConfig(args.hparams_set, hparams, tuple(problem.spec() for problem in problems), size, "", ""))
    steps = StepFunctions(model, make_optimizer(by_path(model.trainable_variables), hparams), hparams)
    found = {}
    for problem in problems:
        found[problem.name] = rates(steps, problem, data_dir, hparams, args)
        print({problem.name: found[problem.name]}, file=sys.stderr, flush=True)
    memory = round(common.peak_memory_gib(), 2)
    print(json.dumps({"hparams_set": args.hparams_set, **found, "peak_memory_gib": memory}, indent=1))


def rates(steps: StepFunctions, problem: Problem, data_dir: Path, hparams: HParams, args: argparse.Namespace) -> dict:
    """Returns the best rate of each kind of pass, and their ratio."""

    def pipeline() -> Iterator[Any]:
        batches = iter(TrainingBatches(problem, data_dir, hparams, seed=1))
        return itertools.chain([next(batches)], batches)  # The first batch has filled the pipeline's buffers.

    kept = list(itertools.islice(pipeline(), args.steps))
    seconds: dict[str, list[float]] = {"pipeline": [], "memory": []}
    run(steps, problem, kept)
    for _ in range(args.passes):
        seconds["pipeline"].append(run(steps, problem, itertools.islice(pipeline(), args.steps)))
        seconds["memory"].append(run(steps, problem, kept))
    best = {kind: args.steps / min(each) for kind, each in seconds.items()}
    return {
        "steps_per_second_pipeline": round(best["pipeline"], 2),
        "steps_per_second_memory": round(best["memory"], 2),
        "ratio": round(best["pipeline"] / best["memory"], 3),
    }


def run(steps: StepFunctions, problem: Problem, batches: Iterable[Any]) -> float:
    """Takes a step on each batch; returns the seconds."""
    start = time.perf_counter()
    for number, batch in enumerate(batches, start=1):
        float(steps.train(problem.name, batch, 1e-4, number).loss)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
