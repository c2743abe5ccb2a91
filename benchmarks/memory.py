"""Counts the memory of a training step of a set by part and kind of batch, without running it; prints docs/memory.md's tables.

python benchmarks/memory.py --hparams_set=multimodel_paper_joint
"""

import argparse
from collections.abc import Mapping
from typing import Any

import common

from t2t_multimodel.cli.common import load_registries
from t2t_multimodel.config import HParams, get_hparams
from t2t_multimodel.data.pipeline import batch_signature
from t2t_multimodel.features import Audio, Image, Label, ProblemSpec
from t2t_multimodel.problem import resolve
from t2t_multimodel.runs.memory_estimate import MemoryCount, count_memory
from t2t_multimodel.runs.run_config import RunConfig

GB = 1e9


def full_batch(spec: ProblemSpec, hparams: HParams) -> dict[str, list[int]]:
    """Returns the shapes of a problem's full batch of the longest examples; captions have max_length tokens."""
    c = hparams.data
    rows, length = max(1, c.batch_tokens // (2 * c.max_length)), c.max_length
    if isinstance(spec.inputs, Image):
        rows = c.batch_images
    if isinstance(spec.inputs, Audio):
        rate = spec.inputs.sample_rate if hparams.model.audio_input == "waveform" else 1000.0 / c.hop_ms
        rows, length = max(1, int(c.batch_seconds / c.max_seconds)), int(c.max_seconds * rate)
    signature: Mapping[str, Any] = batch_signature(spec, hparams)
    shapes = {name: tensor.shape.as_list() for name, tensor in signature.items()}
    shapes["inputs"] = [rows, *(size or length for size in shapes["inputs"][1:])]
    shapes["targets"] = [rows] if isinstance(spec.targets, Label) else [rows, c.max_length]
    return {**shapes, "inputs_length": [rows]} if isinstance(spec.inputs, Audio) else shapes


def count(set_name: str, hparams: HParams, specs: tuple[ProblemSpec, ...], batches: dict) -> MemoryCount:
    """Returns the counts of a run on the problems `specs`."""
    return count_memory(RunConfig(set_name, hparams, specs, hparams.data.vocab_size, "", ""), batches)


def main() -> None:
    """Counts and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--hparams_set", default="multimodel_paper_joint")
    parser.add_argument("--hparams", default="")
    parser.add_argument("--problems", default="multimodel8")
    args = parser.parse_args()
    load_registries()
    hparams = get_hparams(args.hparams_set, args.hparams)
    specs = tuple(problem.spec() for problem in resolve(args.problems))
    kinds = {(spec.inputs.kind, spec.targets.kind): spec for spec in specs}.values()
    batches = {spec.name: full_batch(spec, hparams) for spec in kinds}
    changes: list[dict[str, Any]] = [{"precision": p, "recompute": r} for p in ("float32", "bfloat16") for r in (False, True)]
    counts = [count(args.hparams_set, hparams.override(**change), specs, batches) for change in changes]
    adafactor = count(args.hparams_set, hparams.override(optimizer="adafactor"), specs, {})
    parameters = counts[0].parameters
    print("| part | million parameters | GB in float32 |\n|---|---|---|")
    for part, number in [*parameters.items(), ("all", sum(parameters.values()))]:
        print(f"| {part} | {number / 1e6:,.2f} | {4 * number / GB:.3f} |")
    print("\n| optimizer | parameters | gradients | slots |\n|---|---|---|---|")
    for name, state in (("adam", counts[0].state), ("adafactor", adafactor.state)):
        print(f"| {name} | " + " | ".join(f"{state[part] / GB:.3f}" for part in ("parameters", "gradients", "optimizer")) + " |")
    print("\n| batch | inputs | targets | float32 | recompute | bfloat16 | bfloat16, recompute |\n|---|---|---|---|---|---|---|")
    for name, shapes in batches.items():
        sizes = " | ".join(" x ".join(map(str, shapes[side])) for side in ("inputs", "targets"))
        print(f"| {name} | {sizes} | " + " | ".join(f"{found.steps[name] / GB:.2f}" for found in counts) + " |")
    print(f"\npeak of this program: {common.peak_memory_gib():.1f} GiB")


if __name__ == "__main__":
    main()
