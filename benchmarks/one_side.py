"""One side of against.py: measures once for each line on its standard input, and answers with a line of JSON.

It runs with the measured revision's packages first on the path, and knows the names that functions had at 368c74c too.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable

from t2t_multimodel.cli.quiet import quiet_tensorflow

# What the revision's own command does before it imports TensorFlow.
if "decode" in sys.argv:
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
quiet_tensorflow()

import common  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from t2t_multimodel.decoding import search, strategies  # noqa: E402
from t2t_multimodel.training import steps  # noqa: E402
from t2t_multimodel.training.checkpoints import by_path  # noqa: E402
from t2t_multimodel.training.optimizer import make_optimizer  # noqa: E402

StepFunctions = vars(steps).get("StepFunctions") or vars(steps)["Steps"]
BeamSearch = vars(strategies).get("BeamSearch") or vars(strategies)["Beam"]
VOCABULARY = 8192
LENGTH = 64  # tokens of a sentence in training, and of a source in decoding


def main() -> None:
    """Measures until the standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("train_step", "decode"))
    parser.add_argument("--hidden_size", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    works = train_step(args) if args.what == "train_step" else decode(args)
    for work in works.values():
        work()
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({name: times(work) for name, work in works.items()}), flush=True)


def times(work: Callable[[], object], repeats: int = 5) -> list[tuple[float, float]]:
    """Returns (seconds, CPU seconds) of each repeat."""
    found = []
    for _ in range(repeats):
        start, cpu = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - start, time.process_time() - cpu))
    return found


def train_step(args: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """Returns a step on a batch of sentences of LENGTH + LENGTH tokens, with the paper's single model and 60 experts."""
    changes = f"hidden_size={args.hidden_size},moe_hidden_size={args.hidden_size},num_experts=60,moe_k=4,dropout=0.1"
    spec, hparams, model = common.text_model(changes, VOCABULARY)
    functions = StepFunctions(model, make_optimizer(by_path(model.trainable_variables), hparams), hparams)
    batch = common.random_batch(spec, hparams, args.batch, LENGTH, LENGTH, VOCABULARY)
    return {"train_step": lambda: float(functions.train("text", batch, 1e-4, 1).loss)}


def decode(args: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """Returns decoding of 128 tokens of one sentence, and of 64 of eight sentences greedily and with four beams, without XLA."""
    changes = f"hidden_size={args.hidden_size},moe_hidden_size={args.hidden_size},num_experts=60,moe_k=4"
    _, _, model = common.text_model(changes, VOCABULARY)
    for variable in model.trainable_variables:  # gates of zeros would send every token to the same experts
        if variable.path.endswith("/gate"):
            variable.assign(np.random.default_rng(0).normal(size=variable.shape, scale=variable.shape[0] ** -0.5))
    ids = np.random.default_rng(0).integers(3, VOCABULARY, (8, LENGTH // 2)).astype(np.int32)
    searches = search.Search(model)
    return {
        "decode_1": lambda: searches.decode("text", {"inputs": ids[:1]}, 128),
        "decode_8": lambda: searches.decode("text", {"inputs": ids}, 64),
        "decode_8_beams_4": lambda: searches.decode("text", {"inputs": ids}, 64, BeamSearch(4)),
    }


if __name__ == "__main__":
    main()
