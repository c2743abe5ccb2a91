"""Files of JSON lines have one line per object, whatever text is in it."""

import json

import pytest

from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.json_lines import json_line, json_lines, newest_by_step, read_json_lines

TEXTS = ["a\u2028b", "\u2029", "x\x85y", "a\nb\r\n\x0b\x0c\x1c", "\ud800 half", "ein \u00dc", "\ufeff", '"\\']


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_any_text_comes_back_from_one_line(text, tmp_path):
    line = json_line({"output": text})
    assert line.splitlines(keepends=True) == [line]
    (tmp_path / "rows.jsonl").write_bytes(json_lines([{"output": text}, {"output": "next"}]))
    assert read_json_lines(tmp_path / "rows.jsonl") == [{"output": text}, {"output": "next"}]


def test_letters_stay_readable():
    assert json_line({"output": "Gr\u00f6\u00dfe \u4e2d"}) == '{"output": "Gr\u00f6\u00dfe \u4e2d"}\n'


def test_lines_of_earlier_versions_and_a_line_that_was_cut_are_read(tmp_path):
    earlier = json.dumps({"output": "a\u2028b"}, ensure_ascii=False) + "\n"
    (tmp_path / "rows.jsonl").write_bytes(earlier.encode() + '{"output": "\u00dc'.encode()[:-1])
    assert read_json_lines(tmp_path / "rows.jsonl") == [{"output": "a\u2028b"}]


@pytest.mark.parametrize("line", ["{", "[1]"])
def test_a_damaged_line_is_named(line, tmp_path):
    (tmp_path / "rows.jsonl").write_text("{}\n" + line + "\n")
    with pytest.raises(DataError, match=r"rows\.jsonl, line 2 is damaged: "):
        read_json_lines(tmp_path / "rows.jsonl")


def test_scores_of_evaluate_are_before_the_trainers_own_of_the_step():
    rows = [{"step": 2, "loss": 3.0, "bleu": 9.0, "schedule": "evaluate"}, {"step": 1, "loss": 5.0}, {"step": 2, "loss": 4.0}]
    assert newest_by_step(rows) == [{"step": 1, "loss": 5.0}, {"step": 2, "loss": 3.0, "bleu": 9.0, "schedule": "evaluate"}]
