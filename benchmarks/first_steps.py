"""Seconds from the start of the process to the end of the first training step of every problem of mini8. Prints JSON.

python benchmarks/first_steps.py --hparams_set=multimodel_tiny
"""

import argparse
import json
import time

START = time.perf_counter()

import common  # noqa: E402
import tensorflow as tf  # noqa: E402

from t2t_multimodel.cli.common import load_registries  # noqa: E402
from t2t_multimodel.config import get_hparams  # noqa: E402
from t2t_multimodel.data.problem import resolve  # noqa: E402
from t2t_multimodel.run import RunConfig, build_model  # noqa: E402
from t2t_multimodel.training.checkpoints import by_path  # noqa: E402
from t2t_multimodel.training.optimizer import make_optimizer  # noqa: E402
from t2t_multimodel.training.steps import Steps  # noqa: E402


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--hparams_set", default="multimodel_tiny")
    parser.add_argument("--hparams", default="")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=64)
    args = parser.parse_args()
    load_registries()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    hparams = get_hparams(args.hparams_set, args.hparams)
    vocab_size = hparams.data.vocab_size
    specs = tuple(problem.spec() for problem in resolve("mini8"))
    model = build_model(RunConfig(args.hparams_set, hparams, specs, vocab_size, "", ""))
    built = time.perf_counter() - START
    steps = Steps(model, make_optimizer(by_path(model.trainable_variables), hparams), hparams)
    done = {}
    for number, spec in enumerate(specs, start=1):
        batch = common.random_batch(spec, hparams, args.batch, args.length, args.length, vocab_size)
        float(steps.train(spec.name, batch, 1e-4, number).loss)
        done[spec.name] = round(time.perf_counter() - START, 1)
    memory = round(common.peak_memory_gib(), 2)
    print(json.dumps({"model_built": round(built, 1), "first_step_done": done, "peak_memory_gib": memory}, indent=1))


if __name__ == "__main__":
    main()
