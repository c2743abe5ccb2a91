"""generate writes a data_dir from raw data, keeps records that are up to date, and makes others again."""

import dataclasses
import errno
import json
import shutil

import numpy as np
import pytest
import sounds
import tensorflow as tf

from t2t_multimodel.data import records
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.features import Audio, Label, Text
from t2t_multimodel.problem import Problem
from t2t_multimodel.utils.errors import DataError

WORDS = ["red", "green", "blue", "square", "circle"]


def sentences(split, tmp_dir):
    for i in range(40 if split == "train" else 3):
        yield {"inputs": f"{split} {WORDS[i % 5]} {i}", "targets": f"die {WORDS[i % 3]} {i}"}


def trees(split, tmp_dir):
    yield {"inputs": "red square", "targets": "(NP JJ NN )NP"}
    yield {"inputs": "square", "targets": "(NP NN )NP"}


def damaged(split, tmp_dir):
    yield {"inputs": "one", "targets": "a"}
    yield {"error": DataError("line 2 of raw.txt is binary")}
    yield {"inputs": "", "targets": "a"}


TRANSLATE = Problem("translate", Text(), Text(), "to_german", generate=sentences, source="made up")
PARSE = Problem("parse", Text(), Text("tree"), "to_tree", generate=trees)
DAMAGED = Problem("damaged", Text(), Label(("a", "b")), "to_class", generate=damaged, splits=("train",))


@pytest.fixture
def made(tmp_path):
    """A function make(problem, ...) that returns the manifests; `make.lines` are the reported lines."""

    def make(*problems, **options):
        make.lines = []
        return generate(problems, tmp_path / "data", tmp_path, 400, report=make.lines.append, **options)

    return make


def decoded(data_dir, name, split):
    vocabulary = Vocabulary.load(data_dir / "vocabulary.model")
    texts = []
    for record in tf.data.TFRecordDataset(records.shard_paths(data_dir, name, split)).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        texts.append(tuple(vocabulary.decode(features[key].int64_list.value) for key in ("inputs", "targets")))
    return texts


def contents(data_dir):
    return {path.name: path.read_bytes() for path in data_dir.iterdir()}


def raw(problem, split):
    return [(example["inputs"], example["targets"]) for example in problem.generate(split, None)]


def test_records_hold_all_examples_dev_in_order_and_train_shuffled(made, tmp_path):
    manifest = made(TRANSLATE, PARSE, num_shards=3)["translate"]
    assert decoded(tmp_path / "data", "translate", "dev") == raw(TRANSLATE, "dev")
    train = decoded(tmp_path / "data", "translate", "train")
    assert train != raw(TRANSLATE, "train")
    assert sorted(train) == sorted(raw(TRANSLATE, "train"))
    assert sorted(decoded(tmp_path / "data", "parse", "train")) == sorted(raw(PARSE, "train"))
    counts = [shard["examples"] for shard in manifest["splits"]["train"]["shards"]]
    assert len(counts) == 3 and sum(counts) == 40 and min(counts) > 5
    assert manifest["splits"]["train"]["examples"] == 40
    assert manifest["source"] == "made up"
    assert manifest == records.read_manifest(tmp_path / "data", "translate")


def test_tree_symbols_are_ordered_by_frequency(made, tmp_path):
    made(PARSE)
    assert list(Vocabulary.load(tmp_path / "data/vocabulary.model").symbols) == ["(NP", ")NP", "NN", "JJ"]


def test_a_reversed_problem_shares_the_records_of_the_forward_one(made, tmp_path):
    manifests = made(TRANSLATE.reverse("to_english"))
    assert list(manifests) == ["translate"]
    assert decoded(tmp_path / "data", "translate", "dev") == raw(TRANSLATE, "dev")


def test_the_same_raw_data_makes_the_same_files(made, tmp_path):
    made(TRANSLATE)
    generate([TRANSLATE], tmp_path / "again", tmp_path, 400, report=lambda line: None)
    assert contents(tmp_path / "again") == contents(tmp_path / "data")


def test_a_rerun_makes_only_what_is_missing(made, tmp_path):
    made(TRANSLATE)
    before = contents(tmp_path / "data")
    assert set(made(TRANSLATE, PARSE)) == {"translate", "parse"}
    assert "translate: complete already" in made.lines
    assert before.items() <= contents(tmp_path / "data").items()


@pytest.mark.parametrize("damage", ["shard", "manifest", "incomplete"])
def test_half_finished_records_are_made_again(made, tmp_path, damage):
    made(TRANSLATE)
    before = contents(tmp_path / "data")
    path = tmp_path / "data" / ("translate-dev-00000-of-00001.tfrecord" if damage == "shard" else "translate.json")
    if damage == "incomplete":
        path.write_text(json.dumps(json.loads(path.read_text()) | {"complete": False}))
    else:
        path.write_bytes(path.read_bytes()[:-9])
    made(TRANSLATE)
    assert contents(tmp_path / "data") == before


