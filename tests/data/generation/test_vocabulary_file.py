"""A data_dir's vocabulary is kept while records use it, is made again with all of them, and is removed after a failed run."""

import dataclasses
import fcntl
import json
import os
import random

import pytest

from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.generation.text_counts import TextCounter
from t2t_multimodel.data.generation.vocabulary_file import INFO_NAME
from t2t_multimodel.data.tf_example import pack
from t2t_multimodel.data.vocabulary import FILE_NAME, Vocabulary, train_vocabulary
from t2t_multimodel.features import Text
from t2t_multimodel.problem import Problem
from t2t_multimodel.utils.errors import DataError

LETTERS = "abcdefghijklmnop"


def pairs(letters, count, described="", name="pairs"):
    """Returns a problem of made-up words of the given letters; `described` stands for the problem file's text."""

    def generate_split(split, tmp_dir):
        rng = random.Random(7)
        words = ["".join(rng.choices(letters, k=6)) for _ in range(8)]
        for _ in range(count):
            yield {"inputs": " ".join(rng.choices(words, k=5)), "targets": " ".join(rng.choices(words, k=4))}

    return Problem(name, Text(), Text(), "to_german", generate_split, described=described)


def trees(split, tmp_dir):
    yield {"inputs": "abc def", "targets": "(NP JJ NN )NP"}


FIRST_TRY = pairs("abc", 3, "first")
WHOLE = pairs(LETTERS, 60, "whole")
PARSE = Problem("parse", Text(), Text("tree"), "to_tree", trees)


def failing(problem, error=None):
    """Returns the problem with a train split that ends in an error when it is read for the records."""
    reads = []

    def generate_split(split, tmp_dir):
        reads.append(split)
        yield from problem.generate(split, tmp_dir)
        if split == "train" and reads.count("train") > 1:
            raise error or DataError("raw.txt is damaged")

    return dataclasses.replace(problem, generate=generate_split)


@pytest.fixture
def make(tmp_path):
    """A function make(problem, ...) that returns the manifests; `make.lines` are the reported lines."""

    def run(*problems, **options):
        run.lines = []
        return generate(problems, run.folder, tmp_path, 400, report=run.lines.append, **options)

    run.folder = tmp_path / "data"
    return run


def vocabulary(make):
    return (make.folder / FILE_NAME).read_bytes()


def said(make, text):
    return [line for line in make.lines if text in line]


def test_it_is_made_again_with_all_records_that_use_it(make):
    make(FIRST_TRY)
    small = vocabulary(make)
    make(WHOLE)
    assert said(make, f"{FILE_NAME}: made again, because all records that use it are")
    assert said(make, "pieces, 0 of them tree symbols, learned from pairs (120 texts)") and vocabulary(make) != small
    assert not said(make, "warning")
    manifest = make(WHOLE)["pairs"]
    assert said(make, f"{FILE_NAME}: kept, ")
    assert manifest["splits"]["train"]["text"]["inputs"]["words"] == 300


def test_it_is_kept_for_other_records_and_said_of_what_and_where_it_does_not_fit(make):
    make(pairs("abc", 3, name="other"))
    small = vocabulary(make)
    manifest = make(WHOLE)["pairs"]
    assert vocabulary(make) == small and manifest["vocabulary_sha256"] == Vocabulary(small).sha256
    assert said(make, f"{FILE_NAME}: kept, ")[0].endswith("tree symbols, learned from other (6 texts)")
    (warning,) = said(make, "warning: pairs, inputs")
    assert f"{FILE_NAME} does not fit: " in warning and "% of them bytes (its own texts: 1." in warning


def test_a_vocabulary_without_tree_symbols_is_told_where_trees_are_added(make):
    make(FIRST_TRY)
    make(PARSE)
    assert said(make, "warning: parse, targets: 100% of the tree symbols have no id in vocabulary.model, ")


