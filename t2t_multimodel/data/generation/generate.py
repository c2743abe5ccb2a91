"""Turns raw data into a data_dir: first the shared vocabulary, then each problem's records and manifest."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from t2t_multimodel.data import records
from t2t_multimodel.data.generation import shuffle
from t2t_multimodel.data.generation.class_words import update_words, with_words
from t2t_multimodel.data.generation.encode import EncodingConfig
from t2t_multimodel.data.generation.recorded import Recorded, description, find
from t2t_multimodel.data.generation.split_writer import SplitWriter, skipped_name
from t2t_multimodel.data.generation.vocabulary_file import Origin, VocabularyFile
from t2t_multimodel.data.generation.vocabulary_sample import Report, learn_vocabulary
from t2t_multimodel.data.generation.workers import Workers
from t2t_multimodel.data.generation.workspace import Workspace, remove_leftovers, workspace_folder, workspace_plans
from t2t_multimodel.data.manifest import Manifest, SplitEntry
from t2t_multimodel.data.vocabulary import FILE_NAME, Vocabulary
from t2t_multimodel.problem import Problem
from t2t_multimodel.utils.console import print_line
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.files import check_writable, naming_full_disk

_NAMED_ERRORS = 20
# The version of a workspace's format; a workspace of another version is not resumed.
_WORKSPACE_VERSION = 6


def generate(
    problems: Sequence[Problem],
    data_dir: Path,
    tmp_dir: Path,
    vocab_size: int,
    num_shards: int = 4,
    on_error: str = "fail",
    verify: bool = False,
    num_workers: int = 1,
    rules: frozenset[str] = frozenset(),
    image_size: int = 0,
    report: Report = print_line,
    workers: Workers | None = None,
) -> dict[str, Manifest]:
    """Writes vocabulary and records of `problems` to `data_dir`; what is there and complete is left alone.

    A run that was killed or interrupted is resumed. The files are the same as without the interruption, and the same for any
    number of workers.

    Args:
        problems: the problems; a problem and its reverse share records.
        data_dir: the folder to write to; it is made if missing.
        tmp_dir: the folder with the raw data.
        vocab_size: the number of pieces of the vocabulary, if there is none in `data_dir` yet.
        num_shards: the number of files of a train split; other splits have one.
        on_error: "fail" stops at the first damaged example. "skip" names a damaged example, counts it and continues. If a
            problem's files cannot be read to their ends, "skip" makes the records of all other problems before it raises the
            error.
        verify: whether to compare the checksums of existing records, not only their sizes.
        num_workers: the number of processes that check and encode examples.
        rules: the rules of `cleaning.RULES` by which examples are left out of train splits.
        image_size: the largest shorter side of a stored image, in pixels; 0 stores images as they are.
        report: takes lines for the user.
        workers: checks and encodes examples instead of `num_workers` processes; its machines must share `data_dir`.

    Returns:
        The manifest of each problem's records, by records name.

    Raises:
        DataError: raw data is missing or damaged, existing records were made with another vocabulary, or another process is
            making the same records.
        WorkerError: a worker process was killed, or a pipeline failed.
    """
    data_dir = data_dir.absolute() if workers else data_dir  # The workers' processes have another current directory.
    forward = {problem.records_name: problem.forward() for problem in problems}
    _check_raw_data([p for name, p in forward.items() if not records.manifest_path(data_dir, name).exists()], tmp_dir)
    forward = {name: with_words(_with_classes(p, data_dir, tmp_dir), data_dir, tmp_dir, report) for name, p in forward.items()}
    data_dir.mkdir(parents=True, exist_ok=True)
    remove_leftovers(data_dir)
    options = {"clean": sorted(rules), "image_size": image_size}
    recorded = _recorded(forward, data_dir, options, verify, report)
    missing = {name: problem for name, problem in forward.items() if not recorded[name].is_complete}
    manifests = {name: found.manifest for name, found in recorded.items() if found.is_complete and found.manifest}
    plan = {"num_shards": num_shards, "on_error": on_error, "tmp_dir": str(tmp_dir.resolve()), **options}
    if missing:
        check_writable(data_dir)
    with naming_full_disk(data_dir), VocabularyFile(data_dir, report) as file:
        vocabulary = _ensure_vocabulary(file, forward, recorded, tmp_dir, vocab_size, plan, report)
        _check_vocabularies(manifests, vocabulary, data_dir)
        for name, manifest in manifests.items():
            report(f"{name}: complete already")
            update_words(forward[name], manifest, data_dir, report)
            _finish(data_dir, name)
        with workers or Workers(num_workers if missing else 1) as workers:
            for manifest in _make(missing, data_dir, tmp_dir, vocabulary, plan, workers, report):
                manifests[manifest["problem"]] = manifest
                for line in file.misfits(manifest):
                    report(f"warning: {line}")
    return {name: manifests[name] for name in forward}


def _recorded(
    forward: dict[str, Problem], data_dir: Path, options: dict[str, Any], verify: bool, report: Report
) -> dict[str, Recorded]:
    """Returns the state of the records of each problem, and says which have to be made again."""
    recorded = {name: find(problem, data_dir, options, verify) for name, problem in forward.items()}
    for name, found in recorded.items():
        if found.reason:
            report(f"{name}: made again, because {found.reason}")
    return recorded


def _ensure_vocabulary(
    file: VocabularyFile,
    forward: dict[str, Problem],
    recorded: dict[str, Recorded],
    tmp_dir: Path,
    vocab_size: int,
    plan: dict[str, Any],
    report: Report,
) -> Vocabulary:
    missing = {name: problem for name, problem in forward.items() if not recorded[name].is_complete}

    def learn(path: Path) -> Origin:
        learned = learn_vocabulary(list(forward.values()), tmp_dir, vocab_size, path, report, plan["on_error"] == "skip")
        return Origin(learned.vocabulary.sha256, *learned[1:])

    def is_resumed(sha256: str) -> bool:
        plans = workspace_plans(file.path.parent)
        return any(plans.get(name) == _whole_plan(problem, sha256, plan) for name, problem in missing.items())

    return file.ensure(learn, [name for name in missing if not recorded[name].damaged], is_resumed)


def _make(
    missing: dict[str, Problem],
    data_dir: Path,
    tmp_dir: Path,
    vocabulary: Vocabulary,
    plan: dict[str, Any],
    workers: Workers,
    report: Report,
) -> Iterator[Manifest]:
    """Makes the records of each problem; where damage is skipped, the error of one that cannot be made is raised at the end."""
    failed: dict[str, DataError] = {}
    for name, problem in missing.items():
        try:
            yield _write_records(problem, data_dir, tmp_dir, vocabulary, plan, workers, report)
        except DataError as error:
            if plan["on_error"] != "skip":
                raise
            failed[name] = error
            report(f"{name}: not made, because {error}")
    if failed:
        reasons = "; ".join(f"{name}: {error}" for name, error in failed.items())
        others = "" if len(failed) == len(missing) else ", the others are complete"
        raise DataError(f"{len(failed)} of {len(missing)} problems could not be made{others}: {reasons}")


def _finish(data_dir: Path, name: str) -> None:
    """Removes the workspace of a run that was killed after its records were complete."""
    if workspace_folder(data_dir, name).exists():
        with Workspace(data_dir, name, {}) as workspace:
            _tidy(workspace, name)


def _check_raw_data(problems: Sequence[Problem], tmp_dir: Path) -> None:
    """Raises one DataError with all files that the problems' checks find missing."""
    errors = []
    for problem in problems:
        try:
            problem.check(tmp_dir)
        except DataError as error:
            errors.append(error)
    if errors:
        raise DataError("; ".join(map(str, errors))) from errors[0]