def test_verify_finds_a_changed_byte(made, tmp_path):
    made(TRANSLATE)
    before = contents(tmp_path / "data")
    path = tmp_path / "data/translate-dev-00000-of-00001.tfrecord"
    last = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())[-1]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    made(TRANSLATE)
    assert contents(tmp_path / "data") != before
    made(TRANSLATE, verify=True)
    assert contents(tmp_path / "data") == before
    offset = path.stat().st_size - len(last) - 16
    reason = f"{path.name} is not as its manifest says: the first bad record is at byte {offset}"
    assert f"translate: made again, because {reason}" in made.lines


def repeated(split, tmp_path):
    if split == "train":
        for i in range(30):
            yield {"inputs": f"train {i // 2}", "targets": "Das"}
        yield {"inputs": "TEST  one ", "targets": "das"}
        yield {"inputs": "dev one", "targets": "das"}
        yield {"inputs": "dev one", "targets": "other"}
    else:
        yield {"inputs": f"{split} one", "targets": "das"}
        yield {"inputs": f"{split} one", "targets": "das"}


REPEATED = dataclasses.replace(TRANSLATE, name="repeated", generate=repeated, splits=("train", "dev", "test"))
RULES = [
    (frozenset(), 33, {}),
    (frozenset({"duplicates"}), 18, {"duplicates": 15}),
    (frozenset({"overlap"}), 31, {"overlap": 2}),
    (frozenset({"overlap", "duplicates"}), 16, {"overlap": 2, "duplicates": 15}),
]


@pytest.mark.parametrize(("rules", "left", "left_out"), RULES)
def test_repeated_examples_are_left_out_of_train_alone_where_that_is_asked_for(made, tmp_path, rules, left, left_out):
    splits = made(REPEATED, rules=rules)["repeated"]["splits"]
    assert (splits["train"]["examples"], splits["train"]["left_out"]) == (left, left_out)
    assert splits["dev"]["examples"] == splits["test"]["examples"] == 2
    assert list(splits) == ["train", "dev", "test"]
    train = decoded(tmp_path / "data", "repeated", "train")
    assert len(train) == left
    assert len(set(train)) == (left if "duplicates" in rules else left - 15)


def test_other_rules_make_the_records_again(made):
    made(REPEATED)
    assert made(REPEATED, rules=frozenset({"overlap"}))["repeated"]["clean"] == ["overlap"]
    assert "repeated: made again, because its clean changed" in made.lines
    assert "repeated-train: 31 examples, 2 left out (overlap 2)" in made.lines
    made(REPEATED, rules=frozenset({"overlap"}))
    assert "repeated: complete already" in made.lines


def odd_sentences(split, tmp_dir):
    yield {"inputs": "two\u00a0 red\u2028circles ", "targets": "zwei su\u0308\u00dfe", "references": ["su\u0308\u00dfe\u3000"]}


def test_text_of_every_problem_is_normalized_in_records_and_the_manifest_says_how(made, tmp_path):
    problem = Problem("odd", Text(), Text(normalization="none"), "to_german", generate=odd_sentences)
    manifest = made(problem)["odd"]
    assert decoded(tmp_path / "data", "odd", "dev") == [("two red circles", "zwei su\u0308\u00dfe")]
    assert (manifest["inputs"]["normalization"], manifest["targets"]["normalization"]) == ("nfc", "none")
    reverse = records.as_recorded(problem.reverse("to_english"), tmp_path / "data")
    assert (reverse.inputs.normalization, reverse.targets.normalization) == ("none", "nfc")
    made(dataclasses.replace(problem, targets=Text()))
    assert "odd: made again, because its normalization of targets changed" in made.lines


def test_records_that_name_no_normalization_stay_and_are_read_with_spaces(made, tmp_path):
    path = records.manifest_path(tmp_path / "data", "translate")
    manifest = made(TRANSLATE)["translate"]
    for side in ("inputs", "targets"):
        del manifest[side]["normalization"]
    path.write_text(json.dumps(manifest))
    made(TRANSLATE)
    assert "translate: complete already" in made.lines
    recorded = records.as_recorded(TRANSLATE, tmp_path / "data")
    assert recorded.inputs.normalization == recorded.targets.normalization == "spaces"
    assert recorded.spec() == TRANSLATE.spec()


def test_a_problem_whose_features_changed_is_made_again(made, tmp_path):
    made(TRANSLATE, DAMAGED, on_error="skip", num_shards=3)
    changed = dataclasses.replace(DAMAGED, targets=Label(("b", "a")))
    manifest = made(changed, on_error="skip", num_shards=2)["damaged"]
    assert len(list((tmp_path / "data").glob("damaged-*.tfrecord"))) == 2
    assert manifest["targets"]["classes"] == ["b", "a"]
    assert "damaged: made again, because its targets changed" in made.lines


