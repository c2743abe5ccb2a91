"""The Penn Treebank 3 as it is distributed: trees of many lines with traces, in folders or in an archive."""

import corpora
import pytest

from t2t_multimodel.data import trees
from t2t_multimodel.data.readers import archives, treebank
from t2t_multimodel.problems.wsj_parsing import WSJ_PARSING
from t2t_multimodel.utils.errors import DataError

LAYOUTS = [(packed, upper) for packed in (True, False) for upper in (True, False)]


def read(split, folder):
    return list(WSJ_PARSING.generate(split, folder))


@pytest.mark.parametrize(("packed", "upper"), LAYOUTS)
def test_sections_make_the_splits_and_other_corpora_none(tmp_path, packed, upper):
    corpora.treebank(tmp_path, packed, upper)
    sentences = {split: [example["inputs"] for example in read(split, tmp_path)] for split in ("train", "dev", "test")}
    assert sentences["train"] == ["Mr. Vinken is old -LRB- 61 -RRB- .", "The end", *["filler"] * 19]
    assert sentences["dev"] == ["It fell ."] and sentences["test"] == ["He rose ."]


def test_function_tags_indices_and_traces_are_gone(tmp_path):
    corpora.treebank(tmp_path, packed=False)
    example = read("train", tmp_path / "treebank_3")[0]
    assert example["targets"] == "(S (NP NNP NNP )NP (VP VBZ (S (ADJP JJ -LRB- CD -RRB- )ADJP )S )VP . )S"
    assert trees.restore(example["inputs"].split(), example["targets"]) is not None


def test_the_archive_may_lie_beside_nothing_else_and_be_a_zip(tmp_path):
    corpora.treebank(tmp_path / "files", packed=False)
    folder = tmp_path / "files" / "treebank_3"
    content = {f"treebank_3/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*.mrg")}
    corpora.write(tmp_path / "packed", {"LDC99T42.zip": corpora.zipped(content)})
    assert read("dev", tmp_path / "packed")[0]["inputs"] == "It fell ."


def test_a_damaged_tree_is_an_error_example_and_the_next_is_read(tmp_path):
    corpora.treebank(tmp_path, packed=False)
    path = tmp_path / "treebank_3/parsed/mrg/wsj/22/wsj_2200.mrg"
    path.write_text("\n( (S (NP (NN dog))\n   (VP\n( (NP (NN cat)) )\n( (NP (-NONE- *)) )\n")
    cut, whole, empty = read("dev", tmp_path)
    assert "line 2 of " in str(cut["error"]) and "wsj_2200.mrg: damaged tree" in str(cut["error"])
    assert whole["inputs"] == "cat"
    assert "line 5 of " in str(empty["error"]) and "only traces" in str(empty["error"])


def test_a_tree_in_another_encoding_is_an_error_example(tmp_path):
    corpora.treebank(tmp_path, packed=False)
    corpora.write(tmp_path, {"treebank_3/parsed/mrg/wsj/22/wsj_2201.mrg": "( (NP (NN caf\u00e9)) )".encode("latin-1")})
    assert "wsj_2201.mrg: the tree is not UTF-8" in str(read("dev", tmp_path)[1]["error"])


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(
        DataError, match=r"parsed/mrg/wsj/02/wsj_0200\.mrg and the others \(from https://catalog\.ldc\.upenn\.edu/LDC99T42"
    ):
        read("dev", tmp_path)
    corpora.treebank(tmp_path, packed=False)
    for section in ("07", "11"):
        (tmp_path / f"treebank_3/parsed/mrg/wsj/{section}/wsj_{section}00.mrg").unlink()
    with pytest.raises(DataError, match=r"has no trees of section 07, 11: parsed/mrg/wsj/07/wsj_0700\.mrg"):
        read("train", tmp_path)


@pytest.mark.parametrize("kept", [0.2, 0.7, 0.98])
def test_a_cut_archive_is_named(tmp_path, kept):
    corpora.treebank(tmp_path, packed=True)
    path = tmp_path / "treebank_3_LDC99T42.tgz"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(DataError, match=r"treebank_3_LDC99T42\.tgz.* is damaged, cut short"):
        read("train", tmp_path)


GOOD = "( (S (NP (NN dog))\n   (VP (VBZ barks))) )\n"
HEADER = "*x*x*x*x*x*\n*x*x*  Copyright (C) 1995 University of Pennsylvania  *x*x*\n*x*x*x*x*x*\n\n"


def examples(tmp_path, text):
    corpora.write(tmp_path, {"some.mrg": text.encode()})
    return list(treebank.examples(archives.Folder(tmp_path).open("some.mrg")))


@pytest.mark.parametrize("between", ["# a comment (with brackets\n", HEADER, "<S ID=1>\n", "%% also\n", "\n\n", ""])
def test_comments_and_headers_between_trees_are_passed_over(tmp_path, between):
    assert [e["inputs"] for e in examples(tmp_path, between + GOOD + between + GOOD + between)] == ["dog barks"] * 2


def test_other_text_between_trees_is_named_by_its_own_line_and_costs_no_tree(tmp_path):
    first, second, stray = examples(tmp_path, GOOD + "wsj_0001\n" + GOOD)[:3]
    assert first["inputs"] == "dog barks"
    assert "line 3 of " in str(second["error"]) and "'wsj_0001' stands outside of a tree" in str(second["error"])
    assert stray["inputs"] == "dog barks"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("( (S (NP (NN dog))\n   (VP barks (VBZ is))) )\n", 2, "holds both words and brackets"),
        ("( (S (NP (NN dog)))\n   (VP (VBZ barks))) )\n", 2, "a bracket is closed that was not opened"),
        ("( (S (NP (NN dog)))))\n   (VP (VBZ barks)))\n", 1, "a bracket is closed that was not opened"),
        ("( (S (NP (NN dog))\n   (VP (VBZ barks))\n", 1, "2 of its brackets are not closed"),
        ("(S (NP (NN dog))\n\n   ()\n   (VP (VBZ barks)))\n", 3, "holds nothing"),
        ("(S (NN a))\n   (NP (NN b))\n", 2, "an indented line behind a whole tree"),
        ("(A " * 300 + "(NN a)" + ")" * 300 + "\n", 1, "more than 200 deep"),
    ],
)
def test_a_damaged_tree_costs_no_other_and_its_culprit_is_named(tmp_path, text, line, reason):
    before, damaged, after = examples(tmp_path, GOOD + text + GOOD)
    assert before["inputs"] == after["inputs"] == "dog barks"
    assert f"line {line + 2} of " in str(damaged["error"]) and reason in str(damaged["error"])


def test_trees_may_share_a_line_or_all_be_indented(tmp_path):
    assert [e["inputs"] for e in examples(tmp_path, "(NN a) (NN b)\n")] == ["a", "b"]
    assert [e["inputs"] for e in examples(tmp_path, "  (S (NN a)\n    (NN b))\n  (NN c)\n")] == ["a b", "c"]


def test_a_backslash_is_a_letter(tmp_path):
    assert [e["inputs"] for e in examples(tmp_path, "(NP (NN C:\\) (NN 1\\/2))\n")] == ["C:\\ 1\\/2"]
