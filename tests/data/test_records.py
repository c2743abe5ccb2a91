"""Record files and their manifest."""

import dataclasses
import functools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel import problems as builtin
from t2t_multimodel.data import records
from t2t_multimodel.features import Audio, Image, Label, Text
from t2t_multimodel.problem import Problem
from t2t_multimodel.testing import fake_problem
from t2t_multimodel.utils.errors import DataError


def problem(inputs, targets):
    return Problem("p", inputs, targets, "to_x", generate=lambda split, tmp_dir: ())


def write(tmp_path, shards=2, content=(b"one", b"two", b"three")):
    entries = []
    for number, name in enumerate(records.shard_names("p", "train", shards)):
        with records.ShardWriter(tmp_path / name) as writer:
            writer.write(content[number::shards])
            entries.append(writer.finish())
    manifest = {"splits": {"train": {"examples": len(content), "shards": entries, "skipped": 0}}, "complete": True}
    records.write_manifest(tmp_path, "p", manifest)
    return manifest


def test_shards_come_back_with_counts_and_checksums(tmp_path):
    manifest = write(tmp_path)
    paths = records.shard_paths(tmp_path, "p", "train")
    assert [list(tf.data.TFRecordDataset(path).as_numpy_iterator()) for path in paths] == [[b"one", b"three"], [b"two"]]
    assert [shard["examples"] for shard in manifest["splits"]["train"]["shards"]] == [2, 1]
    assert records.read_manifest(tmp_path, "p") == manifest
    assert not records.damaged_shards(tmp_path, manifest["splits"].values(), checksums=True)


def test_shards_have_the_bytes_of_tensorflows_writer(tmp_path):
    random = np.random.default_rng(0)
    content = [random.bytes(int(size)) for size in (0, 1, 7, 300_000, 900_000, 5, 2_000_000, 3)]
    with records.ShardWriter(tmp_path / "x.tfrecord") as writer:
        writer.write(content[:3])
        writer.write(content[3:])
        entry = writer.finish()
    with tf.io.TFRecordWriter(str(tmp_path / "y.tfrecord")) as expected:
        for record in content:
            expected.write(record)
    assert (tmp_path / "x.tfrecord").read_bytes() == (tmp_path / "y.tfrecord").read_bytes()
    assert entry["sha256"] == records.file_sha256(tmp_path / "y.tfrecord")
    assert entry["bytes"] == (tmp_path / "y.tfrecord").stat().st_size


def test_an_error_while_writing_leaves_no_half_file(tmp_path):
    with pytest.raises(RuntimeError), records.ShardWriter(tmp_path / "x.tfrecord") as writer:
        writer.write([b"other"])
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_changed_shard_is_found(tmp_path):
    manifest = write(tmp_path)
    path = tmp_path / manifest["splits"]["train"]["shards"][1]["file"]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")
    assert not records.damaged_shards(tmp_path, manifest["splits"].values())
    assert records.damaged_shards(tmp_path, manifest["splits"].values(), checksums=True) == [path.name]
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match=f"{path.name} is missing or not as its manifest says; make it again: mm-datagen"):
        records.shard_paths(tmp_path, "p", "train")


def test_missing_records_name_the_command(tmp_path):
    with pytest.raises(DataError, match=f"has no records of p; make them with: mm-datagen --problems=p --data_dir={tmp_path}$"):
        records.read_manifest(tmp_path, "p")
    with pytest.raises(DataError, match="there is no data_dir .*absent; make them with: mm-datagen --problems=p"):
        records.read_manifest(tmp_path / "absent", "p")
    (tmp_path / "p.json").write_text('{"complete": false}')
    with pytest.raises(DataError, match="are not complete"):
        records.read_manifest(tmp_path, "p")
    (tmp_path / "p.json").write_text('{"comp')
    with pytest.raises(DataError, match="p.json is damaged"):
        records.read_manifest(tmp_path, "p")


def test_an_unknown_split_names_those_there_are(tmp_path):
    write(tmp_path)
    with pytest.raises(DataError, match="no split 'test'; there are: train"):
        records.shard_paths(tmp_path, "p", "test")


CASES = [(Text(), [5, 6, 7], Text("tree"), []), (Image(), b"jpeg", Label(("a", "b")), 1), (Audio(), b"\x00\x01", Text(), [9])]


@pytest.mark.parametrize(("inputs", "x", "targets", "y"), CASES)
@pytest.mark.parametrize("in_dataset", [False, True])
def test_an_example_comes_back_from_its_record(inputs, x, targets, y, in_dataset):
    serialised = tf.constant(records.serialise_examples(problem(inputs, targets), [x], [y], [()])[0])
    if in_dataset:
        dataset = tf.data.Dataset.from_tensors(serialised).map(lambda s: records.parse_example(s, inputs, targets))
        parsed = next(dataset.as_numpy_iterator())
    else:
        parsed = {name: value.numpy() for name, value in records.parse_example(serialised, inputs, targets).items()}
    np.testing.assert_array_equal(parsed["inputs"], x)
    np.testing.assert_array_equal(parsed["targets"], y)


def test_a_batch_of_records_is_padded():
    features = (Text(), Label(("a", "b")))
    serialised = records.serialise_examples(problem(*features), [[1, 2, 3], [4], [5]], [1, 1, 0], [["x", "é"], [], ["x"]])
    parsed = records.parse_example(tf.constant(serialised), *features, with_references=True)
    assert parsed["inputs"].numpy().tolist() == [[1, 2, 3], [4, 0, 0], [5, 0, 0]]
    assert parsed["targets"].numpy().tolist() == [1, 1, 0]
    assert parsed["references"].numpy().tolist() == [[b"x", "é".encode()], [b"", b""], [b"x", b""]]


def test_all_missing_records_are_named_with_the_command_that_makes_them(tmp_path):
    description = SimpleNamespace(file=Path("my files/mine.toml"))
    own = dataclasses.replace(fake_problem("own"), generate=functools.partial(print, description))
    of_run = Problem.of_spec(fake_problem("old").spec())
    for made, flags in (
        ([builtin.get("mini_ende"), own], "'--problem_file=my files/mine.toml'"),
        ([of_run], "--problem_file=FILE"),
    ):
        names = [problem.name for problem in made]
        with pytest.raises(DataError) as caught:
            records.require_records(tmp_path, made)
        command = f"mm-datagen {flags} --problems={','.join(names)} --data_dir={tmp_path}"
        assert str(caught.value) == f"{tmp_path} has no complete records of {', '.join(names)}; make them with: {command}"


@pytest.mark.parametrize(("at", "offset"), [(0, 0), (9, 0), (13, 0), (30, 19), (-1, 19), (None, None)])
def test_the_first_bad_record_is_found_by_its_offset(tmp_path, at, offset):
    with records.ShardWriter(tmp_path / "x.tfrecord") as writer:
        writer.write([b"abc", b"defghijk"])
        writer.finish()
    content = bytearray((tmp_path / "x.tfrecord").read_bytes())
    if at is not None:
        content[at] ^= 1
    (tmp_path / "x.tfrecord").write_bytes(content)
    assert records.first_bad_record(tmp_path / "x.tfrecord") == offset


def test_a_cut_shard_is_bad_where_its_last_record_begins(tmp_path):
    with records.ShardWriter(tmp_path / "x.tfrecord") as writer:
        writer.write([b"abc", b"defghijk"])
        writer.finish()
    (tmp_path / "x.tfrecord").write_bytes((tmp_path / "x.tfrecord").read_bytes()[:-3])
    assert records.first_bad_record(tmp_path / "x.tfrecord") == 19
