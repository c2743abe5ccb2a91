"""Whatever is typed at the prompt or stands in a file: no crash, an answer a line. The slow tests try 10,000 lines."""

import io
import sys

import numpy as np
import pytest
import small_run

from t2t_multimodel.cli import decoder

LINES = pytest.mark.parametrize("count", [120, pytest.param(10_000, marks=pytest.mark.slow)])
ALPHABETS = [
    [*"abcdefghij klmnop qrst ,.'\""],
    [chr(code) for code in range(0x20)],
    [chr(code) for code in range(0x5D0, 0x5EA)] + ["\u202e", "\u200f", " "],
    ["\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\ufe0f", " "],
    [chr(code) for code in range(0x4E00, 0x4E40)] + ["\u2581", "\u2028", "\ufdd0", "\x85"],
    [*"()<>:/\\%${}`-_~ "],
]


def random_lines(count):
    """Bytes without newlines: text of several alphabets, plain bytes, and some that are very long."""
    random = np.random.default_rng(1)
    for number in range(count):
        length = int(random.choice([0, 1, 5, 30, 200, 100_000], p=[0.05, 0.1, 0.3, 0.3, 0.23, 0.02]))
        if number % 5 == 0:
            line = random.integers(0, 256, length, dtype=np.uint8).tobytes()
        else:
            line = "".join(random.choice(ALPHABETS[number % len(ALPHABETS)], length)).encode()
        yield line.replace(b"\n", b" ")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return small_run.make(tmp_path_factory.mktemp("run"))


@LINES
def test_a_file_of_random_lines_has_an_output_for_each(run_dir, tmp_path, capsys, count):
    lines = [*random_lines(count), b"x" * 100_000]
    (tmp_path / "in").write_bytes(b"".join(line + b"\n" for line in lines))
    for problem in ("ende", "parse", "caption"):
        flags = [f"--problems={problem}", f"--decode_from_file={tmp_path / 'in'}", f"--decode_to_file={tmp_path / 'out'}"]
        assert decoder.main([f"--output_dir={run_dir}", *flags]) == 1  # some are damaged
        outputs = (tmp_path / "out").read_bytes().split(b"\n")
        assert len(outputs) == len(lines) + 1
        assert not outputs[-1]
        errors = capsys.readouterr().err
        assert "Traceback" not in errors


@LINES
def test_random_lines_at_the_prompt_have_an_answer_each(run_dir, monkeypatch, capsys, count):
    lines = [line for line in random_lines(count) if not line.strip().startswith(b":")] + [b"x" * 100_000]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"".join(line + b"\n" for line in lines))))
    assert decoder.main([f"--output_dir={run_dir}", "--problems=ende", "--beam_size=1"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == len(lines)
    assert captured.err.rstrip().endswith("too long; cut to its first 23 tokens")
    assert "Traceback" not in captured.err


@LINES
def test_random_commands_are_explained_or_obeyed(run_dir, monkeypatch, capsys, count):
    commands = [b":" + line[:40] for line in random_lines(count)] + [b":beam 99", b":nbest x", b":problem", b"a"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"".join(line + b"\n" for line in commands))))
    assert decoder.main([f"--output_dir={run_dir}", "--problems=ende", "--beam_size=1"]) == 0
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.out.strip("\n")
