"""Compares learning a ninth problem from the weights of a model of mini8 with learning it alone. Prints JSON.

python benchmarks/ninth_problem.py --output_dir=DIR      # makes data and three runs there, or goes on with them

Steps are counted over all problems of a run. More than a third of the steps of the warm-started run go to the eight problems, so
that they are not forgotten. Accuracies are teacher-forced, on all of dev, per token and per sequence.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from t2t_multimodel.cli.quiet import quiet_tensorflow  # noqa: E402

quiet_tensorflow()

from t2t_multimodel.cli.common import load_registries  # noqa: E402
from t2t_multimodel.config import get_hparams  # noqa: E402
from t2t_multimodel.data.generation.generate import generate  # noqa: E402
from t2t_multimodel.problem import resolve  # noqa: E402
from t2t_multimodel.runs.launch import train_run  # noqa: E402

SET = "multimodel_mini"
SMALL = "batch_tokens=1024,batch_images=16,batch_seconds=20,problem_weights=,eval_steps=0,save_every=100"
MEASURES = ("accuracy", "accuracy_per_sequence")


def main() -> None:
    """Trains the runs that are not complete, and prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True, metavar="DIR")
    parser.add_argument("--ninth", choices=("mini_defr", "mini_enes"), default="mini_defr", help="the problem to add")
    parser.add_argument("--eight_steps", type=int, default=1200, help="steps of the model that learns mini8")
    parser.add_argument("--warmup_steps", type=int, default=100, help="warmup_steps of both runs on the ninth problem")
    parser.add_argument("--alone_steps", type=int, default=400, help="steps of the ninth problem alone; from the model, half")
    args = parser.parse_args()
    load_registries()
    ninth, folder, data_dir = args.ninth, args.output_dir, args.output_dir / "data"
    for names in ("mini8", ninth):  # One after the other, so that the vocabulary is learned from mini8 alone.
        generate(resolve(names), data_dir, data_dir, get_hparams(SET).data.vocab_size)
    alone, half = args.alone_steps, args.alone_steps // 2

    def train(name: str, problems: str, steps: int, every: int, weights: str = "", warm_start: Path | None = None) -> None:
        warmup = 100 if name == "eight" else args.warmup_steps
        changes = f"{SMALL},warmup_steps={warmup},train_steps={steps},eval_every={every},problem_weights={weights}"
        hparams = get_hparams(SET, changes)
        if train_run(resolve(problems), SET, hparams, data_dir, folder / name, warm_start=warm_start) < steps:
            sys.exit("stopped; the same command goes on")

    train("eight", "mini8", args.eight_steps, args.eight_steps // 2)
    train(f"alone_{ninth}", ninth, alone, alone // 8)
    train(f"nine_{ninth}", f"mini8,{ninth}", half, alone // 8, f"{ninth}:12", folder / "eight")
    runs = (evaluations(folder / name) for name in ("eight", f"alone_{ninth}", f"nine_{ninth}"))
    print(json.dumps(compared(ninth, *runs), indent=1))


def evaluations(output_dir: Path) -> dict[str, dict[int, dict[str, float]]]:
    """Returns the metrics of dev by problem and step."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for row in map(json.loads, (output_dir / "metrics.jsonl").read_text().splitlines()):
        if row["split"] == "dev":
            found.setdefault(row["problem"], {})[row["step"]] = {name: round(row[name], 4) for name in MEASURES}
    return found


def compared(ninth: str, eight: dict, alone: dict, nine: dict) -> dict:
    """Returns the steps to nine tenths of the accuracy that the ninth problem alone reached, both curves, and the eight problems
    before and after."""
    last = alone[ninth][max(alone[ninth])]
    reached = {
        name: {
            kind: min((step for step, row in curve.items() if row[name] >= 0.9 * last[name]), default=None)
            for kind, curve in (("alone", alone[ninth]), ("from_the_eight", nine[ninth]))
        }
        for name in MEASURES
    }
    others = {name: {"before": rows[max(rows)], "after": nine[name][max(nine[name])]} for name, rows in eight.items()}
    return {"steps_to_0.9_of_alone": reached, "alone": alone[ninth], "from_the_eight": nine[ninth], "others": others}


if __name__ == "__main__":
    main()
