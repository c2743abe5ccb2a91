"""The openly licensed stand-ins, in the layouts in which they are distributed."""

import gzip
import itertools

import corpora
import pytest

import t2t_multimodel.problems  # noqa: F401  (registers them)
from t2t_multimodel.config import HParams
from t2t_multimodel.data import trees
from t2t_multimodel.data.generation.encode import check_example
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.pipeline import TrainingBatches
from t2t_multimodel.problem import problems, resolve
from t2t_multimodel.utils.errors import DataError

COUNTS = {
    "librispeech_clean": {"train": 4, "dev": 4, "test": 4},
    "eurosat_class": {"train": 22, "dev": 2},
    "coco_64": {"train": 3, "dev": 1},
    "craft_parsing": {"train": 2, "dev": 2},
    "m30k_ende": {"train": 2, "dev": 2, "test": 2},
    "m30k_enfr": {"train": 2, "dev": 2, "test": 2},
}
FOLDERS = {"librispeech": corpora.librispeech, "eurosat": corpora.eurosat, "mscoco": corpora.mscoco}
FOLDERS |= {"craft_treebank": corpora.craft, "multi30k": corpora.multi30k}


def read(name, split, folder):
    return list(problems.get(name).generate(split, folder))


def make(tmp_path, packed):
    for name, write in FOLDERS.items():
        write(tmp_path / name, packed)
    return generate(resolve("open8"), tmp_path / "data", tmp_path, 400, report=lambda line: None)


@pytest.mark.parametrize("packed", [True, False])
def test_all_eight_make_records(tmp_path, packed):
    manifests = make(tmp_path, packed)
    found = {name: {split: entry["examples"] for split, entry in made["splits"].items()} for name, made in manifests.items()}
    assert found == COUNTS


def test_all_eight_make_batches(tmp_path):
    make(tmp_path, packed=True)
    hparams = HParams().override("batch_images=2,batch_tokens=64,max_length=64,mel_bins=20,shuffle_buffer=10")
    for problem in resolve("open8"):
        batch = next(iter(TrainingBatches(problem, tmp_path / "data", hparams, seed=1)))
        assert len(batch["inputs"]) == len(batch["targets"]) > 0


@pytest.mark.parametrize("problem", resolve("open8"), ids=lambda problem: problem.name)
def test_what_is_missing_is_named_with_its_origin(problem, tmp_path):
    with pytest.raises(DataError, match=r"is not complete; put into .*\(from https://"):
        problem.forward().check(tmp_path)
    assert problem.source.count(";") >= 1


@pytest.mark.parametrize("transcripts_first", [True, False])
def test_a_chapter_may_have_its_transcripts_in_front_or_behind(tmp_path, transcripts_first):
    corpora.librispeech(tmp_path, packed=True, transcripts_first=transcripts_first)
    found = read("librispeech_clean", "train", tmp_path)
    assert [example["targets"] for example in found] == ["CHAPTER ONE", "CHAPTER TWO"] * 2
    assert len(check_example(problems.get("librispeech_clean"), found[1], "x")[0]) == 8000


def test_a_recording_without_transcript_is_an_error_example(tmp_path):
    corpora.librispeech(tmp_path, packed=False)
    (tmp_path / "LibriSpeech/dev-clean/84/121/84-121.trans.txt").write_text("84-121-0001 CHAPTER TWO\n")
    errors = [example["error"] for example in read("librispeech_clean", "dev", tmp_path) if "error" in example]
    assert len(errors) == 1 and "84-121-0000.flac has no transcript" in str(errors[0])
    (tmp_path / "LibriSpeech/dev-clean/84/121/84-121.trans.txt").write_text("84-121-0001\n")
    errors = [str(example["error"]) for example in read("librispeech_clean", "dev", tmp_path) if "error" in example]
    assert "84-121.trans.txt is damaged" in errors[0] and len(errors) == 3


@pytest.mark.parametrize("packed", [True, False])
def test_every_tenth_image_is_dev_and_classes_are_mixed(tmp_path, packed):
    corpora.eurosat(tmp_path, packed)
    assert [example["targets"] for example in read("eurosat_class", "dev", tmp_path)] == ["Forest", "River"]
    found = read("eurosat_class", "train", tmp_path)
    assert [example["targets"] for example in found] == ["Forest", "River"] * 11
    assert not [example for example in found if "_10.jpg" in example["origin"]]


def test_an_archive_without_the_classes_is_told(tmp_path):
    corpora.write(tmp_path, {"EuroSAT.zip": corpora.zipped({"2750/Sea/Sea_1.jpg": corpora.picture()})})
    with pytest.raises(DataError, match=r"EuroSAT\.zip has no images of the classes"):
        read("eurosat_class", "train", tmp_path)


@pytest.mark.parametrize("packed", [True, False])
def test_trees_of_two_words_or_more_are_read_from_either_layout(tmp_path, packed):
    corpora.craft(tmp_path, packed)
    found = read("craft_parsing", "train", tmp_path)
    assert [example["inputs"] for example in found if "inputs" in example] == ["dog runs", "café runs"]
    assert {example["left_out"] for example in found if "left_out" in example} == {"one_word"}


def test_a_damaged_tree_is_an_error_example_and_a_damaged_file_an_error(tmp_path):
    corpora.craft(tmp_path, packed=True)
    path = tmp_path / "dev.mrg.gz"
    path.write_bytes(gzip.compress(b"( (S (NP (NN dog)) (VP (VBZ runs))) )\n( (S (NP\n( (NP (NN \xff)) )\n"))
    good, cut, binary = read("craft_parsing", "dev", tmp_path)
    assert good["inputs"] == "dog runs"
    assert "line 2 of " in str(cut["error"]) and "line 3 of " in str(binary["error"])
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(DataError, match=r"dev\.mrg\.gz is damaged"):
        read("craft_parsing", "dev", tmp_path)


def test_an_empty_line_is_found_when_it_is_checked_and_unequal_files_at_once(tmp_path):
    corpora.multi30k(tmp_path, packed=True)
    corpora.write(tmp_path, {"val.en.gz": gzip.compress(b"\nA cat.\n")})
    with pytest.raises(DataError, match=r"^x \(line 1 of .*val\.en\.gz\), inputs: the text is empty"):
        check_example(problems.get("m30k_ende"), read("m30k_ende", "dev", tmp_path)[0], "x")
    corpora.write(tmp_path, {"val.en.gz": gzip.compress(b"A dog.\n")})
    with pytest.raises(DataError, match=r"val\.en\.gz ends after 1 lines, .*val\.de\.gz goes on; they should match"):
        read("m30k_ende", "dev", tmp_path)


def test_first_real_translation(shared_data):
    example = next(iter(problems.get("m30k_ende").generate("train", shared_data)))
    assert example["inputs"] == "Two young, White males are outside near many bushes."
    assert example["targets"] == "Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche."


def test_first_real_trees_restore_their_sentences(shared_data):
    for example in itertools.islice(problems.get("craft_parsing").generate("train", shared_data), 50):
        if "left_out" in example:
            continue
        words = example["inputs"].split(" ")
        tree = trees.restore(words, example["targets"])
        assert 2 <= len(words) <= 40
        assert tree is not None and tree.leaves() == words
