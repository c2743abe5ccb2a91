"""Lists of examples in columns or JSON are read; the message about a bad line names its fault."""

import gzip

import pytest

from t2t_multimodel.data.readers import archives, row_files
from t2t_multimodel.utils.errors import DataError

NAMES = ("path", "caption")


def read(tmp_path, content, name="list.tsv", several=False):
    (tmp_path / name).write_bytes(content)
    return list(row_files.rows(archives.Folder(tmp_path).open(name), row_files.Columns(NAMES, several)))


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
        ("list.csv", b'path,caption\r\n"a.jpg","a caf\xc3\xa9"\r\n\r\nb.jpg,b\r\n'),
        ("list.csv", b"a.jpg;a caf\xc3\xa9\nb.jpg;b\n"),
        ("list.csv.gz", gzip.compress(b"\xef\xbb\xbfImage,split,Caption\na.jpg,train,a caf\xc3\xa9\nb.jpg,dev,b\n", mtime=0)),
        ("list.tsv", b"\xef\xbb\xbfpath\tcaption\na.jpg\ta caf\xc3\xa9\nb.jpg\tb"),
        ("list.tsv", b"\xef\xbb\xbfa.jpg\ta caf\xc3\xa9\nb.jpg\tb"),
        ("list.tsv", b"id\ttext\tfile_name\n1\ta caf\xc3\xa9\ta.jpg\n2\tb\tb.jpg"),
        ("list.jsonl", b'\xef\xbb\xbf{"file_name": "a.jpg", "text": "a caf\xc3\xa9"}\n{"image": "b.jpg", "captions": "b"}\n'),
    ],
)
def test_columns_and_json_are_read_alike(tmp_path, name, content):
    found = read(tmp_path, content, name)
    assert [row.values for row in found] == [["a.jpg", "a café"], ["b.jpg", "b"]]
    assert found[0].origin.endswith(f"of {tmp_path / name}") and not any(row.error for row in found)


def test_a_value_in_quotes_may_have_commas_quotes_and_line_ends(tmp_path):
    found = read(tmp_path, b'a,"b, ""c""\nd"\ne,f\n"g', "l.csv")
    assert [row.values for row in found[:2]] == [["a", 'b, "c"\nd'], ["e", "f"]]
    assert str(found[2].error).startswith(f"line 4 of {tmp_path / 'l.csv'}: unexpected end of data; a text in quotes ends with")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'"a,b', "line 2 of l.csv: unexpected end of data; a text in quotes ends with a quote"),
        (b'a,"b', "line 2 of l.csv: unexpected end of data; a text in quotes ends with a quote"),
        (b'a,"b\nc,"d"', "line 2 of l.csv: ',' expected after '\"'; a text in quotes ends with a quote"),
        (b'"a,b\n\xff,c', "line 2 of l.csv: a quote is opened and not closed; a text in quotes ends with a quote"),
    ],
)
def test_a_quote_that_is_not_closed_costs_its_line_alone(tmp_path, line, reason):
    found = read(tmp_path, b"a,b\n" + line + b"\n" + b"e,f\n" * 2000, "l.csv")
    assert str(found[1].error).replace(f"{tmp_path}/", "").startswith(reason)
    assert [row.values for row in found if not row.error][-2000:] == [["e", "f"]] * 2000
    assert len(found) == 2 + line.count(b"\n") + 2000
    assert [row.number for row in found] == list(range(1, len(found) + 1))


def test_a_header_picks_columns_and_says_how_many_a_line_has(tmp_path):
    found = read(tmp_path, b"path\tcaption\tcaption\na\tb\tc\nd\te\n", several=True)
    assert found[0].values == ["a", "b", "c"]
    found = read(tmp_path, b"caption,x,path\na,b,c\nd,e\n", "l.csv")
    assert found[0].values == ["c", "a"]
    assert "2 columns instead of 3: caption and x and path, with a comma between" in str(found[1].error)


def test_a_header_that_names_the_files_alone_is_an_error(tmp_path):
    with pytest.raises(
        DataError, match=r"line 1 of .*l\.tsv names the columns file_name, label; expected path \(or file_name, .*"
    ):
        read(tmp_path, b"file_name\tlabel\na.jpg\tb\n", "l.tsv")


def test_the_last_may_have_several_values(tmp_path):
    assert read(tmp_path, b"a\tb\tc\n", several=True)[0].values == ["a", "b", "c"]
    found = read(tmp_path, b'{"path": "a", "caption": ["b", "c"]}\n{"path": "a", "caption": "b"}', "l.jsonl", several=True)
    assert [row.values for row in found] == [["a", "b", "c"], ["a", "b"]]


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("l.tsv", b"a b", "1 column instead of 2: path and caption, with a tab between; a list with commas must be called .csv"),
        (
            "l.csv",
            b"a,b,c",
            "3 columns instead of 2: path and caption, with a comma between; texts with a comma must be in quotes",
        ),
        ("l.csv", b'"a" b,c', "expected after '\"'"),
        ("l.csv", b"a,\xff", "is not UTF-8"),
        ("l.tsv", b"a\tb\tc", "3 columns instead of 2"),
        ("l.tsv", b"a\t\xff", "is not UTF-8"),
        ("l.jsonl", b"{", "Expecting property name"),
        ("l.jsonl", b"[1]", 'expected {"path": "...", "caption": "..."}, got [1]'),
        ("l.jsonl", b'{"path": "a", "label": "b"}', 'expected {"path": "...", "caption": "..."}, got {"path": "a", "label"'),
        ("l.jsonl", b'{"path": "a", "caption": 3}', "expected texts as in"),
        ("l.jsonl", b'{"path": "a", "caption": []}', "expected texts as in"),
    ],
)
def test_a_faulty_line_is_named_and_the_next_is_read(tmp_path, name, line, message):
    good = {"l.jsonl": b'{"path": "a", "caption": "b"}', "l.csv": b"a,b"}.get(name, b"a\tb")
    before, faulty, after = read(tmp_path, b"\n".join([good, line, good]), name, several=b"[]" in line)
    assert str(faulty.error).startswith(f"line 2 of {tmp_path / name}: ") and message in str(faulty.error)
    assert before.values == after.values == ["a", "b"]


def test_a_damaged_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"list\.tsv\.gz is damaged"):
        read(tmp_path, gzip.compress(b"a\tb\n" * 90)[:20], "list.tsv.gz")
