"""Measures decoding step by step with caches, with and without XLA, beside running the whole decoder again for each token.

All of them have the same random weights and run in one process. Prints JSON.

python benchmarks/decode.py --hidden_size=128
"""

import argparse
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import common
import numpy as np
import tensorflow as tf

from t2t_multimodel.config import ModelConfig
from t2t_multimodel.decoding.encoding import Encoding, Source
from t2t_multimodel.decoding.search import Search, generate_tokens
from t2t_multimodel.decoding.strategies import BeamSearch, Greedy
from t2t_multimodel.features import Batch
from t2t_multimodel.utils.constants import EOS_ID

PROBLEM = "text"


def main() -> None:
    """Measures all of it and prints it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--hidden_size", type=int, default=128)
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512], help="output tokens")
    parser.add_argument("--source", type=int, default=32, help="source tokens")
    parser.add_argument("--vocab_size", type=int, default=8192)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--hparams", default="num_experts=60,moe_k=4")
    args = parser.parse_args()
    changes = f"hidden_size={args.hidden_size},moe_hidden_size={args.hidden_size},{args.hparams}"
    _, hparams, model = common.text_model(changes, args.vocab_size)
    spread_gates(model)
    result = {"hidden_size": args.hidden_size, "parameters": model.count_params(), "source_tokens": args.source}
    for length in args.lengths:
        result[f"{length}_tokens"] = speeds(model, args, length)
        print(result, file=sys.stderr, flush=True)
    result["milliseconds_per_token_under_xla"] = positions(model, args)
    result["beam_4_batch_8_over_greedy_under_xla"] = round(beam_ratio(model, args), 2)
    flops = step_flops(hparams.model, args.source, args.vocab_size)
    peak = common.peak_gflops()
    fastest = result[f"{args.lengths[0]}_tokens"]["xla_tokens_per_second_batch_1"]
    result["mflop_per_token"] = round(flops / 1e6, 1)
    result["arithmetic_fraction_of_time_batch_1_xla"] = round(flops * fastest / 1e9 / peak, 4)
    result["matmul_peak_gflops"] = round(peak, 1)
    result["peak_memory_gib"] = round(common.peak_memory_gib(), 2)
    print(json.dumps(result, indent=1))


def spread_gates(model: Any) -> None:
    """Makes the gates' weights random. Initially they are zero, which sends every token to the same experts."""
    for variable in model.trainable_variables:
        if variable.path.endswith("/gate"):
            variable.assign(np.random.default_rng(0).normal(size=variable.shape, scale=variable.shape[0] ** -0.5))


def speeds(model: Any, args: argparse.Namespace, length: int) -> dict:
    """Returns tokens per second, the best of several repeats. A slow recomputation is measured on its first tokens alone."""
    found = {}
    for name, batch in (("graph", 1), ("xla", 1), ("xla", 8)):
        work = functools.partial(Search(model, name == "xla").decode, PROBLEM, {"inputs": sentences(args, batch)}, length)
        tokens = work().ids.shape[2]
        found[f"{name}_tokens_per_second_batch_{batch}"] = round(batch * tokens / best(work, args.repeats), 1)
        found["tokens_decoded"] = tokens
    seconds, tokens = recomputation(model, sentences(args, 1), length)
    found["recomputed_tokens_per_second_batch_1"] = round(tokens / seconds, 2)
    for name in ("graph", "xla"):
        ratio = found[f"{name}_tokens_per_second_batch_1"] / (tokens / seconds)
        found[f"{name}_over_recomputation"] = round(ratio, 1)
    return found


def recomputation(model: Any, inputs: tf.Tensor, length: int, most_seconds: float = 8.0) -> tuple[float, int]:
    """Decodes greedily without caches: the decoder runs over the whole output for each token. Returns seconds and tokens."""
    encoded = model.encode(inputs, None, PROBLEM)

    @tf.function(input_signature=[tf.TensorSpec([1, length], tf.int32), tf.TensorSpec([], tf.int32)], autograph=False)
    def step(ids: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
        logits = model.decode(encoded, ids, PROBLEM)[:, position]
        token = tf.argmax(tf.where(tf.range(logits.shape[-1]) <= EOS_ID, -1e9, logits), -1, tf.int32)
        return tf.where(tf.range(length) == position, token[:, None], ids)

    ids = step(tf.zeros([1, length], tf.int32), tf.constant(0))
    start, done = time.perf_counter(), 0
    while done < length and time.perf_counter() - start < most_seconds:
        ids = step(ids, tf.constant(done))
        ids.numpy()
        done += 1
    return time.perf_counter() - start, done


def positions(model: Any, args: argparse.Namespace) -> dict:
    """Returns milliseconds per token near the 50th and the 500th position, both with caches of 550 positions."""
    states, mask = Encoding(model).encode(PROBLEM, {"inputs": sentences(args, 1)}).source

    @tf.function(autograph=False, jit_compile=True)
    def run(limits: tf.Tensor) -> tf.Tensor:
        source = Source(states, mask)
        return generate_tokens(model, PROBLEM, source, limits, 550, tf.zeros_like(limits), Greedy(), compiled=True).ids

    def seconds(limit: int) -> float:
        return best(lambda: run(tf.constant([limit])).numpy(), 1)

    def milliseconds(at: int) -> float:
        """Returns the time per token of the hundred tokens around `at`, the median of differences between two runs."""
        return 10 * statistics.median(seconds(at + 50) - seconds(at - 50) for _ in range(5 * args.repeats))

    seconds(1)
    near, far = milliseconds(51), milliseconds(500)
    return {"position_50": round(near, 3), "position_500": round(far, 3), "ratio": round(far / near, 2)}


def beam_ratio(model: Any, args: argparse.Namespace, length: int = 64) -> float:
    """Returns the time of beam search divided by that of greedy decoding, for eight sentences."""
    search, inputs = Search(model, compiled=True), Batch(inputs=sentences(args, 8))
    times = []
    for strategy in (BeamSearch(4), Greedy()):
        work = functools.partial(search.decode, PROBLEM, inputs, length, strategy)
        work()
        times.append(best(work, args.repeats))
    return times[0] / times[1]


def sentences(args: argparse.Namespace, batch: int) -> np.ndarray:
    """Returns random source ids, int32 [batch, source]."""
    return np.random.default_rng(0).integers(3, args.vocab_size, (batch, args.source)).astype(np.int32)


def step_flops(config: ModelConfig, source: int, vocab_size: int) -> float:
    """Returns the floating-point operations of the matrix products of one decoding step of one sentence."""
    d = config.hidden_size
    attentions = 1 + config.decoder_blocks
    products = 4 * (config.mixer_blocks + config.decoder_blocks) + attentions * (2 + 4 + 2)
    experts = config.moe_k * 4 * d * config.moe_hidden_size + 4 * d * config.num_experts
    return 2 * d * d * products + experts + 2 * d * vocab_size + attentions * 4 * d * source


def best(work: Callable[[], object], repeats: int) -> float:
    """Returns the shortest time of `repeats` calls of `work`, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