def test_records_of_another_vocabulary_are_an_error(made, tmp_path):
    made(TRANSLATE)
    (tmp_path / "data/vocabulary.model").unlink()
    made(PARSE)
    with pytest.raises(DataError, match="records of translate in .* made with another vocabulary .* remove .*translate.json"):
        made(TRANSLATE)


def test_raw_data_is_checked_before_anything_is_written_and_only_where_it_is_needed(made, tmp_path):
    def check(tmp_dir):
        raise DataError(f"{tmp_dir} has no raw.txt")

    checked = dataclasses.replace(TRANSLATE, check=check)
    with pytest.raises(DataError, match=r"has no raw\.txt; .* has no raw\.txt$"):
        made(checked, dataclasses.replace(PARSE, check=check))
    assert not (tmp_path / "data").exists()
    made(TRANSLATE)
    assert set(made(checked.reverse("to_english"))) == {"translate"}


def all_damaged(split, tmp_dir):
    yield {"error": DataError("line 1 of raw.tsv: 1 column instead of 2")}
    yield {"error": DataError("line 2 of raw.tsv: 1 column instead of 2")}


def test_where_every_example_is_damaged_the_first_is_the_message(made, tmp_path):
    problem = dataclasses.replace(TRANSLATE, generate=all_damaged)
    with pytest.raises(DataError, match=r"^translate-train, example 0: line 1 of raw.tsv: 1 column .* \(--on_error=skip goes on"):
        made(problem)
    with pytest.raises(
        DataError, match=r"no text to make a vocabulary from in translate: 2 damaged examples, the first of which is "
    ):
        made(problem, on_error="skip")
    assert not contents(tmp_path / "data")


def test_a_test_split_without_examples_is_left_out(made):
    def generate(split, tmp_dir):
        return () if split == "test" else sentences(split, tmp_dir)

    problem = dataclasses.replace(TRANSLATE, generate=generate, splits=("train", "dev", "test"))
    assert list(made(problem)["translate"]["splits"]) == ["train", "dev"]
    assert "translate-test: this data has no such split" in made.lines
    made(problem)
    assert "translate: complete already" in made.lines
    made(dataclasses.replace(problem, generate=sentences, splits=("train", "dev")))
    assert "translate: made again, because its splits changed" in made.lines


def test_where_the_data_is_from_is_reported(made):
    made(TRANSLATE)
    assert "translate: made up" in made.lines


def test_a_damaged_example_stops_and_is_named(made, tmp_path):
    with pytest.raises(DataError, match=r"^damaged-train, example 1: line 2 of raw.txt is binary \(--on_error=skip goes on"):
        made(DAMAGED)
    assert not contents(tmp_path / "data")


def test_skipped_examples_are_named_counted_and_listed(made, tmp_path):
    manifest = made(DAMAGED, on_error="skip")["damaged"]
    entry = manifest["splits"]["train"]
    assert (entry["examples"], entry["skipped"], entry["left_out"]) == (1, 2, {})
    skipped = [line for line in made.lines if line.startswith("skipped")]
    listed = (tmp_path / "data" / entry["skipped_list"]).read_text().splitlines()
    assert [f"skipped: {line}" for line in listed] == skipped
    assert skipped[0] == "skipped: damaged-train, example 1: line 2 of raw.txt is binary"
    assert skipped[1] == "skipped: damaged-train, example 2, inputs: the text is empty"


def sounds_of_all_kinds(split, tmp_dir):
    stereo = np.stack([sounds.TONE, sounds.TONE], axis=1)
    for content in (
        sounds.write(),
        sounds.write(subtype="GSM610"),
        sounds.write(kind="OGG", subtype="VORBIS")[:-50],
        sounds.write(stereo, rate=16000),
        sounds.write(sounds.TONE / 4000.0, subtype="FLOAT"),
        sounds.write(sounds.TONE[:1], rate=44100),
        sounds.wav(size=0),
        b"RIFF",
    ):
        yield {"inputs": content, "targets": "a sound"}


SOUNDS = Problem("sounds", Audio(8000), Text(), "to_english", generate=sounds_of_all_kinds, splits=("train",))


