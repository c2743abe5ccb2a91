"""The text that mm-datagen --inspect prints, and its page, one file with pictures and sound inside."""

import base64
import io
import re

import inspected
import numpy as np
import pytest
import soundfile
from PIL import Image

from t2t_multimodel.cli import datagen
from t2t_multimodel.data.inspection import Inspected, Measured
from t2t_multimodel.features import Label
from t2t_multimodel.reports import inspection_page
from t2t_multimodel.reports.inspection_page import histogram, show
from t2t_multimodel.utils.errors import DataError


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The printed text and the page."""
    folder = inspected.make(tmp_path_factory.mktemp("data"))
    texts = []
    show(folder, ["texts", "trees", "pictures", "sounds"], texts.append)
    return "\n".join(texts), (folder / "inspect.html").read_text(encoding="utf-8")


def test_tables_come_before_the_page_is_written(tmp_path, monkeypatch):
    def refuse(path, content):
        raise PermissionError(13, "Permission denied", str(path))

    folder, texts = inspected.make(tmp_path), []
    monkeypatch.setattr(inspection_page, "write_atomically", refuse)
    with pytest.raises(DataError, match="inspect.html could not be written: Permission denied; the tables are complete"):
        show(folder, ["texts"], texts.append)
    assert cells("\n".join(texts), "texts", "dev", "5", "5", "inputs (text)")


def test_many_classes_are_folded_behind_the_largest_and_the_smallest():
    classes = {f"c{i:02}": 100 - i for i in range(50)}
    side = Measured(Label(tuple(classes)), np.zeros(0), classes=classes)
    table, fold = inspection_page._class_blocks(Inspected("many", "train", 9, 9, {"targets": side}, []))
    names = [name for name, _ in table.rows]
    assert names == [*list(classes)[:10], "...", *list(classes)[-10:]]
    assert table.rows[10][1] == "30 more"
    assert [name for name, _ in fold.blocks[0].rows] == list(classes)


def contents(page, kind):
    return [base64.b64decode(found) for found in re.findall(f'src="data:{kind};base64,([^"]+)"', page)]


def cells(text, *beginning):
    """Returns the columns of the table's line that begins with the given text."""
    rows = (re.split(r"  +", line) for line in text.splitlines())
    return next(row for row in rows if row[: len(beginning)] == list(beginning))


def test_the_table_has_a_line_a_side(shown):
    text, _ = shown
    assert cells(text, "problem")[:6] == ["problem", "split", "examples", "read", "side", "sizes"]
    texts = cells(text, "texts", "dev", "5", "5", "inputs (text)")
    assert re.fullmatch(r"\d+ [·▁▂▃▄▅▆▇█]+ \d+ tokens", texts[5]) and re.fullmatch(r"\d+ tokens", texts[7])
    assert cells(text, "trees", "dev", "1", "1", "targets (tree)")[5:] == ["9 tokens", "9", "9 tokens", "1.00", "0.0%"]
    assert cells(text, "pictures", "dev", "2", "2", "targets (class)")[5] == "1 of 2 classes"
    assert cells(text, "sounds", "dev", "3", "3", "inputs (sound)")[-1] == "0.4 minutes"
    assert "pictures dev: cat 2, dog 0" in text.splitlines()


def test_examples_are_printed_in_words(shown):
    text, _ = shown
    assert "trees dev: the dog runs -> (S (NP (DT the) (NN dog)) (VP (VBZ runs)))" in text.splitlines()
    assert len(re.findall(r"^texts dev: .+ -> (?:ein <Hund>|wrong)$", text, re.MULTILINE)) == 3
    assert re.search(r"^sounds dev: \(sound, 16,000 bytes\) -> a dog$", text, re.MULTILINE)


def test_the_page_needs_no_other_file(shown):
    _, page = shown
    assert page.startswith("<!DOCTYPE html>")
    assert not re.findall(r'(?:src|href)="(?!data:)', page) and "<script" not in page


def test_pictures_are_scaled_and_shown(shown):
    _, page = shown
    sizes = {Image.open(io.BytesIO(content)).size for content in contents(page, "image/png")}
    # 48 x 40 four times as large, 300 x 500 down to a shorter side of 160.
    assert {(192, 160), (160, 267)} < sizes


def test_sound_can_be_played_and_long_sound_is_cut(shown):
    _, page = shown
    sounds = [soundfile.read(io.BytesIO(content), dtype="int16") for content in contents(page, "audio/wav")]
    assert sorted(len(samples) for samples, _ in sounds) == sorted([8000, 16000, 320000] * 2)
    assert {rate for _, rate in sounds} == {16000} and (sounds[0][0] == 100).all()
    assert "the first 20 of 25 seconds" in page


def test_texts_of_the_data_are_only_text(shown):
    _, page = shown
    assert "ein &lt;Hund&gt;" in page and "<Hund>" not in page
    assert '<td data-label="targets">wrong</td>' in page  # Not marked as a wrong answer.
    assert "(S (NP (DT the) (NN dog)) (VP (VBZ runs)))" in page


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([4, 4, 4], "4"),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] * 100, "1 ████████████ 12"),
        ([1] * 80 + [12] * 10, "1 █··········▁ 12"),
        ([3] * 999 + [500], "3 █ 500"),
        ([0.25, 0.5], "0.25 █··········█ 0.50"),
    ],
)
def test_a_histogram_is_one_line(sizes, expected):
    assert histogram(np.array(sizes)) == expected


def test_the_command_needs_records_and_no_problems(tmp_path, capsys):
    assert datagen.main(["--inspect", f"--data_dir={tmp_path}"]) == 2
    assert "has no records to inspect; mm-datagen --problems=... makes some" in capsys.readouterr().err
    assert datagen.main(["--inspect"]) == 2
    assert "--data_dir must be given" in capsys.readouterr().err
    inspected.make(tmp_path)
    assert datagen.main(["--inspect", f"--data_dir={tmp_path}"]) == 0
    assert capsys.readouterr().out.rstrip().endswith(f"{tmp_path}/inspect.html")
    assert datagen.main(["--inspect", f"--data_dir={tmp_path}", "--problems=mini_ende"]) == 2
    assert "mini_ende" in capsys.readouterr().err
