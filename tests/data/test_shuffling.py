"""The order of a shuffle depends on the keys alone, whatever the number of buckets and the memory that sorting may take."""

import numpy as np
import pytest

from t2t_multimodel.data import shuffling

COUNT = 3000


def dealt(folder, keys, records, buckets, chunk=100):
    paths = [folder / f"{i}.bucket" for i in range(buckets)]
    for path in paths:
        path.touch()
    for start in range(0, len(records), chunk):
        blocks = shuffling.deal(keys[start : start + chunk], records[start : start + chunk], buckets)
        for bucket, block in blocks.items():
            with paths[bucket].open("ab") as file:
                file.write(block)
    return paths


def in_shards(paths, num_shards, distinct=False):
    bounds = shuffling.shard_bounds(num_shards)
    shards = [shuffling.by_key(paths, low, high, distinct) for low, high in zip(bounds, bounds[1:], strict=False)]
    return [[record for records in shard for record in records] for shard in shards]


@pytest.fixture
def numbered():
    """Keys, and records of different lengths, some of them empty."""
    return shuffling.random_keys([7], COUNT), [b"%d" % i * (i % 5) for i in range(COUNT)]


@pytest.mark.parametrize(
    ("buckets", "num_shards", "memory"),
    [(2, 1, 5000), (64, 3, 1 << 20), (64, 3, 50), (64, 100, 500), (512, 3, 50), (512, 100, 1 << 20)],
)
def test_records_come_back_in_the_order_of_their_keys(tmp_path, monkeypatch, numbered, buckets, num_shards, memory):
    monkeypatch.setattr(shuffling, "_SORTED_BYTES", memory)
    keys, records = numbered
    shards = in_shards(dealt(tmp_path, keys, records, buckets), num_shards)
    assert sum(shards, []) == [records[i] for i in np.argsort(keys)]
    assert len(shards) == num_shards
    assert max(map(len, shards)) < 1.3 * COUNT / num_shards + 20


def test_no_list_of_records_is_larger_than_memory_may_hold(tmp_path, monkeypatch, numbered):
    monkeypatch.setattr(shuffling, "_SORTED_BYTES", 4000)
    lists = shuffling.by_key(dealt(tmp_path, *numbered, 2), 0, 1 << 64)
    assert max(sum(map(len, records)) for records in lists) < 4000


def test_one_bucket_keeps_the_order(tmp_path, numbered):
    keys, records = numbered
    path = dealt(tmp_path, keys, records, 1)[0]
    assert [record for part in shuffling.in_order(path) for record in part] == records
    assert shuffling.keys_of(path).tolist() == keys.tolist()


def test_of_equal_keys_the_first_stays(tmp_path):
    keys = np.array([5, 0, 1 << 63, 5, 0, 9, 5], np.uint64)
    records = [b"a", b"b", b"c", b"d", b"e", b"f", b"g"]
    paths = dealt(tmp_path, keys, records, 64, chunk=2)
    assert in_shards(paths, 2, distinct=True) == [[b"b", b"a", b"f"], [b"c"]]
    assert in_shards(paths, 2) == [[b"b", b"e", b"a", b"d", b"g", b"f"], [b"c"]]


def test_every_place_is_as_likely_for_the_first_record():
    places = [np.argsort(shuffling.random_keys([seed], 10)).tolist().index(0) for seed in range(2000)]
    counts = np.bincount(places, minlength=10)
    assert counts.min() > 140 and counts.max() < 260


def test_keys_stay_the_same_from_release_to_release():
    assert shuffling.random_keys([1, 2], 2).tolist() == shuffling.random_keys([1, 2], 3).tolist()[:2]
    assert shuffling.random_keys([2017, 0], 2).tolist() == [17375491743437589226, 9864656735216854980]