def test_one_that_mm_datagen_did_not_make_is_kept(make):
    make.folder.mkdir()
    own = train_vocabulary(["abc def"], [], 300, make.folder / FILE_NAME)
    make(FIRST_TRY)
    make(WHOLE)
    assert Vocabulary(vocabulary(make)).sha256 == own.sha256
    assert said(make, f"{FILE_NAME}: kept, {own.size} pieces, 0 of them tree symbols, without a note of what it was learned from")


@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_a_failed_run_leaves_none(make, on_error):
    with pytest.raises(DataError, match=r"raw\.txt is damaged"):
        make(failing(FIRST_TRY), on_error=on_error)
    assert not list(make.folder.iterdir())


def test_a_failed_run_leaves_the_one_before_with_its_records(make):
    make(FIRST_TRY)
    before = {path.name: path.read_bytes() for path in make.folder.iterdir()}
    with pytest.raises(DataError, match=r"raw\.txt is damaged"):
        make(failing(WHOLE))
    assert {path.name: path.read_bytes() for path in make.folder.iterdir()} == before


def test_a_failed_run_leaves_the_one_that_complete_records_use(make):
    with pytest.raises(DataError, match=r"raw\.txt is damaged"):
        make(FIRST_TRY, failing(pairs("abc", 9, name="other")))
    make(FIRST_TRY)
    assert "pairs: complete already" in make.lines


class Killed(BaseException):
    """An exception that ends a run as an interrupt does."""


def test_an_interrupted_run_goes_on_with_its_vocabulary_and_another_makes_its_own(make, tmp_path):
    for problem, kept in ((FIRST_TRY, True), (WHOLE, False)):
        with pytest.raises(Killed):
            make(failing(FIRST_TRY, Killed()))
        left = vocabulary(make)
        make(problem)
        assert (vocabulary(make) == left) == bool(said(make, f"{FILE_NAME}: kept, ")) == kept
        (make.folder / "pairs.json").unlink()
        (make.folder / FILE_NAME).unlink()


def test_damaged_records_are_made_again_with_the_same_vocabulary(make):
    make(FIRST_TRY, num_shards=1)
    (make.folder / "pairs-train-00000-of-00001.tfrecord").write_bytes(b"")
    make(FIRST_TRY, num_shards=1)
    assert said(make, f"{FILE_NAME}: kept, ") and said(make, "pairs: made again, because pairs-train-00000")


def test_it_is_kept_while_another_process_makes_records(make):
    make(FIRST_TRY)
    small = vocabulary(make)
    folder = os.open(make.folder, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_SH)
    make(WHOLE)
    os.close(folder)
    assert vocabulary(make) == small and said(make, f"{FILE_NAME}: kept, ")


def test_what_it_was_learned_from_is_in_a_file_beside_it(make):
    make(FIRST_TRY, PARSE)
    info = json.loads((make.folder / INFO_NAME).read_text())
    assert info["sha256"] == Vocabulary(vocabulary(make)).sha256
    assert info["texts"] == {"pairs": 6, "parse": 1} and info["tokens_per_word"] >= 1.0 and info["byte_rate"] == 0.0


def test_words_tokens_bytes_and_unknown_characters_are_counted(tmp_path):
    vocabulary = train_vocabulary(["abc def"] * 9, ["(S", ")S"], 300, tmp_path / "v.model")
    counter = TextCounter(vocabulary)
    texts = ["abc d\u00fcf", "\u4e2d \U0001f600", "def"]
    counts = counter.count(Text(), texts, [pack(vocabulary.encode(text)) for text in texts])
    tokens = [i for text in texts for i in vocabulary.encode(text)]
    assert counts == {"words": 5, "tokens": len(tokens), "byte_tokens": 2 + 3 + 4, "unknown": 3}
    tree = "(S NN )S"
    counts = counter.count(Text("tree"), [tree], [pack(vocabulary.encode_tree(tree))])
    assert (counts["words"], counts["unknown"]) == (3, 1)
    assert counter.count(Text(), [], [])["tokens"] == 0
