"""Makes the shards of one split from raw examples, in two steps; each step resumes after a killed run.

Examples are encoded chunk by chunk, possibly in several processes, and partitioned among bucket files. Every few seconds the
number of examples in the buckets is saved. Then the shards are written one after another. Evaluation splits keep their order and
have one shard.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from tqdm import tqdm

from t2t_multimodel.data.generation import shuffle
from t2t_multimodel.data.generation.encode import EncodedChunk, EncodingConfig, chunks, encode_chunk
from t2t_multimodel.data.generation.text_counts import COUNTS
from t2t_multimodel.data.generation.workers import Workers
from t2t_multimodel.data.generation.workspace import Workspace
from t2t_multimodel.data.manifest import ShardEntry, SplitEntry
from t2t_multimodel.data.records import ShardWriter, shard_names
from t2t_multimodel.features import Label
from t2t_multimodel.problem import Example
from t2t_multimodel.utils.errors import DataError

_SECONDS_BETWEEN_NOTES = 10.0


def skipped_name(source: str) -> str:
    """Returns the name of the file that lists the skipped examples of a split, one per line; `source` is the encoding's."""
    return f"{source}-skipped.txt"


class Shard(NamedTuple):
    """The content of one shard.

    Attributes:
        path: the file to write.
        buckets: the files of all buckets. A single bucket has all records in their order, and is one shard.
        low, high: the range of keys, without `high`.
        distinct: whether to keep only the first of several records with the same key.
    """

    path: Path
    buckets: tuple[Path, ...]
    low: int
    high: int
    distinct: bool

    @property
    def name(self) -> str:
        """Returns a name that no other shard has."""
        return self.path.name


def write_shard(shard: Shard) -> ShardEntry:
    """Writes a shard and returns its entry in the manifest."""
    if len(shard.buckets) > 1:
        records = shuffle.by_key(shard.buckets, shard.low, shard.high, shard.distinct)
    else:
        records = shuffle.in_order(shard.buckets[0])
    with ShardWriter(shard.path) as writer:
        writer.write(records)
        return writer.finish()


