"""The statistics of records agree with known examples."""

import inspected
import pytest

from t2t_multimodel.data import inspection, records
from t2t_multimodel.data.inspection import inspect, recorded_names
from t2t_multimodel.data.vocabulary import FILE_NAME, Vocabulary, train_vocabulary
from t2t_multimodel.utils.errors import DataError


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return inspected.make(tmp_path_factory.mktemp("data"))


def split_of(data_dir, name, split="dev"):
    return next(found for found in inspect(data_dir, [name]) if found.split == split)


def test_records_are_found_among_other_files(data_dir, tmp_path):
    (data_dir / "notes.json").write_text("{}")
    assert recorded_names(data_dir) == ["pictures", "sounds", "texts", "trees"]
    assert recorded_names(tmp_path) == []


def test_every_split_is_inspected(data_dir):
    assert [(found.name, found.split, found.examples) for found in inspect(data_dir, ["texts", "trees"])] == [
        ("texts", "train", 5),
        ("texts", "dev", 5),
        ("trees", "train", 1),
        ("trees", "dev", 1),
    ]


def test_texts_are_measured_in_tokens_words_and_bytes(data_dir):
    vocabulary = Vocabulary.load(data_dir / FILE_NAME)
    side = split_of(data_dir, "texts").sides["inputs"]
    assert side.sizes.tolist() == [len(vocabulary.encode(example["inputs"].strip())) for example in inspected.TEXTS]
    assert side.words == 2 * 3 + 6 + 2
    # A character of three bytes, in one of the sentences.
    assert side.fallback == 3


def test_a_tree_has_a_token_a_symbol(data_dir):
    side = split_of(data_dir, "trees").sides["targets"]
    assert side.sizes.tolist() == [9] and side.words == 9 and side.fallback == 0


def test_pictures_are_measured_at_their_shorter_side_and_sounds_in_seconds(data_dir):
    pictures, sounds = split_of(data_dir, "pictures"), split_of(data_dir, "sounds")
    assert pictures.sides["inputs"].sizes.tolist() == [40, 300]
    assert sounds.sides["inputs"].sizes.tolist() == [0.5, 1, 25]


def test_classes_are_counted_also_those_without_examples(data_dir):
    assert split_of(data_dir, "pictures").sides["targets"].classes == {"cat": 2, "dog": 0}


def test_some_examples_are_chosen_the_same_each_time(data_dir, monkeypatch):
    monkeypatch.setattr(inspection, "EXAMPLES", 2)
    chosen = split_of(data_dir, "texts").chosen
    assert len(chosen) == 2 and split_of(data_dir, "texts").chosen == chosen


def test_of_a_large_split_a_part_is_read(data_dir, monkeypatch):
    monkeypatch.setattr(inspection, "MOST_READ", 3)
    found = split_of(data_dir, "texts")
    assert (found.examples, found.read, len(found.sides["inputs"].sizes), len(found.chosen)) == (5, 3, 3, 3)


def test_damaged_records_and_another_vocabulary_are_told(tmp_path):
    inspected.make(tmp_path)
    shard = tmp_path / records.shard_names("trees", "dev", 1)[0]
    content = bytearray(shard.read_bytes())
    content[20] ^= 255
    shard.write_bytes(content)
    with pytest.raises(DataError, match=r"trees dev in .* are damaged; this says where: mm-datagen --problems=trees .*--verify$"):
        list(inspect(tmp_path, ["trees"]))
    with pytest.raises(DataError, match="no_such"):
        list(inspect(tmp_path, ["no_such"]))
    train_vocabulary(["other texts"], [], 290, tmp_path / FILE_NAME)
    with pytest.raises(DataError, match="the records of trees in .* were made with another vocabulary"):
        list(inspect(tmp_path, ["trees"]))