def _with_classes(problem: Problem, data_dir: Path, tmp_dir: Path) -> Problem:
    """Returns `problem` with the classes of the raw data, or of the records if the raw data is gone."""
    if not problem.find_classes:
        return problem
    try:
        return problem.with_classes(problem.find_classes(tmp_dir))
    except DataError:
        if not records.manifest_path(data_dir, problem.records_name).exists():
            raise
        return records.as_recorded(problem, data_dir)


def _check_vocabularies(manifests: dict[str, Manifest], vocabulary: Vocabulary, data_dir: Path) -> None:
    """Raises a DataError if records that are to stay were made with another vocabulary."""
    for name, manifest in manifests.items():
        if manifest["vocabulary_sha256"] != vocabulary.sha256:
            raise DataError(
                f"the records of {name} in {data_dir} were made with another vocabulary than {data_dir / FILE_NAME}; put that "
                f"one back, use another --data_dir, or remove {records.manifest_path(data_dir, name)} to have them made again"
            )


def _head(problem: Problem, sha256: str, plan: dict[str, Any]) -> dict[str, Any]:
    """Returns the entries of a manifest that concern all splits."""
    head: dict[str, Any] = {"problem": problem.records_name, "source": problem.source, "vocabulary_sha256": sha256}
    head |= {key: description(problem)[key] for key in ("inputs", "targets")}
    head |= {key: plan[key] for key in ("clean", "image_size")}
    return head | ({"described": problem.described} if problem.described else {})


def _whole_plan(problem: Problem, sha256: str, plan: dict[str, Any]) -> dict[str, Any]:
    """Returns everything, except raw data, that the records of a problem depend on."""
    head = _head(problem, sha256, plan)
    head["targets"].pop("words", None)
    whole = plan | head | {"splits": list(problem.splits), "generator": _generator_sha256(problem)}
    return whole | {"version": _WORKSPACE_VERSION}


