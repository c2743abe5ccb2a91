"""Whatever is typed at the prompt or stands in a file: no crash, and an answer per line. The slow tests try 10,000 lines."""

import io
import sys

import numpy as np
import pytest
import small_run

from t2t_multimodel.cli import decoder
from t2t_multimodel.decoding import interactive
from t2t_multimodel.decoding.strategies import Greedy
from t2t_multimodel.inference import open_predictor

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
def test_random_lines_on_a_pipe_have_an_answer_each(run_dir, monkeypatch, capsys, count):
    lines = [*random_lines(count), b":quit", b"x" * 100_000]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"".join(line + b"\n" for line in lines))))
    assert decoder.main([f"--output_dir={run_dir}", "--problems=ende", "--beam_size=1"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == len(lines)
    assert captured.err.rstrip().endswith("too long; cut to its first 23 tokens")
    assert "Traceback" not in captured.err


COMMANDS = [name.partition(" ")[0] for name in interactive.COMMANDS if name != ":quit"]


def random_commands(count):
    """Yields lines of commands, as a terminal gives them: random names, and the prompt's own names with random arguments."""
    for number, line in enumerate(random_lines(count)):
        name = COMMANDS[number % len(COMMANDS)] + " " if number % 3 else ":"
        yield name + line[:40].decode("utf-8", "surrogateescape")


@LINES
def test_random_commands_are_explained_or_obeyed(run_dir, monkeypatch, count):
    predictor, _ = open_predictor(run_dir, Greedy())
    monkeypatch.setattr(predictor, "warm_up", lambda problem: None)  # tracing takes seconds, for each number of beams
    said, answers = [], []
    session = interactive.Session(predictor, "ende", answers.append, said.append)
    for command in [*random_commands(count), ":beam 99", ":nbest x", ":problem", ":well_formed on", ":beam 1", ":problem ende"]:
        before = len(said)
        assert session.handle(command), command
        assert len(said) > before or command.split()[0] in (":beam", ":nbest", ":sample", ":well_formed", ":problem"), command
    assert session.handle("a") and len(answers) == 1
    assert any("unknown command" in line for line in said) and any(":beam takes" in line for line in said)
    assert not session.handle(":quit")