@pytest.mark.parametrize("num_workers", [1, 2])
def test_what_was_done_to_sounds_is_counted_in_the_manifest_and_told(made, tmp_path, num_workers):
    entry = made(SOUNDS, on_error="skip", num_workers=num_workers)["sounds"]["splits"]["train"]
    assert entry["changed"] == {"mixed down": 1, "resampled": 1, "clipped": 1, "no length in header": 1}
    told = "5 examples, 3 skipped, 1 mixed down, 1 resampled, 1 clipped, 1 no length in header"
    assert f"sounds-train: {told}" in made.lines
    counted = "of 5 examples 1 mixed down, 1 resampled, 1 clipped, 1 no length in header"
    assert records.changed_lines(tmp_path / "data", ["sounds", "sounds"]) == [f"sounds train: {counted}"]
    listed = (tmp_path / "data" / entry["skipped_list"]).read_text()
    assert [line.partition(" ")[0] + line.partition("inputs")[2][:15] for line in listed.splitlines()] == [
        "sounds-train, is cut short: ",
        "sounds-train, is too short: ",
        "sounds-train, is damaged or ",
    ]


def test_all_skipped_examples_are_listed_whatever_number_is_shown(made, tmp_path):
    def many(split, tmp_dir):
        yield {"inputs": "one", "targets": "a"}
        yield from ({"error": DataError(f"line {i} of raw\n.txt")} for i in range(30))

    made(dataclasses.replace(DAMAGED, generate=many), on_error="skip")
    listed = (tmp_path / "data/damaged-train-skipped.txt").read_text().splitlines()
    assert listed == [f"damaged-train, example {i + 1}: line {i} of raw\\n.txt" for i in range(30)]
    assert "skipped: more, all of them listed in damaged-train-skipped.txt" in made.lines
    made(dataclasses.replace(DAMAGED, generate=lambda split, tmp_dir: [{"inputs": "one", "targets": "a"}], described="mended"))
    assert not (tmp_path / "data/damaged-train-skipped.txt").exists()


def test_an_unreadable_problem_does_not_stop_the_others_where_damage_is_skipped(made, tmp_path):
    def cut(split, tmp_dir):
        yield {"inputs": "zzz", "targets": "zzz"}
        raise DataError("raw.gz is damaged")

    unreadable = dataclasses.replace(TRANSLATE, name="unreadable", generate=cut)
    with pytest.raises(
        DataError, match=r"^1 of 2 problems could not be made, the others are complete: unreadable: raw\.gz is damaged$"
    ):
        made(unreadable, TRANSLATE, on_error="skip")
    assert "unreadable: the vocabulary is made without its text, because raw.gz is damaged" in made.lines
    skipped = contents(tmp_path / "data")
    shutil.rmtree(tmp_path / "data")
    made(TRANSLATE)
    assert contents(tmp_path / "data") == skipped
    with pytest.raises(DataError, match=r"^raw\.gz is damaged$"):
        generate([unreadable, TRANSLATE], tmp_path / "other", tmp_path, 400, report=str)


def test_an_empty_split_is_an_error(made):
    empty = dataclasses.replace(TRANSLATE, generate=lambda split, tmp_dir: sentences(split, tmp_dir) if split == "train" else ())
    with pytest.raises(DataError, match="translate-dev has no examples"):
        made(empty)


def test_a_split_whose_examples_are_all_damaged_names_the_first(made):
    errors = [{"error": DataError(f"line {n} of a.tsv: 1 column")} for n in (3, 4)]
    bad = dataclasses.replace(
        TRANSLATE, name="bad", generate=lambda split, tmp_dir: errors if split == "train" else sentences(split, tmp_dir)
    )
    wanted = "bad-train has no examples: all 2 were skipped; the first: example 0: line 3 of a.tsv: 1 column"
    with pytest.raises(DataError, match=wanted):
        made(TRANSLATE, bad, on_error="skip")


def test_a_full_disk_leaves_what_was_there_and_no_temporary_files(made, tmp_path, monkeypatch):
    made(TRANSLATE)
    before = contents(tmp_path / "data")

    def full(self, records):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(records.ShardWriter, "write", full)
    changed = dataclasses.replace(TRANSLATE, splits=("train",))
    with pytest.raises(OSError, match=f"No space left.*{tmp_path / 'data'}"):
        made(changed)
    assert contents(tmp_path / "data") == before


def test_a_problem_without_text_gets_a_vocabulary_of_class_names(made):
    numbers = dataclasses.replace(DAMAGED, inputs=Label(("1", "2")), generate=lambda s, t: [{"inputs": "1", "targets": "b"}])
    made(numbers)
    assert made.lines[0].startswith("no text among these problems")


def test_what_a_reader_leaves_out_is_counted_by_its_reason(made):
    def some(split, tmp_dir):
        yield from ({"left_out": reason} for reason in ("max_train_words", "max_train_words", "untranslated"))
        yield {"inputs": "one", "targets": "a"}

    entry = made(dataclasses.replace(TRANSLATE, name="some", generate=some))["some"]["splits"]["train"]
    assert (entry["examples"], entry["skipped"], entry["left_out"]) == (1, 0, {"max_train_words": 2, "untranslated": 1})
    assert "some-train: 1 examples, 3 left out (max_train_words 2, untranslated 1)" in made.lines
