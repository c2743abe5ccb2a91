"""Lists of examples: columns or JSON, and what is wrong with a line."""

import gzip

import pytest

from t2t_multimodel.data.readers import archives, row_files
from t2t_multimodel.utils.errors import DataError

NAMES = ("path", "caption")


def read(tmp_path, content, name="list.tsv", several=False):
    (tmp_path / name).write_bytes(content)
    return list(row_files.rows(archives.Folder(tmp_path).open(name), NAMES, several))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.tsv", b"a.jpg\ta caf\xc3\xa9\n\nb.jpg\tb\r\n"),
        ("list.txt", b"path\tcaption\na.jpg\ta caf\xc3\xa9\nb.jpg\tb"),
        ("list.tsv.gz", gzip.compress(b"a.jpg\ta caf\xc3\xa9\nb.jpg\tb\n", mtime=0)),
        ("list.jsonl", b'{"path": "a.jpg", "caption": "a caf\xc3\xa9", "id": 3}\n{"caption": "b", "path": "b.jpg"}\n'),
        (
            "list.jsonl.gz",
            gzip.compress(b'{"path": "a.jpg", "caption": "a caf\\u00e9"}\n{"path": "b.jpg", "caption": "b"}', mtime=0),
        ),
    ],
)
def test_columns_and_json_are_read_alike(tmp_path, name, content):
    found = read(tmp_path, content, name)
    assert [row.values for row in found] == [["a.jpg", "a café"], ["b.jpg", "b"]]
    assert found[0].origin.endswith(f"of {tmp_path / name}") and not any(row.error for row in found)


def test_the_last_may_have_several_values(tmp_path):
    assert read(tmp_path, b"a\tb\tc\n", several=True)[0].values == ["a", "b", "c"]
    found = read(tmp_path, b'{"path": "a", "caption": ["b", "c"]}\n{"path": "a", "caption": "b"}', "l.jsonl", several=True)
    assert [row.values for row in found] == [["a", "b", "c"], ["a", "b"]]


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("l.tsv", b"a b", "1 columns instead of 2: path and caption, with a tab between"),
        ("l.tsv", b"a\tb\tc", "3 columns instead of 2"),
        ("l.tsv", b"a\t\xff", "is not UTF-8"),
        ("l.jsonl", b"{", "Expecting property name"),
        ("l.jsonl", b"[1]", 'expected {"path": "...", "caption": "..."}, got [1]'),
        ("l.jsonl", b'{"path": "a", "text": "b"}', 'expected {"path": "...", "caption": "..."}, got {"path": "a", "text"'),
        ("l.jsonl", b'{"path": "a", "caption": 3}', "expected texts as in"),
        ("l.jsonl", b'{"path": "a", "caption": []}', "expected texts as in"),
    ],
)
def test_a_faulty_line_is_named_and_the_next_is_read(tmp_path, name, line, message):
    good = b'{"path": "a", "caption": "b"}' if name == "l.jsonl" else b"a\tb"
    before, faulty, after = read(tmp_path, b"\n".join([good, line, good]), name, several=b"[]" in line)
    assert str(faulty.error).startswith(f"line 2 of {tmp_path / name}: ") and message in str(faulty.error)
    assert before.values == after.values == ["a", "b"]


def test_a_damaged_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"list\.tsv\.gz is damaged"):
        read(tmp_path, gzip.compress(b"a\tb\n" * 90)[:20], "list.tsv.gz")
