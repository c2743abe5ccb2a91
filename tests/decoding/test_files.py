"""Files of inputs: every line of input gives one prediction or None."""

from collections import Counter
from pathlib import Path

import numpy as np
import pictures
import pytest
import sounds
from PIL import Image as Picture

from t2t_multimodel.decoding.files import decode_lines, one_line, read_lines, read_raw, read_text
from t2t_multimodel.decoding.hypothesis import Hypothesis, Prediction
from t2t_multimodel.features import Audio, Image, ProblemSpec, Text
from t2t_multimodel.utils.errors import DataError


class FakeDecoder:
    """Predicts the input in capitals, or the size of a file."""

    def __init__(self, inputs):
        self._spec = ProblemSpec("fake", inputs, Text(), "to_fake")
        self.calls = []

    def spec(self, problem):
        return self._spec

    def longest_input(self, problem, raw):
        return "its first letter" if raw == "long" else ""

    def predict(self, problem, raws, batch_size, progress):
        self.calls.append(len(raws))
        texts = [raw.upper() if isinstance(raw, str) else f"{len(getattr(raw, 'content', raw))} bytes" for raw in raws]
        return [Prediction([Hypothesis(text, 0.0)], 1, 0.0) for text in texts]


def decode(decoder, lines, folder=Path(), batch_size=1, progress=None):
    damaged = []

    def report(number, error):
        damaged.append((number, error))

    blocks = decode_lines(decoder, "fake", lines, folder, batch_size, report, progress)
    return [answer.outputs[0].text if answer else "" for block in blocks for answer in block], damaged


def test_empty_and_damaged_lines_have_empty_outputs():
    lines = [b"a b", b"", b"\xff\xfe", b"  ", b"c\0d", "\u00fc".encode()]
    outputs, damaged = decode(FakeDecoder(Text()), lines)
    assert outputs == ["A B", "", "", "", "", "\u00dc"]
    assert damaged == [(3, "the line is not UTF-8 text"), (5, "the line holds control characters; expected text")]


def test_a_line_that_is_cut_is_told_and_answered():
    outputs, told = decode(FakeDecoder(Text()), [b"a", b"long"])
    assert outputs == ["A", "LONG"]
    assert told == [(2, "too long; cut to its first letter")]


def test_what_was_done_to_sounds_is_counted(tmp_path):
    stereo = np.stack([sounds.TONE, sounds.TONE], axis=1)
    files = {
        "plain.wav": sounds.write(),
        "high.flac": sounds.write(stereo, "FLAC", rate=16000),
        "gsm.wav": sounds.write(subtype="GSM610"),
    }
    files |= {"one.wav": sounds.write(sounds.TONE[:1], rate=44100), "cut.ogg": sounds.write(kind="OGG", subtype="OPUS")[:-9]}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    told, changed = {}, Counter()
    blocks = decode_lines(
        FakeDecoder(Audio(8000)), "fake", [name.encode() for name in files], tmp_path, 2, told.__setitem__, changed=changed
    )
    answers = [answer for block in blocks for answer in block]
    assert [answer.outputs[0].text if answer else "" for answer in answers] == ["4000 bytes", "2000 bytes", "4480 bytes", "", ""]
    assert changed == {"mixed down": 1, "resampled": 1}
    assert "one.wav is too short" in told[4] and "cut.ogg is cut short" in told[5] and len(told) == 2


def test_what_was_done_to_pictures_is_counted(tmp_path):
    files = pictures.files()
    for name in ("exif6<.jpg", "a.gif", "rgb.png", "transparent.png"):
        (tmp_path / name).write_bytes(files[name])
    changed = Counter()
    lines = [b"exif6<.jpg", b"a.gif", b"rgb.png", b"transparent.png", b"transparent.png"]
    list(decode_lines(FakeDecoder(Image()), "fake", lines, tmp_path, 2, print, changed=changed))
    assert changed == {"turned upright (EXIF)": 1, "laid over white (transparent)": 2, "converted from GIF to PNG": 1}


def test_images_are_found_beside_the_file_that_names_them(tmp_path):
    Picture.new("RGB", (4, 4)).save(tmp_path / "a b.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a b.png").read_bytes()[:-16])
    size = (tmp_path / "a b.png").stat().st_size
    outputs, damaged = decode(FakeDecoder(Image()), [b"a b.png", b"cut.png", b"none.png", b"'a b.png'", b"."], tmp_path)
    assert outputs == [f"{size} bytes", "", "", f"{size} bytes", ""]
    assert [number for number, _ in damaged] == [2, 3, 5]
    assert "cut.png is a" in damaged[0][1]
    assert "there is no file 'none.png'; expected the path of an image" in damaged[1][1]
    assert "is no file; expected the path of an image" in damaged[2][1]


def test_few_files_are_held_at_a_time_and_all_of_the_text(tmp_path):
    Picture.new("RGB", (4, 4)).save(tmp_path / "a.png")
    images, text = FakeDecoder(Image()), FakeDecoder(Text())
    decode(images, [b"a.png"] * 10, tmp_path)
    decode(text, [b"a"] * 10)
    assert images.calls == [4, 4, 2]
    assert text.calls == [10]


def test_progress_counts_skipped_lines():
    done = []
    decode(FakeDecoder(Text()), [b"a", b"", b"\xff"], progress=done.append)
    assert done == [2]


def test_lines_end_with_newlines_alone(tmp_path):
    path = tmp_path / "in"
    path.write_bytes("\ufeffa\u2028b\r\n\nc".encode())
    assert read_lines(path) == ["a\u2028b".encode(), b"", b"c"]
    path.write_bytes(b"")
    assert read_lines(path) == []


def test_text_from_a_terminal_may_be_damaged_too():
    with pytest.raises(DataError, match="not UTF-8"):
        read_text("\udcff")


def test_a_name_too_long_for_a_path_is_no_file():
    with pytest.raises(DataError, match="there is no file"):
        read_raw(Audio(), "x" * 5000)


def test_an_output_is_one_line_and_steers_no_terminal():
    assert one_line("a\nb\u2028c\x1b[2Jd\te") == "a b c [2Jd\te"
