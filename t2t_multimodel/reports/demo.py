"""The demo: makes mini8's data, trains one model on all of it, scores it, and writes the report."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

import absl.logging

from t2t_multimodel.config import get_hparams
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.problem import resolve
from t2t_multimodel.reports.page import to_text
from t2t_multimodel.reports.report import write_report
from t2t_multimodel.runs.launch import train_run
from t2t_multimodel.runs.scoring import score_run

# Within 15 minutes on two cores, `make demo` also makes the environment (2 to 5 minutes), data, scores and the report.
TRAIN_MINUTES = 9.5
PROBLEMS, HPARAMS_SET = "mini8", "multimodel_mini"
# Enough points for the curves of the report, at a few percent of the time.
EVALUATION = "eval_every=600,eval_steps=3"
FULL_STEPS = 12_000


def run_demo(output_dir: Path, full: bool = False, minutes: float = TRAIN_MINUTES) -> None:
    """Generates mini8 into `output_dir/data`, trains in `output_dir`, scores all of dev, writes the report and prints its path.

    Records and a run that are there already are continued.

    Args:
        full: train FULL_STEPS steps without a limit of time, instead of `minutes` by the clock.
        minutes: the time to train.

    Raises:
        DataError: `output_dir` holds another run.
        KeyboardInterrupt: a signal stopped the training, after a checkpoint was saved.
    """
    data_dir = output_dir / "data"
    problems = resolve(PROBLEMS)
    hparams = get_hparams(HPARAMS_SET, f"{EVALUATION},train_steps={FULL_STEPS}" if full else EVALUATION)
    start = time.monotonic()
    _announce(1, f"data of {len(problems)} problems in {data_dir}")
    generate(problems, data_dir, data_dir, hparams.data.vocab_size)
    generated = time.monotonic()
    seconds = 0.0 if full else minutes * 60
    _announce(2, f"training all of them jointly, {f'{FULL_STEPS:,} steps' if full else f'{minutes:g} minutes'}")
    train_run(problems, HPARAMS_SET, hparams, data_dir, output_dir, seconds=seconds, by_clock=not full)
    trained = time.monotonic()
    _announce(3, "decoding and scoring dev")
    score_run(output_dir, data_dir, None, "dev")
    scored = time.monotonic()
    _announce(4, "writing the report")
    spent = f"Generating took {generated - start:.0f} s, training and building {trained - generated:.0f} s"
    facts = [f"{spent}, decoding and scoring {scored - trained:.0f} s, on {cores()} cores; peak memory {peak_gib():.1f} GiB."]
    print(f"\n{to_text(write_report(output_dir, data_dir, facts, continue_to=FULL_STEPS))}\n")
    print(f"{output_dir / 'report.html'} shows curves, experts and examples; report.md beside it is the same.")
    print(f"Try it in the browser: make serve (with the extra web installed: mm-serve --output_dir={output_dir})", flush=True)


def cores() -> int:
    """Returns the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_gib() -> float:
    """Returns the peak memory of this process in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kibibytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def _announce(number: int, text: str) -> None:
    absl.logging.info("[%d/4] %s", number, text)
