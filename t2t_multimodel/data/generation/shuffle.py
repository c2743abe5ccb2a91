"""Shuffles any number of records in bounded memory: each record has a random key, and its place is the key's rank.

Records are partitioned among bucket files by the first bits of their keys. A shard is a range of keys, and is written bucket by
bucket. Memory holds the keys and positions of one bucket's records, but not the records.
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
    """Returns uint64 [count], the raw output of a generator whose stream no release of NumPy changes."""
    return np.random.PCG64(list(seed)).random_raw(count)


def bucket_count(num_shards: int) -> int:
    """Returns the number of buckets: a power of two that is at least the number of shards, within bounds.

    Each bucket is an open file.
    """
    return min(max(1 << (num_shards - 1).bit_length(), _MIN_BUCKETS), _MAX_BUCKETS)


def partition(keys: np.ndarray, records: Sequence[bytes], buckets: int) -> dict[int, bytes]:
    """Returns the bytes to append to the file of each bucket: the records whose keys belong there, in order.

    Args:
        keys: uint64 [n].
        records: the n records.
        buckets: the number of buckets.
    """
    numbers = keys >> np.uint64(_KEY_BITS - buckets.bit_length() + 1) if buckets > 1 else np.zeros_like(keys)
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=np.uint64(_KEY_BITS), append=np.uint64(_MAX_BUCKETS + _KEY_BITS)))
    groups = (order[start:end] for start, end in zip(starts, starts[1:], strict=False))
    return {int(numbers[group[0]]): _block(keys[group], [records[i] for i in group.tolist()]) for group in groups}


def shard_bounds(num_shards: int) -> list[int]:
    """Returns the first key of each shard, and after them the number of all keys."""
    return [-(-(number << _KEY_BITS) // num_shards) for number in range(num_shards + 1)]


def in_order(path: Path) -> Iterator[bytes]:
    """Yields all records of a bucket file in the order in which they were added."""
    _, places = _index(path)
    return _records(path, places)


def keys_of(path: Path) -> np.ndarray:
    """Returns the keys of a bucket file, uint64 [n]."""
    return _index(path)[0]


def by_key(paths: Sequence[Path], low: int, high: int, distinct: bool = False) -> Iterator[bytes]:
    """Yields the records with keys from `low` up to, but not including, `high`, in the order of their keys.

    Args:
        paths: the file of every bucket, in order.
        low, high: the range of keys.
        distinct: whether to yield only the first of several records with the same key.
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
    """Returns the keys of a bucket file, uint64 [n], and the offsets at which its records begin and end, int64 [2, n]."""
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
    """Yields the records that begin and end at `places`, int64 [2, n].

    The file is memory-mapped, because it may be larger than memory.
    """
    if not places.size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for start, end in zip(*places.tolist(), strict=True):
            yield content[start:end]
