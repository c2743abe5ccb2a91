"""Scores of a trained run over a whole split: teacher-forced metrics, and metrics of decoded outputs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import tensorflow as tf
from tqdm import tqdm

from t2t_multimodel.config import HParams
from t2t_multimodel.data.lengths import left_out_of
from t2t_multimodel.data.manifest import features_of
from t2t_multimodel.data.pipeline import evaluation_batches
from t2t_multimodel.data.records import as_recorded, layout, read_manifest, require_records
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.decoding.predictor import Predictor
from t2t_multimodel.evaluation.outputs import Decoded, scored_by
from t2t_multimodel.evaluation.scored import Scored
from t2t_multimodel.features import Batch, Label, ProblemSpec, Text
from t2t_multimodel.model_protocol import Model
from t2t_multimodel.problem import Problem, problem_of
from t2t_multimodel.runs.run_config import RunConfig, open_run
from t2t_multimodel.training.metrics import MetricSums, mean_metrics
from t2t_multimodel.training.metrics_writer import EVALUATE, formatted, write_scalars
from t2t_multimodel.training.steps import StepFunctions
from t2t_multimodel.utils.console import print_line
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.files import write_atomically
from t2t_multimodel.utils.json_lines import json_line, json_lines

DRAWN = 2  # examples of each problem whose attention a report draws


class Scorer:
    """Evaluates a model on splits of its problems.

    Args:
        model, vocabulary, hparams, specs: those of the run, as open_run returns them.
        data_dir: the folder of the records.
    """

    def __init__(
        self, model: Model, vocabulary: Vocabulary, hparams: HParams, specs: Sequence[ProblemSpec], data_dir: Path
    ) -> None:
        self._steps = StepFunctions(model, None, hparams)
        self._decoder = Predictor(model, specs, vocabulary, hparams, well_formed_trees=False)
        self._vocabulary, self._hparams, self._data_dir = vocabulary, hparams, data_dir

    def score(self, problem: Problem, split: str, limit: int = 0) -> tuple[Scored, list[Decoded]]:
        """Returns all scores of `problem` on `split`, and the decoded examples.

        Args:
            limit: the number of batches to score; 0 scores all.

        Raises:
            DataError: max_length or max_seconds leaves no example of the split.
        """
        batches = evaluation_batches(problem, self._data_dir, self._hparams, split)
        rows, decoded = [], []
        for batch in tqdm(batches.take(limit) if limit else batches, desc=f"{problem.name} {split}", unit="batch", disable=None):
            rows.append(self._steps.evaluate(problem.name, batch))
            decoded += self._decode(problem, batch)
        if not rows:
            raise DataError(f"no {split} example of {problem.name} is within the limits; max_length or max_seconds is too small")
        figures = mean_metrics(MetricSums(*(sum(float(value) for value in column) for column in zip(*rows, strict=True))))
        found = scored_by(problem, decoded)
        return found._replace(figures=figures | found.figures), decoded

    def samples(self, problem: Problem, split: str, count: int) -> list[Decoded]:
        """Returns the first `count` examples of `split`, at most a batch, with the model's outputs."""
        batch = next(iter(evaluation_batches(problem, self._data_dir, self._hparams, split)))
        return self._decode(problem, cast(Batch, {name: values[:count] for name, values in batch.items()}))

    def attention(self, problem: Problem, split: str, count: int) -> list[dict[str, Any]]:
        """Returns where the model looks in the first `count` examples of `split`, as rows of JSON; [] for classes."""
        if isinstance(problem.targets, Label):
            return []
        batch = next(iter(evaluation_batches(problem, self._data_dir, self._hparams, split)))
        inputs = cast(Batch, {name: values[:count] for name, values in batch.items() if name.startswith("inputs")})
        rows = []
        for found in self._decoder.explain_batch(problem.name, inputs):
            pair = found.outputs[0].pair
            if pair and pair.attention:
                weights = [[round(float(weight), 3) for weight in row] for row in pair.attention.weights]
                details = {"input_tokens": found.source, "attention": weights, "attention_shape": pair.attention.shape}
                rows.append({"output": found.outputs[0].text, "tokens": pair.tokens, **details})
        return rows

    def _decode(self, problem: Problem, batch: Batch) -> list[Decoded]:
        inputs_alone = cast(Batch, {name: values for name, values in batch.items() if name.startswith("inputs")})
        outputs = self._decoder.decode_batch(problem.name, inputs_alone)
        inputs = [self._vocabulary.decode(row) for row in batch["inputs"].numpy().tolist()] if _is_text(problem.inputs) else None
        return [
            Decoded(inputs[i] if inputs else "", self._references(problem, batch, i), output) for i, output in enumerate(outputs)
        ]

    def _references(self, problem: Problem, batch: Batch, i: int) -> list[str]:
        if isinstance(problem.targets, Label):
            return [problem.targets.classes[int(batch["targets"][i])]]
        several = [text.decode() for text in batch["references"][i].numpy() if text] if "references" in batch else []
        return several or [self._vocabulary.decode(batch["targets"][i].numpy().tolist())]


