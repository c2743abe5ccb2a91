"""A shuffle's order depends on the keys alone, not on the number of buckets or on the memory for sorting."""

import tracemalloc

import numpy as np
import pytest

from t2t_multimodel.data.generation import shuffle

COUNT = 3000


def dealt(folder, keys, records, buckets, chunk=100):
    paths = [folder / f"{i}.bucket" for i in range(buckets)]
    for path in paths:
        path.touch()
    for start in range(0, len(records), chunk):
        blocks = shuffle.partition(keys[start : start + chunk], records[start : start + chunk], buckets)
        for bucket, block in blocks.items():
            with paths[bucket].open("ab") as file:
                file.write(block)
    return paths


def in_shards(paths, num_shards, distinct=False):
    bounds = shuffle.shard_bounds(num_shards)
    shards = [shuffle.by_key(paths, low, high, distinct) for low, high in zip(bounds, bounds[1:], strict=False)]
    return [list(shard) for shard in shards]


@pytest.fixture
def numbered():
    """Returns keys, and records of different lengths, some of them empty."""
    return shuffle.random_keys([7], COUNT), [b"%d" % i * (i % 5) for i in range(COUNT)]


@pytest.mark.parametrize(("buckets", "num_shards"), [(2, 1), (64, 3), (64, 100), (512, 3), (512, 100)])
def test_records_come_back_in_the_order_of_their_keys(tmp_path, numbered, buckets, num_shards):
    keys, records = numbered
    shards = in_shards(dealt(tmp_path, keys, records, buckets), num_shards)
    assert sum(shards, []) == [records[i] for i in np.argsort(keys)]
    assert len(shards) == num_shards
    assert max(map(len, shards)) < 1.3 * COUNT / num_shards + 20


def test_few_records_of_a_bucket_are_in_memory_at_once(tmp_path):
    paths = dealt(tmp_path, shuffle.random_keys([7], 40), [bytes(1 << 20)] * 40, 1)
    tracemalloc.start()
    try:
        assert sum(map(len, shuffle.by_key(paths, 0, 1 << 64))) == 40 << 20
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_one_bucket_keeps_the_order(tmp_path, numbered):
    keys, records = numbered
    path = dealt(tmp_path, keys, records, 1)[0]
    assert list(shuffle.in_order(path)) == records
    assert shuffle.keys_of(path).tolist() == keys.tolist()


def test_of_equal_keys_the_first_stays(tmp_path):
    keys = np.array([5, 0, 1 << 63, 5, 0, 9, 5], np.uint64)
    records = [b"a", b"b", b"c", b"d", b"e", b"f", b"g"]
    paths = dealt(tmp_path, keys, records, 64, chunk=2)
    assert in_shards(paths, 2, distinct=True) == [[b"b", b"a", b"f"], [b"c"]]
    assert in_shards(paths, 2) == [[b"b", b"e", b"a", b"d", b"g", b"f"], [b"c"]]


def test_every_place_is_as_likely_for_the_first_record():
    places = [np.argsort(shuffle.random_keys([seed], 10)).tolist().index(0) for seed in range(2000)]
    counts = np.bincount(places, minlength=10)
    assert counts.min() > 140 and counts.max() < 260


def test_keys_stay_the_same_from_release_to_release():
    assert shuffle.random_keys([1, 2], 2).tolist() == shuffle.random_keys([1, 2], 3).tolist()[:2]
    assert shuffle.random_keys([2017, 0], 2).tolist() == [17375491743437589226, 9864656735216854980]