def _write_records(
    problem: Problem,
    data_dir: Path,
    tmp_dir: Path,
    vocabulary: Vocabulary,
    plan: dict[str, Any],
    workers: Workers,
    report: Report,
) -> Manifest:
    """Makes all splits where no reader looks, and changes places only once all are whole."""
    name = problem.records_name
    head = _head(problem, vocabulary.sha256, plan)
    if problem.source:
        report(f"{name}: {problem.source}")
    with Workspace(data_dir, name, _whole_plan(problem, vocabulary.sha256, plan)) as workspace:
        splits = _make_splits(problem, workspace, plan, data_dir / FILE_NAME, tmp_dir, workers, report)
        there = [split for split in problem.splits if splits[split]]
        head |= {"splits": {split: splits[split] for split in there}, "complete": True}
        head |= {"empty_splits": [split for split in problem.splits if split not in there]}
        manifest = cast(Manifest, head)
        records.manifest_path(data_dir, name).unlink(missing_ok=True)
        workspace.publish(_files(manifest))
        records.write_manifest(data_dir, name, manifest)
        _tidy(workspace, name)
    return manifest


def _tidy(workspace: Workspace, name: str) -> None:
    """Removes the workspace, after files of earlier records that the manifest does not name."""
    data_dir = workspace.data_dir
    current = _files(records.read_manifest(data_dir, name))
    for split in ("train", "dev", "test"):
        for pattern in (f"{name}-{split}-?????-of-?????.tfrecord", skipped_name(f"{name}-{split}")):
            for path in data_dir.glob(pattern):
                if path.name not in current:
                    path.unlink()
    workspace.remove()


def _files(manifest: Manifest) -> list[str]:
    """The names of a manifest's files: shards, and lists of what was skipped."""
    splits = manifest["splits"].values()
    shards = [shard["file"] for split in splits for shard in split["shards"]]
    return shards + [split["skipped_list"] for split in splits if "skipped_list" in split]


def _make_splits(
    problem: Problem,
    workspace: Workspace,
    plan: dict[str, Any],
    vocabulary: Path,
    tmp_dir: Path,
    workers: Workers,
    report: Report,
) -> dict[str, SplitEntry | None]:
    """The manifest's entry of each split; None is a "test" that is not there.

    Train comes last: what is left out of it can depend on the others.
    """
    entries: dict[str, SplitEntry | None] = {}
    evaluation: tuple[Path, ...] = ()
    rules = frozenset(plan["clean"])
    for split in sorted(problem.splits, key="train".__eq__):
        source = f"{problem.records_name}-{split}"
        encoding = EncodingConfig(problem, source, vocabulary, image_size=plan["image_size"], run=uuid.uuid4().hex)
        train = split == "train"
        if train:
            buckets = shuffle.bucket_count(plan["num_shards"])
            encoding = dataclasses.replace(encoding, buckets=buckets, rules=rules, evaluation=evaluation)
        encoding = dataclasses.replace(encoding, keyed_by_content=("duplicates" if train else "overlap") in rules)
        errors = _Errors(plan["on_error"] == "skip", skipped_name(source), report)
        maker = SplitWriter(workspace, split, encoding, plan["num_shards"] if train else 1, errors)
        entry = entries[split] = maker.make(functools.partial(problem.generate, split, tmp_dir), workers)
        if entry is None:
            report(f"{source}: this data has no such split")
            continue
        report(f"{source}: {entry['examples']} examples{_losses(entry)}")
        if missing := entry.get("classes_without_examples"):
            named = ", ".join(missing[:_NAMED_ERRORS]) + ", ..." * (len(missing) > _NAMED_ERRORS)
            report(f"{source}: classes without an example: {len(missing):,} ({named})")
        if encoding.keyed_by_content and not train:
            evaluation += (maker.fingerprints,)
    return entries


def _losses(entry: SplitEntry) -> str:
    """Returns the part of a split's line on examples that were skipped, left out or changed."""
    skipped = f", {entry['skipped']} skipped" if entry["skipped"] else ""
    rules = ", ".join(f"{rule} {count}" for rule, count in entry["left_out"].items())
    changed = "".join(f", {count} {change}" for change, count in entry.get("changed", {}).items())
    return skipped + (f", {sum(entry['left_out'].values())} left out ({rules})" if rules else "") + changed


def _generator_sha256(problem: Problem) -> str:
    """Returns the SHA-256 of the file that defines the problem's generator: records are made again after the file changed."""
    generate: Any = problem.generate
    while isinstance(generate, functools.partial):
        generate = generate.func
    try:
        return hashlib.sha256(Path(inspect.getfile(generate)).read_bytes()).hexdigest()
    except (TypeError, OSError):
        return ""


class _Errors:
    """Handles damaged examples: stops at the first, or reports the first few."""

    def __init__(self, skip: bool, listed_in: str, report: Report) -> None:
        self._named = 0
        self._skip = skip
        self._listed_in = listed_in
        self._report = report

    def __call__(self, errors: list[str]) -> None:
        for error in errors:
            if not self._skip:
                raise DataError(f"{error} (--on_error=skip goes on without it)")
            self._named += 1
            if self._named <= _NAMED_ERRORS:
                self._report(f"skipped: {error}")
            elif self._named == _NAMED_ERRORS + 1:
                self._report(f"skipped: more, all of them listed in {self._listed_in}")
