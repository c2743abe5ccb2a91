"""The folder in which a corpus is looked for, and the order in which long files are read."""

import itertools

import pytest

from t2t_multimodel.data.readers import corpora
from t2t_multimodel.utils.errors import DataError


def test_a_corpus_may_have_a_folder_of_its_own(tmp_path):
    assert corpora.folder_of("wsj", tmp_path) == tmp_path
    (tmp_path / "wsj").mkdir()
    assert corpora.folder_of("wsj", tmp_path) == tmp_path / "wsj"


def test_names_are_found_in_either_case(tmp_path):
    (tmp_path / "WSJ0" / "doc").mkdir(parents=True)
    (tmp_path / "WSJ0" / "doc" / "A.NDX").touch()
    assert corpora.find(tmp_path, "wsj0/doc/a.ndx") == tmp_path / "WSJ0" / "doc" / "A.NDX"
    assert corpora.find(tmp_path, "wsj0/doc/b.ndx") is None


def test_streams_take_turns_until_all_have_ended():
    assert "".join(corpora.round_robin([iter("ace"), iter(""), iter("bd"), iter("x")])) == "abxcde"
    assert list(itertools.islice(corpora.round_robin([itertools.count()]), 3)) == [0, 1, 2]


def test_nothing_missing_is_no_error_and_everything_missing_is_one(tmp_path):
    corpora.require("X", tmp_path, [])
    with pytest.raises(DataError, match=r"^X is not complete; put into .*: a\.tar, c\.tar \(from b\); d\.tar \(from e\)$"):
        corpora.require("X", tmp_path, [corpora.Missing(*pair) for pair in (("a.tar", "b"), ("d.tar", "e"), ("c.tar", "b"))])