class SplitWriter:
    """Makes the shards of one split in a workspace.

    Args:
        workspace: a workspace that has been entered.
        split: "train", "dev" or "test".
        encoding: how examples become records.
        num_shards: the number of files among which the records are spread.
        on_errors: called with the messages of damaged examples, in order; it may raise to stop.
    """

    def __init__(
        self, workspace: Workspace, split: str, encoding: EncodingConfig, num_shards: int, on_errors: Callable[[list[str]], None]
    ) -> None:
        self._workspace = workspace
        self._split = split
        self._encoding = encoding
        self._on_errors = on_errors
        self._names = shard_names(encoding.problem.records_name, split, num_shards)
        self._buckets = [workspace.folder / f"{split}-{i:03d}.bucket" for i in range(encoding.buckets)]
        self._skipped = workspace.folder / skipped_name(encoding.source)
        self._files = [*self._buckets, self._skipped]
        self._nothing = {
            "consumed": 0,
            "made": 0,
            "skipped": 0,
            "left_out": {},
            "changed": {},
            "classes": {},
            "text": {},
            "sizes": [0] * len(self._files),
        }
        self._state: dict[str, Any] = self._nothing | {"dealt": False, "shards": [], "done": False} | workspace.state(split)

    @property
    def fingerprints(self) -> Path:
        """Returns the file with the fingerprints of the examples.

        It exists if keys depend on the content and the order is kept.
        """
        return self._workspace.folder / f"{self._split}.keys"

    def make(self, examples: Callable[[], Iterable[Example]], workers: Workers) -> SplitEntry | None:
        """Does what is left to do and returns the split's entry in the manifest; None for a "test" that is not there.

        Args:
            examples: returns all raw examples of the split, the same ones in each call.
            workers: encode chunks and write shards.

        Raises:
            DataError: there is no example.
        """
        state = self._state
        if not state["dealt"]:
            self._partition(examples(), workers)
        if not state["consumed"] and self._split == "test":
            return None
        if not state["made"]:
            dropped = state["skipped"] + sum(state["left_out"].values())
            first = f"; the first: {self._first_skipped()}" if state["skipped"] else ""
            reason = f": all {dropped} were skipped{first}" if dropped else ""
            raise DataError(f"{self._encoding.source} has no examples{reason}")
        if not state["done"]:
            self._write_shards(workers)
        return self._entry(state)

    def _entry(self, state: dict[str, Any]) -> SplitEntry:
        count = sum(shard["examples"] for shard in state["shards"])
        left_out = Counter(state["left_out"]) + Counter(duplicates=state["made"] - count)
        entry: SplitEntry = {
            "examples": count,
            "shards": state["shards"],
            "skipped": state["skipped"],
            "left_out": dict(left_out),
        }
        if state["changed"]:
            entry["changed"] = state["changed"]
        if isinstance(classes := self._encoding.problem.targets, Label) and self._split == "train":
            if missing := [name for i, name in enumerate(classes.classes) if str(i) not in state["classes"]]:
                entry["classes_without_examples"] = missing
        if sides := sorted({key.partition(".")[0] for key in state["text"]}):
            entry["text"] = {side: {name: state["text"].get(f"{side}.{name}", 0) for name in COUNTS} for side in sides}
        if state["skipped"]:
            entry["skipped_list"] = self._skipped.name
        return entry

    def _first_skipped(self) -> str:
        with self._skipped.open(encoding="utf-8") as file:
            return file.readline().rstrip("\n").removeprefix(f"{self._encoding.source}, ")

    def _partition(self, examples: Iterable[Example], workers: Workers) -> None:
        state = self._state
        sized = zip(self._files, state["sizes"], strict=True)
        if any(not path.exists() or path.stat().st_size < size for path, size in sized if size):
            state |= self._nothing
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(path.open("ab")) for path in self._files]
            for file, size in zip(files, state["sizes"], strict=True):
                # If a file is cut to nothing, Ext4 writes it to the disk when it is closed, which takes time.
                if file.tell() != size:
                    file.truncate(size)
                    file.seek(size)
            bar = stack.enter_context(self._bar())
            noted = time.monotonic()
            raw = chunks(self._encoding, examples, state["consumed"])
            for encoded in workers.map(encode_chunk, raw, self._workspace.spool):
                self._add(encoded, files)
                bar.update(encoded.consumed)
                if time.monotonic() - noted > _SECONDS_BETWEEN_NOTES:
                    self._save_progress(files)
                    noted = time.monotonic()
            self._save_progress(files, dealt=True)

    def _bar(self) -> tqdm:
        initial, shown = self._state["consumed"], sys.stderr.isatty()
        return tqdm(desc=self._encoding.source, unit=" examples", initial=initial, leave=False, disable=not shown)

    def _add(self, encoded: EncodedChunk, files: Sequence[BinaryIO]) -> None:
        state = self._state
        self._on_errors(encoded.errors)
        files[-1].write("".join(f"{error}\n" for error in encoded.errors).encode(errors="backslashreplace"))
        for bucket, block in encoded.blocks.items():
            files[bucket].write(block)
        state["consumed"] += encoded.consumed
        state["skipped"] += len(encoded.errors)
        state["made"] += encoded.consumed - len(encoded.errors) - sum(encoded.left_out.values())
        for counts in ("left_out", "changed", "classes", "text"):
            state[counts] = dict(Counter(state[counts]) + Counter(getattr(encoded, counts)))

    def _save_progress(self, files: Sequence[BinaryIO], dealt: bool = False) -> None:
        for file in files:
            file.flush()
        self._state |= {"sizes": [file.tell() for file in files], "dealt": dealt}
        self._workspace.save(self._split, self._state)

    def _write_shards(self, workers: Workers) -> None:
        state, spool, buckets = self._state, self._workspace.spool, tuple(self._buckets)
        ranges = itertools.pairwise(shuffle.shard_bounds(len(self._names)))
        distinct = self._encoding.keyed_by_content
        shards = [Shard(spool / name, buckets, *keys, distinct) for name, keys in zip(self._names, ranges, strict=True)]
        left = shards[len(state["shards"]) :]
        for entry in workers.map(write_shard, left, spool) if len(left) > 1 else map(write_shard, left):
            self._workspace.keep(entry["file"])
            state["shards"].append(entry)
            self._workspace.save(self._split, state)
        if distinct and len(buckets) == 1:
            shuffle.keys_of(self._buckets[0]).tofile(self.fingerprints)
        state["done"] = True
        self._workspace.save(self._split, state)
        for path in self._buckets:
            path.unlink()
