"""From raw data to a data_dir: the shared vocabulary first, then each problem's records and manifest."""

from __future__ import annotations

import contextlib
import json
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from t2t_multimodel.data import records
from t2t_multimodel.data.examples import serialised_records
from t2t_multimodel.data.problem import DataError, Problem
from t2t_multimodel.data.vocabulary import FILE_NAME, Vocabulary
from t2t_multimodel.data.vocabulary_sample import Report, ensure_vocabulary

_SHUFFLED_BYTES = 256 << 20
_NAMED_ERRORS = 20


def print_line(line: str) -> None:
    """A line on stderr, clear of a progress bar."""
    tqdm.write(line, file=sys.stderr)


def generate(
    problems: Sequence[Problem],
    data_dir: Path,
    tmp_dir: Path,
    vocab_size: int,
    num_shards: int = 4,
    on_error: str = "fail",
    verify: bool = False,
    report: Report = print_line,
) -> dict[str, records.Manifest]:
    """Writes vocabulary and records of `problems` to `data_dir`; what is there and complete is left alone.

    Args:
        problems: a problem and its reverse share records.
        data_dir: made if missing.
        tmp_dir: where the raw data lies.
        vocab_size: pieces of the vocabulary, if there is none in `data_dir` yet.
        num_shards: files of a train split; other splits have one.
        on_error: what a damaged example does: "fail" stops there, "skip" names it, counts it and goes on.
        verify: compare the checksums, not only the sizes, of records that exist.
        report: takes lines for the user.

    Returns:
        The manifest of each problem's records, by records name.

    Raises:
        DataError: raw data is missing or damaged, or records exist that were made with another vocabulary.
    """
    forward = {problem.records_name: problem.forward() for problem in problems}
    _check_raw_data([p for name, p in forward.items() if not records.manifest_path(data_dir, name).exists()], tmp_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    vocabulary = ensure_vocabulary(list(forward.values()), data_dir, tmp_dir, vocab_size, report)
    manifests = {name: _complete(problem, data_dir, vocabulary, verify, report) for name, problem in forward.items()}
    for name, problem in forward.items():
        if manifests[name] is None:
            manifests[name] = _write_records(problem, data_dir, tmp_dir, vocabulary, num_shards, on_error == "skip", report)
        else:
            report(f"{name}: complete already")
    return {name: manifest for name, manifest in manifests.items() if manifest is not None}


def _check_raw_data(problems: Sequence[Problem], tmp_dir: Path) -> None:
    """Raises one DataError of all that the problems' checks find missing."""
    errors = []
    for problem in problems:
        try:
            problem.check(tmp_dir)
        except DataError as error:
            errors.append(error)
    if errors:
        raise DataError("; ".join(map(str, errors))) from errors[0]


def _complete(problem: Problem, data_dir: Path, vocabulary: Vocabulary, verify: bool, report: Report) -> records.Manifest | None:
    """The manifest, if nothing needs to be made."""
    name = problem.records_name
    try:
        manifest = records.read_manifest(data_dir, name)
    except DataError:
        return None
    if manifest["vocabulary_sha256"] != vocabulary.sha256:
        raise DataError(
            f"the records of {name} in {data_dir} were made with another vocabulary than {data_dir / FILE_NAME}; put that one "
            f"back, use another --data_dir, or remove {records.manifest_path(data_dir, name)} to have the records made again"
        )
    wanted = _description(problem)
    changed = [key for key in ("inputs", "targets") if _layout(manifest[key]) != _layout(wanted[key])]
    if [*manifest["splits"], *manifest.get("empty_splits", ())] != list(problem.splits):
        changed.append("splits")
    damaged = records.damaged_shards(data_dir, manifest, verify)
    if changed or damaged:
        reason = f"its {' and '.join(changed)} changed" if changed else f"{damaged[0]} is missing or damaged"
        report(f"{name}: made again, because {reason}")
        return None
    return manifest


def _description(problem: Problem) -> dict[str, Any]:
    return json.loads(json.dumps(problem.spec().to_dict()))


def _layout(feature: dict[str, Any]) -> dict[str, Any]:
    """The part of a feature that its records depend on."""
    return {key: feature.get(key) for key in ("kind", "format", "sample_rate", "classes")}


def _write_records(
    problem: Problem, data_dir: Path, tmp_dir: Path, vocabulary: Vocabulary, num_shards: int, skip: bool, report: Report
) -> records.Manifest:
    """Writes all splits beside what may be there, and changes places only once all are whole."""
    name = problem.records_name
    splits: dict[str, Any] = {}
    empty: list[str] = []
    manifest: records.Manifest = {"problem": name, "source": problem.source, "vocabulary_sha256": vocabulary.sha256}
    manifest |= {key: _description(problem)[key] for key in ("inputs", "targets")}
    manifest |= {"splits": splits, "empty_splits": empty, "complete": True}
    if problem.source:
        report(f"{name}: {problem.source}")
    with contextlib.ExitStack() as stack:
        writers = []
        for split in problem.splits:
            writer = records.ShardWriter(data_dir, name, split, num_shards if split == "train" else 1)
            stack.enter_context(writer)
            written = _write_split(problem, split, tmp_dir, vocabulary, writer, skip, report)
            if written:
                writers.append(writer)
                splits[split] = written
            else:
                empty.append(split)
        records.manifest_path(data_dir, name).unlink(missing_ok=True)
        for writer in writers:
            writer.publish()
        records.write_manifest(data_dir, name, manifest)
    current = {path for writer in writers for path in writer.paths}
    for stale in set(data_dir.glob(f"{name}-*-?????-of-?????.tfrecord")) - current:
        stale.unlink()
    return manifest


def _write_split(
    problem: Problem, split: str, tmp_dir: Path, vocabulary: Vocabulary, writer: records.ShardWriter, skip: bool, report: Report
) -> dict[str, Any]:
    source = f"{problem.records_name}-{split}"
    errors = _Errors(skip, report)
    made = serialised_records(problem, problem.generate(split, tmp_dir), vocabulary, source, errors)
    if split == "train":
        made = _shuffled(made, random.Random(source))
    count = 0
    for record in tqdm(made, desc=source, unit=" examples", disable=not sys.stderr.isatty(), leave=False):
        writer.write(count % len(writer.paths), record)
        count += 1
    if not count and split == "test" and not errors.count:
        report(f"{source}: this data has no such split")
        return {}
    if not count:
        raise DataError(f"{source} has no examples" + (f": all {errors.count} were skipped" if errors.count else ""))
    shards = writer.finish()
    report(f"{source}: {count} examples" + (f", {errors.count} skipped" if errors.count else ""))
    return {"examples": count, "shards": shards, "skipped": errors.count}


class _Errors:
    """What to do with a damaged example: stop, or name it (the first few) and count it."""

    def __init__(self, skip: bool, report: Report) -> None:
        self.count = 0
        self._skip = skip
        self._report = report

    def __call__(self, error: DataError) -> None:
        if not self._skip:
            raise DataError(f"{error} (--on_error=skip goes on without it)") from error
        self.count += 1
        if self.count <= _NAMED_ERRORS:
            self._report(f"skipped: {error}")
        elif self.count == _NAMED_ERRORS + 1:
            self._report("skipped: more, counted in the manifest")


def _shuffled(items: Iterable[bytes], rng: random.Random) -> Iterator[bytes]:
    """The items in another order: shuffled in blocks of `_SHUFFLED_BYTES`."""
    block: list[bytes] = []
    size = 0
    for item in items:
        block.append(item)
        size += len(item)
        if size >= _SHUFFLED_BYTES:
            rng.shuffle(block)
            yield from block
            block, size = [], 0
    rng.shuffle(block)
    yield from block