def score_run(output_dir: Path, data_dir: Path, names: Sequence[str] | None, split: str, limit: int = 0) -> None:
    """Scores a run's newest checkpoint and prints a line per problem.

    The same figures go to metrics.jsonl and to TensorBoard, the decoded examples to `decoded-<problem>-<split>.jsonl`. A line is
    printed before its files are written, so that a run in a read-only folder can be scored too.

    Args:
        names: the problems to score; None scores all problems of the run that have the split.
        limit: the number of batches to score per problem; 0 scores all.

    Raises:
        DataError: there is no run, checkpoint or record; the records are of another vocabulary or other features; `names` has a
            problem that the run does not have; or, when all problems have been scored, a file could not be written.
    """
    chosen = _chosen(RunConfig.load(output_dir), names, split, data_dir)
    config, vocabulary, model, step = open_run(output_dir)
    for problem in chosen:
        _check_fits(problem, config, data_dir)
    scorer = Scorer(model, vocabulary, config.hparams, config.problems, data_dir)
    unwritten: dict[str, str] = {}
    for problem in chosen:
        start = time.monotonic()
        (lengths,) = left_out_of(problem, data_dir, config.hparams, [split])
        if lengths.left_out:
            print_line(lengths.line(problem.name))
        found, decoded = scorer.score(problem, split, limit)
        settings = "".join(f"  {name} {text}" for name, text in found.settings.items())
        print(f"{problem.name} {split} step {step}: {formatted(found.figures)}{settings}", flush=True)
        for note in found.notes:
            print_line(f"{problem.name} {split}: {note}")
        row = {"step": step, "problem": problem.name, "split": split, "time": round(time.monotonic() - start, 2), **EVALUATE}
        try:
            _write_scores(output_dir, row | found.settings, found.figures | lengths.figures(), decoded)
            looks = json_lines(scorer.attention(problem, split, DRAWN))
            write_atomically(output_dir / f"attention-{problem.name}-{split}.jsonl", looks)
        except OSError as error:
            unwritten[problem.name] = f"{error.filename}: {error.strerror}"
    if unwritten:
        reason = next(iter(unwritten.values()))
        raise DataError(f"the scores of {', '.join(unwritten)} were printed but not written to {output_dir}: {reason}")


def _write_scores(output_dir: Path, row: Mapping[str, Any], figures: dict[str, float], decoded: Sequence[Decoded]) -> None:
    with (output_dir / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json_line({**row, **figures}))
    content = json_lines(example._asdict() for example in decoded)
    write_atomically(output_dir / f"decoded-{row['problem']}-{row['split']}.jsonl", content)
    events = tf.summary.create_file_writer(str(output_dir / "events"))
    with events.as_default(row["step"]):
        write_scalars(row["problem"], row["split"], figures)
    events.close()


def _chosen(config: RunConfig, names: Sequence[str] | None, split: str, data_dir: Path) -> list[Problem]:
    trained = [spec.name for spec in config.problems]
    unknown = [name for name in names or () if name not in trained]
    if unknown:
        raise DataError(f"this run has no problem {', '.join(unknown)}; there are: {', '.join(trained)}")
    known = [problem_of(spec) for spec in config.problems if spec.name in (names or trained)]
    require_records(data_dir, known)
    chosen = [as_recorded(problem, data_dir) for problem in known]
    splits = {problem.name: read_manifest(data_dir, problem.records_name)["splits"] for problem in chosen}
    with_split = [problem for problem in chosen if split in splits[problem.name]]
    if not with_split:
        raise DataError(f"no split {split!r}; there are: {', '.join(sorted(set().union(*splits.values())))}")
    return with_split


def _check_fits(problem: Problem, config: RunConfig, data_dir: Path) -> None:
    trained = {spec.name: spec for spec in config.problems}[problem.name]
    if (problem.inputs, problem.targets) != (trained.inputs, trained.targets):
        raise DataError(
            f"{problem.name} has other features now than in the run's config.json: was {trained.inputs}, {trained.targets}"
        )
    manifest = read_manifest(data_dir, problem.records_name)
    recorded, wanted = features_of(manifest), problem.forward().spec().to_dict()
    if other := [side for side in ("inputs", "targets") if layout(recorded[side]) != layout(wanted[side])]:
        raise DataError(
            f"the records of {problem.name} in {data_dir} have other {' and '.join(other)} than the run was trained with; name "
            "the data_dir of its records"
        )
    if manifest["vocabulary_sha256"] != config.vocabulary_sha256:
        raise DataError(
            f"the records of {problem.name} in {data_dir} were made with another vocabulary than the run was trained with"
        )


def _is_text(feature: Any) -> bool:
    return isinstance(feature, Text)
