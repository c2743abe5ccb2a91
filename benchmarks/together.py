"""Measures the CPU time of decoding per request: each alone, requests of a problem together, requests of all problems together.

It asks a run of mini8 without HTTP, with four beams. CPU time counts all threads, so that other work disturbs it little.

python benchmarks/together.py --output_dir=demo_output
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from t2t_multimodel.cli.quiet import quiet_tensorflow  # noqa: E402

quiet_tensorflow(onednn=False)

import serve  # noqa: E402

from t2t_multimodel.cli.common import load_registries  # noqa: E402
from t2t_multimodel.decoding.strategies import BeamSearch  # noqa: E402
from t2t_multimodel.inference import open_predictor  # noqa: E402

PER_PROBLEM = 4
TOP_CLASSES = 5


def main() -> None:
    """Measures and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--output_dir", default="demo_output", help="a run of mini8")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    load_registries()
    predictor, step = open_predictor(args.output_dir, BeamSearch(4, 0.6, 4))
    asked = [(each.problem, each.body.decode() if each.kind == "text/plain" else each.body) for each in serve.mixed(PER_PROBLEM)]
    prepared = [predictor.prepare(problem, [raw]) for problem, raw in asked]
    half = len(prepared) // 2
    batches = {
        "alone": [[each] for each in prepared],
        f"{PER_PROBLEM} of a problem": [[each for each in prepared if each.problem == name] for name in predictor.specs],
        f"{half} of all problems": [prepared[:half], prepared[half:]],
        f"{len(prepared)} of all problems": [prepared],
    }
    for each in batches.values():
        milliseconds(predictor, each[:8])  # traces
    found: dict[str, list[float]] = {name: [] for name in batches}
    for _ in range(args.repeats):
        for name, each in batches.items():
            found[name].append(round(milliseconds(predictor, each), 1))
    print(json.dumps({"step": step, "cpu_milliseconds_per_request": found}, indent=1))


def milliseconds(predictor: Any, batches: Sequence[Sequence[Any]]) -> float:
    """Returns the CPU time of decoding per request."""
    start = time.process_time()
    for batch in batches:
        predictor.predict_prepared(batch, TOP_CLASSES)
    return 1000 * (time.process_time() - start) / sum(map(len, batches))


if __name__ == "__main__":
    main()
