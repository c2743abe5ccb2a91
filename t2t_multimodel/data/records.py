"""Writes and reads record files: sharded TFRecords of `tf.train.Example`, and the manifest that lists them.

`<records_name>-<split>-00000-of-00004.tfrecord` and `<records_name>.json` lie in one data_dir beside the vocabulary. A reversed
problem reads the records of its forward problem, so all features here are the forward problem's features.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import shlex
import struct
import sys
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import google_crc32c

from t2t_multimodel.data import tf_example
from t2t_multimodel.data.manifest import Manifest, ShardEntry, SplitEntry, features_of
from t2t_multimodel.features import UNNAMED_NORMALIZATION, Feature, Label, Text
from t2t_multimodel.problem import Problem, problems
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.files import write_atomically

if TYPE_CHECKING:
    import tensorflow as tf

# A record in its file is framed by its length, and by checksums of the length and of the content.
_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
_FRAME_BYTES = _LENGTH.size + 2 * _CHECKSUM.size
_WRITTEN_AT_ONCE = 1 << 20
Value = Any  # text: list of ids, or the bytes that `tf_example.pack` makes of them; image and audio: bytes; label: int


class ShardWriter:
    """Writes one shard, as a context manager; the file appears only when it is finished without an error.

    The bytes equal those of TensorFlow's writer, without importing TensorFlow, which would take each worker process seconds.

    Args:
        path: the shard's final name, in an existing folder that no reader looks into.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0
        self._hash = hashlib.sha256()
        # Several machines may write the same shard at once, and two of them may use the same process id.
        self._temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        self._file = self._temporary.open("wb", buffering=0)

    def write(self, records: Iterable[bytes]) -> None:
        """Appends serialised examples."""
        parts: list[bytes] = []
        size = 0
        for record in records:
            length = _LENGTH.pack(len(record))
            parts += (length, _checksum(length), record, _checksum(record))
            self._count += 1
            size += len(record)
            if size > _WRITTEN_AT_ONCE:
                self._append(b"".join(parts))
                parts, size = [], 0
        self._append(b"".join(parts))

    def _append(self, content: bytes) -> None:
        self._hash.update(content)
        left = memoryview(content)
        while left:
            left = left[self._file.write(left) :]

    def finish(self) -> ShardEntry:
        """Closes the file and returns its entry in the manifest."""
        self._file.close()
        size = self._temporary.stat().st_size
        self._temporary.replace(self._path)
        return {"file": self._path.name, "examples": self._count, "bytes": size, "sha256": self._hash.hexdigest()}

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(OSError):  # On a full disk closing may fail as well; the first error is the one to show.
            self._file.close()
        self._temporary.unlink(missing_ok=True)


