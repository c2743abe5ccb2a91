"""mm-score: scores a file of outputs against references, or given pairs by a trained model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import absl.logging
from absl.flags import FlagValues

from t2t_multimodel.cli import common
from t2t_multimodel.data.normalization import normalize_spaces
from t2t_multimodel.data.readers import archives, row_files
from t2t_multimodel.features import Audio, Image, Label, ProblemSpec, Text, is_tree
from t2t_multimodel.problem import Problem, split_names
from t2t_multimodel.registry import unknown
from t2t_multimodel.utils.errors import DataError

if TYPE_CHECKING:
    from t2t_multimodel.evaluation.outputs import Confusions, Decoded
    from t2t_multimodel.evaluation.scored import Scored


def command_flags() -> common.CommandFlags:
    """Returns the flags of mm-score."""
    about = "Scores outputs against references by every metric of a problem, or given pairs by a model's log-probabilities."
    flags = common.command_flags("mm-score", about)
    flags.string("problems", None, "the problem whose metrics and settings apply; not needed if --output_dir has only one")
    common.add_output_dir_flag(flags)
    flags.path("hypotheses", None, "outputs: one per line, or JSON lines as mm-decoder and mm-trainer write them (.jsonl)")
    about = "right answers, one per line, in the order of --hypotheses; given several times, each file has one per output"
    flags.paths("references", about)
    flags.string("metrics", None, "metrics to compute instead of the problem's, separated by commas")
    flags.path(
        "pairs", None, "list of inputs and targets (docs/data.md): a JSON line per pair with its log-probability by --output_dir"
    )
    flags.integer("batch_size", 32, "pairs that are scored together", least=1)
    flags.choice("output_format", ("text", "json"), "text", "json: all scores and the whole confusion matrix, as one object")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return common.run_command(command_flags(), run, argv)


def run(args: FlagValues) -> int:
    """Scores a file of outputs, or given pairs; returns 1 if a pair was damaged."""
    if bool(args.hypotheses) == bool(args.pairs):
        raise common.UserError("--hypotheses (outputs to compare with --references) or --pairs must be given; see --help")
    if args.pairs:
        return _score_pairs(args)
    spec = _spec(args)
    decoded = _read(spec, Path(args.hypotheses), [Path(path) for path in args.references or ()])
    common.quiet_tensorflow()
    from t2t_multimodel.evaluation.metrics import metrics
    from t2t_multimodel.evaluation.outputs import Confusions, scored_by

    names = split_names(args.metrics) if args.metrics is not None else None
    if wrong := next((name for name in names or () if name not in metrics), None):
        raise common.UserError(f"--metrics: {unknown('metric', wrong, metrics.names())}")
    found = scored_by(spec, decoded, names)
    confusions = Confusions.of(decoded) if isinstance(spec.targets, Label) else None
    print(_as_json(found, confusions) if args.output_format == "json" else _as_text(found, confusions, spec))
    for note in found.notes:
        absl.logging.info("%s", note)
    return 0


def _spec(args: FlagValues) -> Problem | ProblemSpec:
    """Returns the problem that --problems names: of the run in --output_dir, if that is given, otherwise a registered one."""
    if not args.output_dir:
        chosen = common.selected_problems(args)
        if len(chosen) > 1:
            raise common.UserError(f"--problems must name one problem; these are: {', '.join(each.name for each in chosen)}")
        return chosen[0]
    from t2t_multimodel.runs.run_config import RunConfig

    specs = {spec.name: spec for spec in RunConfig.load(args.output_dir).problems}
    if not args.problems and len(specs) > 1:
        raise common.UserError(f"--problems must name one of: {', '.join(specs)}")
    if args.problems and args.problems not in specs:
        raise common.UserError(f"{unknown('problem', args.problems, list(specs))} (of the run in {args.output_dir})")
    return specs[args.problems or next(iter(specs))]


def _read(spec: Problem | ProblemSpec, hypotheses: Path, references: Sequence[Path]) -> list[Decoded]:
    """Returns the outputs with their references.

    Raises:
        DataError: a file is damaged, files differ in their number of lines, there are no references, or one is empty or none.
    """
    from t2t_multimodel.evaluation.outputs import Decoded, checked_reference, linearised

    rows = list(_outputs(hypotheses))
    columns = [[_text(*line) for line in _lines(path)] for path in references]
    for path, column in zip(references, columns, strict=True):
        if len(column) != len(rows):
            raise DataError(f"{hypotheses} has {len(rows):,} outputs, {path} has {len(column):,} lines; they should match")
    if not rows:
        raise DataError(f"{hypotheses} has no outputs")
    found = []
    for number, (row, *beside) in enumerate(zip(rows, *columns, strict=True), 1):
        right = list(beside) or row.references
        if not right:
            raise DataError(f"line {number} of {hypotheses} has no references; give --references, with one per line")
        if isinstance(spec.targets, Label):  # mm-decoder writes the words of a class behind a tab
            row, right = row._replace(output=_before_tab(row.output)), list(map(_before_tab, right))
        right = [checked_reference(spec, normalize_spaces(text), f"reference {number}") for text in right]
        output = linearised(row.output) if is_tree(spec.targets) else normalize_spaces(row.output)
        found.append(Decoded(row.inputs, right, output))
    return found


def _before_tab(text: str) -> str:
    return text.split("\t", 1)[0]


def _outputs(path: Path) -> Iterator[Decoded]:
    """Yields outputs with what else their lines have: "outputs" of mm-decoder, or "output" and "references" of mm-trainer."""
    from t2t_multimodel.evaluation.outputs import Decoded

    for line, origin in _lines(path):
        text = _text(line, origin)
        if path.suffix != ".jsonl":
            yield Decoded("", [], text)
            continue
        try:
            row = json.loads(text)
            output = row["outputs"][0]["text"] if row.get("outputs") else row.get("output", "" if "outputs" in row else None)
            yield Decoded(str(row.get("input", row.get("inputs", ""))), list(map(str, row.get("references", []))), output + "")
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            raise DataError(
                f'{origin}: expected {{"output": "..."}} or {{"outputs": [{{"text": "..."}}]}}, got {text[:80]}'
            ) from None


def _lines(path: Path) -> list[tuple[bytes, str]]:
    member = archives.Folder(path.parent).open(path.name)
    return [(line, f"line {number} of {path}") for number, line in enumerate(archives.lines(member), 1)]


def _text(line: bytes, origin: str) -> str:
    return archives.decoded(line, origin)


def _as_json(found: Scored, confusions: Confusions | None) -> str:
    values: dict[str, Any] = {**found.figures, **found.settings}
    if confusions:
        counts: dict[str, dict[str, int]] = {}
        for (right, given), count in sorted(confusions.counts.items()):
            counts.setdefault(right, {})[given] = count
        values |= {"accuracy": confusions.accuracy, "examples": confusions.counts.total()}
        values |= {"class_accuracy": {name: right / total for name, (right, total) in confusions.per_class().items()}}
        values |= {"confusion_matrix": counts}
    return json.dumps(values, ensure_ascii=False)


def _as_text(found: Scored, confusions: Confusions | None, spec: Problem | ProblemSpec) -> str:
    from t2t_multimodel.utils.units import with_unit

    lines = [f"{name} {with_unit(name, value)}" for name, value in found.figures.items()]
    lines += [f"{name} {text}" for name, text in found.settings.items()]
    if confusions:
        lines += [f"accuracy {with_unit('accuracy', confusions.accuracy)} of {confusions.counts.total():,} examples", ""]
        shown = spec.targets.shown if isinstance(spec.targets, Label) else str
        lines += _table(confusions.accuracies(shown))
        lines += ["", *_table(confusions.matrix())]
    return "\n".join(lines)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _score_pairs(args: FlagValues) -> int:
    """Prints a JSON line per pair, in order; returns 1 if one was damaged."""
    common.require(args, "output_dir")
    spec, path = _spec(args), Path(args.pairs)
    names = _columns(spec)
    rows = list(row_files.rows(archives.Folder(path.parent).open(path.name), row_files.Columns(names)))
    common.quiet_tensorflow()
    from t2t_multimodel.decoding.files import read_raw
    from t2t_multimodel.evaluation.outputs import checked_reference
    from t2t_multimodel.inference import open_predictor

    predictor, _ = open_predictor(args.output_dir)
    errors: dict[int, str] = {}
    inputs: dict[int, Any] = {}
    targets: dict[int, str] = {}
    for place, row in enumerate(rows):
        try:
            if row.error:
                raise row.error
            given, target = row.values
            inputs[place] = (
                normalize_spaces(given) if isinstance(spec.inputs, Text) else _media(read_raw, spec, given, path.parent)
            )
            targets[place] = checked_reference(spec, normalize_spaces(target), row.origin)
        except DataError as error:
            inputs.pop(place, None)
            errors[place] = " ".join(str(error).split())
    scores = predictor.score_pairs(spec.name, [inputs[i] for i in targets], list(targets.values()), args.batch_size)
    found = dict(zip(targets, scores, strict=True))
    for place, row in enumerate(rows):
        written: dict[str, Any] = {}
        if row.values:
            written = {"input": row.values[0] if isinstance(row.values[0], str) else row.values[0].name, "target": row.values[1]}
        if place in errors:
            absl.logging.warning("mm-score: %s", errors[place])
            written |= {"error": errors[place]}
        else:
            score = found[place]
            written |= {
                "log_prob": round(score.log_prob, 5),
                "token_log_probs": [round(value, 5) for value in score.token_log_probs],
            }
            written |= {"tokens": score.tokens}
        print(json.dumps(written, ensure_ascii=False), flush=True)
    return 1 if errors else 0


def _columns(spec: Problem | ProblemSpec) -> tuple[str, str]:
    """Returns the names of the columns of pairs."""
    if isinstance(spec.inputs, Text):
        return "inputs", "targets"
    if isinstance(spec.targets, Label):
        return "path", "label"
    return "path", "transcript" if isinstance(spec.inputs, Audio) else "caption"


def _media(read_raw: Any, spec: Problem | ProblemSpec, given: str | archives.Member, folder: Path) -> Any:
    if isinstance(given, str):
        return read_raw(spec.inputs, given, folder)
    content = archives.read(given)
    if isinstance(spec.inputs, Image):
        return content
    from t2t_multimodel.data.readers.sound.decode import decode_audio

    assert isinstance(spec.inputs, Audio)
    return decode_audio(content, spec.inputs.sample_rate, given.origin)


if __name__ == "__main__":
    sys.exit(main())
