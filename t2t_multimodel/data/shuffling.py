"""A shuffle of any number of records in bounded memory: each has a random key, and its place is the key's rank.

Records are dealt to bucket files by the first bits of their keys, as they come. Shards are ranges of keys; a shard's records are
the buckets' in turn, each sorted in memory, and one that is too large for that is read several times, a range of keys each time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

_KEY_BITS = 64
_MIN_BUCKETS, _MAX_BUCKETS = 64, 512
_SORTED_BYTES = 128 << 20
_HEAD = struct.Struct("<QQ")


def random_keys(seed: Sequence[int], count: int) -> np.ndarray:
    """uint64 [count]; the raw output of a generator whose stream no release of NumPy changes."""
    return np.random.PCG64(list(seed)).random_raw(count)


def bucket_count(num_shards: int) -> int:
    """A power of two: as many as there are shards, within bounds (each bucket is an open file)."""
    return min(max(1 << (num_shards - 1).bit_length(), _MIN_BUCKETS), _MAX_BUCKETS)


def deal(keys: np.ndarray, records: Sequence[bytes], buckets: int) -> dict[int, bytes]:
    """What is to be appended to the file of each bucket: the records whose keys (uint64 [n]) belong there, in order."""
    numbers = keys >> np.uint64(_KEY_BITS - buckets.bit_length() + 1) if buckets > 1 else np.zeros_like(keys)
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=np.uint64(_KEY_BITS), append=np.uint64(_MAX_BUCKETS + _KEY_BITS)))
    groups = (order[start:end] for start, end in zip(starts, starts[1:], strict=False))
    return {int(numbers[group[0]]): _block(keys[group], [records[i] for i in group.tolist()]) for group in groups}


def shard_bounds(num_shards: int) -> list[int]:
    """The first key of each shard, and behind them the number of all keys."""
    return [-(-(number << _KEY_BITS) // num_shards) for number in range(num_shards + 1)]


def in_order(path: Path) -> Iterator[list[bytes]]:
    """All records of a bucket file as they came, in lists that memory holds."""
    with path.open("rb") as file:
        for _, records in _blocks(file):
            yield records


def keys_of(path: Path) -> np.ndarray:
    """The keys of a bucket file, uint64 [n]."""
    with path.open("rb") as file:
        return np.concatenate([np.zeros(0, np.uint64), *(keys for keys, _ in _blocks(file))])


def by_key(paths: Sequence[Path], low: int, high: int, distinct: bool = False) -> Iterator[list[bytes]]:
    """The records with keys from `low` to `high` (exclusive) in the order of their keys, in lists that memory holds.

    Args:
        paths: the file of every bucket, in order.
        low, high: a range of keys.
        distinct: of the records with the same key only the one that came first.
    """
    width = (1 << _KEY_BITS) // len(paths)
    for number in range(low // width, (high - 1) // width + 1):
        passes = max(1, -(-paths[number].stat().st_size // _SORTED_BYTES))
        for step in range(passes):
            start, end = (number * width + width * i // passes for i in (step, step + 1))
            start, end = max(start, low), min(end, high)
            if start < end:
                yield _sorted(paths[number], start, end, distinct)


def _sorted(path: Path, low: int, high: int, distinct: bool) -> list[bytes]:
    found: list[bytes] = []
    found_keys = [np.zeros(0, np.uint64)]
    with path.open("rb") as file:
        for keys, records in _blocks(file):
            wanted = (keys >= np.uint64(low)) & (keys <= np.uint64(high - 1))
            found_keys.append(keys[wanted])
            found += records if wanted.all() else [records[i] for i in np.flatnonzero(wanted)]
    keys = np.concatenate(found_keys)
    order = np.argsort(keys, kind="stable")
    if distinct:
        order = order[np.flatnonzero(np.diff(keys[order], prepend=~keys[order[:1]]))]
    return [found[i] for i in order.tolist()]


def _block(keys: np.ndarray, records: Sequence[bytes]) -> bytes:
    lengths = np.fromiter(map(len, records), np.uint64, len(records))
    return b"".join([_HEAD.pack(len(records), int(lengths.sum())), keys.tobytes(), lengths.tobytes(), *records])


def _blocks(file: BinaryIO) -> Iterator[tuple[np.ndarray, list[bytes]]]:
    """The keys and records of each block."""
    while head := file.read(_HEAD.size):
        count, size = _HEAD.unpack(head)
        keys, lengths = np.frombuffer(file.read(16 * count), np.uint64).reshape(2, count)
        content = file.read(size)
        ends = np.cumsum(lengths).tolist()
        yield keys, [content[start:end] for start, end in zip([0, *ends], ends, strict=False)]
