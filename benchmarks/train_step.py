"""Measures the speed of a training step beside the machine's peak of matrix products, in the same run. Prints JSON.

python benchmarks/train_step.py --hidden_size=128
"""

import argparse
import json
import statistics
import time

START = time.perf_counter()

import common  # noqa: E402

from t2t_multimodel.training.checkpoints import by_path  # noqa: E402
from t2t_multimodel.training.optimizer import make_optimizer  # noqa: E402
from t2t_multimodel.training.steps import StepFunctions  # noqa: E402


def main() -> None:
    """Measures both and prints them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--hidden_size", type=int, default=128)
    parser.add_argument("--moe_hidden_size", type=int, default=0, help="width of an expert; 0 is hidden_size")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=64, help="source and target tokens of each sentence")
    parser.add_argument("--vocab_size", type=int, default=8192)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--hparams", default="num_experts=60,moe_k=4,dropout=0.1")
    args = parser.parse_args()
    width = args.moe_hidden_size or args.hidden_size
    changes = f"hidden_size={args.hidden_size},moe_hidden_size={width},{args.hparams}"
    spec, hparams, model = common.text_model(changes, args.vocab_size)
    steps = StepFunctions(model, make_optimizer(by_path(model.trainable_variables), hparams), hparams)
    batch = common.random_batch(spec, hparams, args.batch, args.length, args.length, args.vocab_size)

    float(steps.train("text", batch, 1e-4, 1).loss)
    first = time.perf_counter() - START
    peaks = [common.peak_gflops()]
    seconds = []
    for number in range(2, args.steps + 2):
        start = time.perf_counter()
        float(steps.train("text", batch, 1e-4, number).loss)
        seconds.append(time.perf_counter() - start)
    peaks.append(common.peak_gflops())

    flops = common.training_flops(hparams.model, args.batch, args.length, args.length, args.vocab_size)
    tokens, best = args.batch * args.length, min(seconds)
    result = {
        "hidden_size": args.hidden_size,
        "num_experts": hparams.model.num_experts,
        "moe_k": hparams.model.moe_k,
        "moe_hidden_size": width,
        "parameters": model.count_params(),
        "target_tokens_per_second_best": round(tokens / best),
        "target_tokens_per_second_median": round(tokens / statistics.median(seconds)),
        "gflop_per_step": round(flops / 1e9, 2),
        "gflops_best": round(flops / best / 1e9, 1),
        "matmul_peak_gflops": round(max(peaks), 1),
        "fraction_of_peak": round(flops / best / 1e9 / max(peaks), 3),
        "seconds_to_end_of_first_step": round(first, 1),
        "peak_memory_gib": round(common.peak_memory_gib(), 2),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
