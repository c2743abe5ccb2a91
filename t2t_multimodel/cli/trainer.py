"""mm-trainer: trains one model on one or several problems."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from t2t_multimodel.cli import common
from t2t_multimodel.config import HParams
from t2t_multimodel.data.problem import Problem

SCHEDULES = ("train_and_evaluate", "evaluate")


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = common.build_parser("Trains one model on one or several problems, or evaluates it.", prog="mm-trainer")
    common.add_problems_flag(parser)
    common.add_hparams_flags(parser)
    common.add_data_dir_flag(parser)
    common.add_output_dir_flag(parser)
    parser.add_argument("--train_steps", type=int, help="steps over all problems together (default: the set's)")
    parser.add_argument("--train_minutes", type=float, default=0.0, help="stop after so many minutes; 0 is no limit")
    parser.add_argument("--eval_steps", type=int, help="batches of each evaluation, 0 is all (default: the set's)")
    parser.add_argument("--schedule", choices=SCHEDULES, default=SCHEDULES[0], help="evaluate: decode and score a split")
    parser.add_argument("--eval_split", default="dev", help="the split that --schedule=evaluate scores")
    return common.run_command(parser, _run, argv)


def _run(args: argparse.Namespace) -> int:
    common.require(args, "data_dir", "output_dir")
    if args.schedule == "evaluate":
        return _evaluate(args)
    hparams = _hparams(args)
    chosen = common.selected_problems(args)
    _check_schedule(chosen, hparams)
    common.quiet_tensorflow()
    train(chosen, args.hparams_set, hparams, Path(args.data_dir), Path(args.output_dir), args.train_minutes * 60)
    return 0


def train(
    problems: Sequence[Problem], set_name: str, hparams: HParams, data_dir: Path, output_dir: Path, seconds: float = 0.0
) -> None:
    """Trains `problems` from their records in `data_dir` on, in `output_dir`, going on where a run there stopped."""
    import tensorflow as tf

    from t2t_multimodel import run
    from t2t_multimodel.data.records import read_manifest
    from t2t_multimodel.data.vocabulary import Vocabulary
    from t2t_multimodel.training.trainer import NotFinite, Trainer

    # Grappler's passes took longer than they saved (docs/architecture.md).
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    manifests = [read_manifest(data_dir, problem.records_name) for problem in problems]
    vocabulary = Vocabulary.load(data_dir / run.VOCABULARY)
    _check_vocabulary(vocabulary, manifests, hparams, data_dir)
    specs = tuple(problem.spec() for problem in problems)
    config = run.RunConfig(set_name, hparams, specs, vocabulary.size, vocabulary.sha256, str(data_dir))
    run.start_run(config, output_dir, data_dir)
    try:
        Trainer(run.build_model(config), problems, hparams, data_dir, output_dir).train(seconds=seconds)
    except NotFinite as error:
        raise common.UserError(f"{error}; a lower learning_rate or clip_norm may help") from error


def _check_vocabulary(vocabulary: Any, manifests: Sequence[dict[str, Any]], hparams: HParams, data_dir: Path) -> None:
    for manifest in manifests:
        if manifest["vocabulary_sha256"] != vocabulary.sha256:
            name = manifest["problem"]
            raise common.UserError(f"the records of {name} in {data_dir} were made with another vocabulary; run mm-datagen again")
    if vocabulary.size > hparams.data.vocab_size:
        fitting = f"--hparams=vocab_size={vocabulary.size}"
        raise common.UserError(
            f"the vocabulary in {data_dir} has {vocabulary.size} pieces, the set has vocab_size={hparams.data.vocab_size}; "
            f"train with {fitting} or make the data with the same set in another --data_dir"
        )


def _evaluate(args: argparse.Namespace) -> int:
    common.quiet_tensorflow()
    from t2t_multimodel.experiments.scoring import score_run

    score_run(Path(args.output_dir), Path(args.data_dir), args.problems, args.eval_split, args.eval_steps or 0)
    return 0


def _hparams(args: argparse.Namespace) -> HParams:
    hparams = common.selected_hparams(args)
    for name in ("train_steps", "eval_steps"):
        if getattr(args, name) is not None:
            hparams = hparams.override(**{name: getattr(args, name)})
    return hparams


def _check_schedule(problems: Sequence[Problem], hparams: HParams) -> None:
    from t2t_multimodel.data.mixing import ProblemSchedule

    c = hparams.training
    names = [problem.name for problem in problems]
    try:
        ProblemSchedule(names, [1] * len(names), c.problem_schedule, c.temperature, c.problem_weights)
    except ValueError as error:
        raise common.UserError(f"--hparams: {error}") from error
