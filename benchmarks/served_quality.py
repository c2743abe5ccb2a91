"""Measures what weights of float16 and int8 (mm-export --weights) cost in quality, on dev of each problem of a run.

    python benchmarks/served_quality.py --output_dir=demo_output --problems=mini_class,mini_ende

Prints a table in Markdown: the score of each problem by its first metric (of classes the accuracy), and the bytes of the weights.
Outputs are decoded greedily by the functions that a SavedModel holds.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import tensorflow as tf

from t2t_multimodel.decoding.dev_examples import dev_examples
from t2t_multimodel.decoding.strategies import Greedy
from t2t_multimodel.evaluation.outputs import Confusions, Decoded, scored_by
from t2t_multimodel.export import ServedModel
from t2t_multimodel.export_weights import KINDS
from t2t_multimodel.features import Label, ProblemSpec
from t2t_multimodel.runs.run_config import VOCABULARY, open_run

BATCH = 32


def score(served: ServedModel, spec: ProblemSpec, data_dir: Path, examples: int) -> tuple[str, float]:
    """Returns the name and the value of a problem's first metric on its first dev examples."""
    decoded = []
    chosen = list(islice(dev_examples(spec, data_dir), examples))
    for start in range(0, len(chosen), BATCH):
        rows = chosen[start : start + BATCH]
        answers = served.serve[spec.name](tf.constant([row.inputs for row in rows]))["outputs"].numpy()
        decoded += [Decoded("", [row.target], answer[0].decode()) for row, answer in zip(rows, answers, strict=True)]
    if isinstance(spec.targets, Label):
        return "accuracy", Confusions.of(decoded).accuracy
    name = spec.metrics[0]
    return name, scored_by(spec, decoded, [name]).figures[name]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True, help="a trained run")
    parser.add_argument("--problems", help="problems, separated by commas; all of the run if not given")
    parser.add_argument("--examples", type=int, default=200, help="dev examples per problem")
    args = parser.parse_args()
    config, _, model, step = open_run(args.output_dir)
    names = args.problems.split(",") if args.problems else [spec.name for spec in config.problems]
    specs = tuple(spec for spec in config.problems if spec.name in names)
    vocabulary = (args.output_dir / VOCABULARY).read_bytes()
    sizes: list[str] = []
    found: dict[tuple[str, str], list[str]] = {}
    for kind in KINDS:
        served = ServedModel(model, specs, vocabulary, config.hparams, Greedy(), well_formed_trees=False, weights=kind)
        sizes.append(f"{served.weights_size:,}")
        for spec in specs:
            metric, value = score(served, spec, Path(config.data_dir), args.examples)
            found.setdefault((spec.name, metric), []).append(f"{value:.4f}")
            print(kind, spec.name, metric, value, flush=True)
    print(f"\nstep {step:,}, {args.examples} dev examples per problem\n\n| | {' | '.join(KINDS)} |\n|---|---|---|---|")
    print(f"| bytes of the weights | {' | '.join(sizes)} |")
    for (problem, metric), values in found.items():
        print(f"| {problem}, {metric} | {' | '.join(values)} |")


if __name__ == "__main__":
    main()