def _checksum(content: bytes) -> bytes:
    """Returns the masked CRC-32C of `content`, as TFRecord files store it.

    The format masks checksums because a CRC of data that itself contains CRCs is weak.
    """
    value = google_crc32c.value(content)
    return _CHECKSUM.pack(((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def shard_names(records_name: str, split: str, num_shards: int) -> list[str]:
    """Returns the file names of a split's shards, in order."""
    return [f"{records_name}-{split}-{i:05d}-of-{num_shards:05d}.tfrecord" for i in range(num_shards)]


def manifest_path(data_dir: Path, records_name: str) -> Path:
    """Returns the path of the manifest of `records_name`."""
    return Path(data_dir) / f"{records_name}.json"


def as_recorded(problem: Problem, data_dir: Path) -> Problem:
    """Returns `problem` with the text normalization of its records, with their classes if it names none itself, and their words.

    Raises:
        DataError: the records are missing.
    """
    manifest = read_manifest(data_dir, problem.records_name)
    stored = features_of(manifest)
    sides = ("targets", "inputs") if problem.reversed else ("inputs", "targets")
    features: dict[str, Any] = {
        side: dataclasses.replace(feature, normalization=stored[recorded].get("normalization", UNNAMED_NORMALIZATION))
        for side, recorded in zip(("inputs", "targets"), sides, strict=True)
        if isinstance(feature := getattr(problem, side), Text)
    }
    problem = dataclasses.replace(problem, **features)
    targets = manifest["targets"]
    problem = problem.with_classes(targets["classes"]) if problem.find_classes else problem
    return problem.with_words(dict(zip(targets.get("classes", ()), targets.get("words", ()), strict=False)))


def layout(feature: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a feature, as a manifest or a spec's dict holds it, that its records depend on."""
    found = {key: feature.get(key) for key in ("kind", "format", "sample_rate", "classes")}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def write_manifest(data_dir: Path, records_name: str, manifest: Manifest) -> None:
    """Writes the manifest beside its final place and renames it."""
    write_atomically(manifest_path(data_dir, records_name), (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode())


def read_manifest(data_dir: Path | str, records_name: str) -> Manifest:
    """Returns the manifest of complete records.

    Raises:
        DataError: the records are missing or not complete; it names the mm-datagen command that makes them.
    """
    path = manifest_path(Path(data_dir), records_name)
    command = f"mm-datagen --problems={records_name} {shlex.quote(f'--data_dir={data_dir}')}"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        where = f"{data_dir} has no records of {records_name}" if path.parent.is_dir() else f"there is no data_dir {data_dir}"
        raise DataError(f"{where}; make them with: {command}") from None
    except ValueError:
        raise DataError(f"{path} is damaged; remove it and make the records again: {command}") from None
    if not isinstance(manifest, dict) or not manifest.get("complete"):
        raise DataError(f"the records of {records_name} in {data_dir} are not complete; make them with: {command}")
    return cast(Manifest, manifest)


def require_records(data_dir: Path | str, problems: Sequence[Problem]) -> None:
    """Raises a DataError if records of `problems` are missing or not complete.

    It names the one command that makes all of them.
    """
    missing = {}
    for problem in problems:
        try:
            read_manifest(data_dir, problem.records_name)
        except DataError:
            missing[problem.records_name] = _flag_of(problem)
    if len(missing) == 1 and not any(missing.values()):
        read_manifest(data_dir, next(iter(missing)))
    if missing:
        flags = "".join(sorted({f" {flag}" for flag in missing.values() if flag}))
        command = f"mm-datagen{flags} --problems={','.join(missing)} {shlex.quote(f'--data_dir={data_dir}')}"
        where = f"{data_dir} has no complete records of {', '.join(missing)}"
        raise DataError(f"{where if Path(data_dir).is_dir() else f'there is no data_dir {data_dir}'}; make them with: {command}")


def _flag_of(problem: Problem) -> str:
    """Returns the flag that makes a problem known that is not built in; "" for a built-in problem.

    For a problem that a run alone knows the flag has a placeholder.
    """
    description = next(iter(getattr(problem.generate, "args", ())), None)
    if file := getattr(description, "file", None):
        return shlex.quote(f"--problem_file={file}")
    if problem.name not in problems and problem.records_name not in problems:
        return "--problem_file=FILE"
    module = getattr(problem.generate, "__module__", "") or ""
    known = module.startswith("usr_dir_") and module in sys.modules
    return shlex.quote(f"--usr_dir={sys.modules[module].__file__}") if known else ""


def manifests(data_dir: Path) -> dict[str, Manifest]:
    """Returns the manifests of all records in a data_dir by records name; unfinished records are included."""
    found: dict[str, Manifest] = {}
    for path in sorted(data_dir.glob("*.json")):
        with contextlib.suppress(OSError, ValueError):
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict) and "vocabulary_sha256" in content:
                found[path.stem] = cast(Manifest, content)
    return found


def changed_lines(data_dir: Path, records_names: Iterable[str]) -> list[str]:
    """Returns one line per split with examples that mm-datagen changed (for example by resampling): the changes and how many."""
    lines = []
    for name in dict.fromkeys(records_names):
        for split, entry in read_manifest(data_dir, name)["splits"].items():
            if changed := entry.get("changed"):
                counted = ", ".join(f"{count:,} {change}" for change, count in changed.items())
                lines.append(f"{name} {split}: of {entry['examples']:,} examples {counted}")
    return lines


def shard_paths(data_dir: Path | str, records_name: str, split: str) -> list[str]:
    """Returns the paths of a split's shards, in order.

    Raises:
        DataError: the records or the split are missing, or a file is missing or of a different size than in the manifest.
    """
    manifest = read_manifest(data_dir, records_name)
    if split not in manifest["splits"]:
        raise DataError(f"the records of {records_name} have no split {split!r}; there are: {', '.join(manifest['splits'])}")
    damaged = damaged_shards(data_dir, [manifest["splits"][split]])
    if damaged:
        command = f"mm-datagen --problems={records_name} {shlex.quote(f'--data_dir={data_dir}')}"
        raise DataError(f"{Path(data_dir) / damaged[0]} is missing or not as its manifest says; make it again: {command}")
    return [str(Path(data_dir) / shard["file"]) for shard in manifest["splits"][split]["shards"]]


def damaged_records(data_dir: Path, records_name: str, split: str) -> DataError:
    """Returns the DataError for records that TensorFlow finds damaged; it names the command that finds the damaged place."""
    command = f"mm-datagen --problems={records_name} --data_dir={data_dir} --verify"
    return DataError(f"the records of {records_name} {split} in {data_dir} are damaged; this says where: {command}")


def damaged_shards(data_dir: Path | str, splits: Iterable[SplitEntry], checksums: bool = False) -> list[str]:
    """Returns the names of the files that are missing, or differ in size from their entries in `splits`.

    Args:
        checksums: also compare the SHA-256 of each file, which reads all of it.
    """
    return [
        shard["file"]
        for split in splits
        for shard in split["shards"]
        if not _is_whole(Path(data_dir) / shard["file"], shard, checksums)
    ]


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def serialise_examples(
    problem: Problem, inputs: Sequence[Value], targets: Sequence[Value], references: Sequence[Sequence[str]]
) -> list[bytes]:
    """Returns a serialised record per example.

    Args:
        problem: the forward problem.
        inputs, targets: per example the token ids of a text (packed or not), the bytes of an image file, PCM bytes of a sound, or
            the index of a class.
        references: per example several correct targets, as text, or none.
    """
    encoded = [[text.encode() for text in several] for several in references]
    rows = zip(_values(problem.inputs, inputs), _values(problem.targets, targets), encoded, strict=True)
    records: list[bytes] = []
    for has_references, group in itertools.groupby(rows, lambda row: bool(row[2])):
        keys = ("inputs", "targets", "references") if has_references else ("inputs", "targets")
        records += tf_example.serialise(keys, [row[: len(keys)] for row in group])
    return records


def parse_example(
    serialised: tf.Tensor, inputs: Feature, targets: Feature, with_references: bool = False
) -> dict[str, tf.Tensor]:
    """Returns the values of one record or of a batch of records; works inside and outside of tf.data.

    Args:
        serialised: one record, string [], or a batch of records, string [B].
        inputs, targets: the forward problem's features.
        with_references: also read "references".

    Returns:
        "inputs" and "targets": int64 [L] for text, string [] for images (the file's bytes) and sound (PCM), int64 [] for classes.
        "references": string [n]. Values of a batch have a leading dimension B; text is padded with 0, references with "".
    """
    import tensorflow as tf

    schema = {"inputs": _schema(inputs), "targets": _schema(targets)}
    if with_references:
        schema["references"] = tf.io.RaggedFeature(tf.string)
    single = serialised.shape.rank == 0
    parsed = tf.io.parse_single_example(serialised, schema) if single else tf.io.parse_example(serialised, schema)
    return {name: value.to_tensor() if isinstance(value, tf.RaggedTensor) else value for name, value in parsed.items()}


def first_bad_record(path: Path) -> int | None:
    """Returns the offset in bytes of the first record with a wrong checksum or length; None if there is none."""
    import tensorflow as tf

    offset = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)):
            offset += _FRAME_BYTES + len(record.numpy())
    except tf.errors.DataLossError:
        return offset
    return None


def _is_whole(path: Path, shard: ShardEntry, checksum: bool) -> bool:
    if not path.is_file() or path.stat().st_size != shard["bytes"]:
        return False
    return not checksum or file_sha256(path) == shard["sha256"]


def _values(feature: Feature, values: Sequence[Value]) -> Sequence[bytes | list[bytes]]:
    if isinstance(feature, Text):
        return [value if isinstance(value, bytes) else tf_example.pack(value) for value in values]
    return [tf_example.pack([value]) if isinstance(feature, Label) else [value] for value in values]


def _schema(feature: Feature) -> Any:
    import tensorflow as tf

    if isinstance(feature, Text):
        return tf.io.RaggedFeature(tf.int64)
    return tf.io.FixedLenFeature([], tf.int64 if isinstance(feature, Label) else tf.string)
