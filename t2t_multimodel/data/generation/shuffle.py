"""A shuffle of any number of records in bounded memory: each has a random key, and its place is the key's rank.

Records are dealt to bucket files by the first bits of their keys, as they come. Shards are ranges of keys; a shard's records are
the buckets' in turn, for each of which memory holds the keys and the places of its records, but not the records.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

_KEY_BITS = 64
_MIN_BUCKETS, _MAX_BUCKETS = 64, 512
_HEAD = struct.Struct("<QQ")


def random_keys(seed: Sequence[int], count: int) -> np.ndarray:
    """uint64 [count]; the raw output of a generator whose stream no release of NumPy changes."""
    return np.random.PCG64(list(seed)).random_raw(count)


def bucket_count(num_shards: int) -> int:
    """A power of two: as many as there are shards, within bounds (each bucket is an open file)."""
    return min(max(1 << (num_shards - 1).bit_length(), _MIN_BUCKETS), _MAX_BUCKETS)


def partition(keys: np.ndarray, records: Sequence[bytes], buckets: int) -> dict[int, bytes]:
    """What is to be appended to the file of each bucket: the records whose keys (uint64 [n]) belong there, in order."""
    numbers = keys >> np.uint64(_KEY_BITS - buckets.bit_length() + 1) if buckets > 1 else np.zeros_like(keys)
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=np.uint64(_KEY_BITS), append=np.uint64(_MAX_BUCKETS + _KEY_BITS)))
    groups = (order[start:end] for start, end in zip(starts, starts[1:], strict=False))
    return {int(numbers[group[0]]): _block(keys[group], [records[i] for i in group.tolist()]) for group in groups}


def shard_bounds(num_shards: int) -> list[int]:
    """The first key of each shard, and behind them the number of all keys."""
    return [-(-(number << _KEY_BITS) // num_shards) for number in range(num_shards + 1)]


def in_order(path: Path) -> Iterator[bytes]:
    """All records of a bucket file as they came."""
    _, places = _index(path)
    return _records(path, places)


def keys_of(path: Path) -> np.ndarray:
    """The keys of a bucket file, uint64 [n]."""
    return _index(path)[0]


def by_key(paths: Sequence[Path], low: int, high: int, distinct: bool = False) -> Iterator[bytes]:
    """The records with keys from `low` to `high` (exclusive) in the order of their keys.

    Args:
        paths: the file of every bucket, in order.
        low, high: a range of keys.
        distinct: of the records with the same key only the one that came first.
    """
    width = (1 << _KEY_BITS) // len(paths)
    for path in paths[low // width : (high - 1) // width + 1]:
        keys, places = _index(path)
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        wanted = (keys >= np.uint64(low)) & (keys <= np.uint64(high - 1))
        if distinct:
            wanted &= np.diff(keys, prepend=~keys[:1]) != 0
        yield from _records(path, places[:, order[wanted]])


def _block(keys: np.ndarray, records: Sequence[bytes]) -> bytes:
    lengths = np.fromiter(map(len, records), np.uint64, len(records))
    return b"".join([_HEAD.pack(len(records), int(lengths.sum())), keys.tobytes(), lengths.tobytes(), *records])


def _index(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The keys of a bucket file, uint64 [n], and where its records begin and end, int64 [2, n]."""
    all_keys, all_places = [np.zeros(0, np.uint64)], [np.zeros((2, 0), np.int64)]
    with path.open("rb") as file:
        while head := file.read(_HEAD.size):
            count, size = _HEAD.unpack(head)
            keys, lengths = np.frombuffer(file.read(16 * count), np.uint64).reshape(2, count)
            ends = file.tell() + np.cumsum(lengths.astype(np.int64))
            all_keys.append(keys)
            all_places.append(np.stack([ends - lengths.astype(np.int64), ends]))
            file.seek(size, os.SEEK_CUR)
    return np.concatenate(all_keys), np.concatenate(all_places, axis=1)


def _records(path: Path, places: np.ndarray) -> Iterator[bytes]:
    """The records that begin and end at `places`, int64 [2, n]; the file is mapped, since memory may not hold it."""
    if not places.size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for start, end in zip(*places.tolist(), strict=True):
            yield content[start:end]
