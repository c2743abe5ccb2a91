"""mm-decoder decodes files and at a prompt, from a run's directory alone, and prints one line per mistake."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sounds

from t2t_multimodel.cli import common, decoder
from t2t_multimodel.config import HParams
from t2t_multimodel.data.vocabulary import train_vocabulary
from t2t_multimodel.decoding.forced import Attention, PairScore
from t2t_multimodel.decoding.hypothesis import Hypothesis, Prediction
from t2t_multimodel.decoding.strategies import BeamSearch, Greedy, Sampling
from t2t_multimodel.features import Audio, Image, ProblemSpec, Text
from t2t_multimodel.runs.run_config import RunConfig

ENDE = ProblemSpec("mini_ende", Text(), Text(), "to_german")
SPEECH = ProblemSpec("mini_speech", Audio(8000), Text(), "to_english")
CAPTION = ProblemSpec("mini_caption", Image(16, 16), Text(), "to_english")
SMALL = (
    "hidden_size=16,num_heads=2,encoder_blocks=2,mixer_blocks=1,decoder_blocks=2,num_experts=4,moe_k=2,moe_hidden_size=16,"
    "max_length=8,vocab_size=300"
)


class FakeDecoder:
    """A Predictor that returns its input in capitals."""

    def __init__(self, *specs):
        self.specs = {spec.name: spec for spec in specs}
        self.well_formed_trees = True

    def spec(self, problem):
        return self.specs[problem]

    def longest_input(self, problem, raw):
        return "its first letter" if raw == "long" else ""

    def predict(self, problem, raws, batch_size=1, progress=None):
        best = getattr(self.strategy, "n_best", 1)
        return [
            Prediction([Hypothesis(raw.upper() if isinstance(raw, str) else "A SOUND", -float(i)) for i in range(best)], 2, 0.25)
            for raw in raws
        ]

    def warm_up(self, problem):
        pass


@pytest.fixture(autouse=True)
def no_registries(monkeypatch):
    monkeypatch.setattr(common, "load_registries", lambda *args: None)


def save_config(folder, *specs, **changes):
    RunConfig("tiny", HParams().override(SMALL), specs, **{"vocab_size": 300, "vocabulary_sha256": "", **changes}).save(folder)


def load_fake(args):
    fake = FakeDecoder(ENDE, CAPTION, SPEECH)
    fake.strategy = decoder.strategy_of(args)
    return fake, "a fake"


@pytest.fixture
def output_dir(tmp_path, monkeypatch):
    """A run's directory with a config of two problems, for which a FakeDecoder is loaded."""
    folder = tmp_path / "run"
    save_config(folder, ENDE, CAPTION, SPEECH, data_dir="data")
    monkeypatch.setattr(decoder, "load", load_fake)
    return folder


@pytest.fixture
def run(output_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.txt").write_bytes(b"a dog\n\na cat")
    (tmp_path / "out.txt").write_text("old\n")
    return lambda *flags: decoder.main([f"--output_dir={output_dir}", *flags])


def test_a_file_is_decoded_line_by_line(run, tmp_path):
    assert run("--problems=mini_ende", "--decode_from_file=in.txt", "--decode_to_file=out.txt") == 0
    assert (tmp_path / "out.txt").read_bytes() == b"A DOG\n\nA CAT\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "out.txt", "run"]


def test_without_a_file_to_write_outputs_go_to_stdout(run, capfdbinary):
    assert run("--problems=mini_ende", "--decode_from_file=in.txt") == 0
    assert capfdbinary.readouterr().out == b"A DOG\n\nA CAT\n"


def test_damaged_lines_are_named_and_the_rest_is_decoded(run, tmp_path, capsys):
    (tmp_path / "in.txt").write_bytes(b"a\n\xff\nb\n" + b"\xff\n" * 30)
    assert run("--problems=mini_ende", "--decode_from_file=in.txt", "--decode_to_file=out.txt") == 1
    assert (tmp_path / "out.txt").read_bytes() == b"A\n\nB\n" + b"\n" * 30
    lines = capsys.readouterr().err.splitlines()[1:]
    assert lines[0] == "mm-decoder: in.txt, line 2: the line is not UTF-8 text"
    assert lines[-1] == "mm-decoder: and 11 more such lines"
    assert len(lines) == 21


def test_an_image_that_is_not_there_is_named(run, tmp_path, capsys):
    (tmp_path / "in.txt").write_text("none.png\n")
    assert run("--problems=mini_caption", "--decode_from_file=in.txt", "--decode_to_file=out.txt") == 1
    assert (tmp_path / "out.txt").read_text() == "\n"
    assert "in.txt, line 1: there is no file 'none.png'" in capsys.readouterr().err


def test_what_was_done_to_sounds_is_told(run, tmp_path, capsys):
    stereo = np.stack([sounds.TONE, sounds.TONE], axis=1)
    (tmp_path / "a.wav").write_bytes(sounds.write(stereo))
    (tmp_path / "b.flac").write_bytes(sounds.write(kind="FLAC", rate=16000))
    (tmp_path / "c.wav").write_bytes(sounds.write(subtype="GSM610")[:-500])
    (tmp_path / "in.txt").write_text("a.wav\nb.flac\nc.wav\n")
    assert run("--problems=mini_speech", "--decode_from_file=in.txt") == 1
    captured = capsys.readouterr()
    assert captured.out == "A SOUND\nA SOUND\n\n"
    assert "changed: 1 mixed down, 1 resampled\n" in captured.err and "line 3: c.wav is cut short" in captured.err


def test_a_piped_line_is_answered_by_the_first_problem(run, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a dog\n")))
    assert run() == 0
    captured = capsys.readouterr()
    assert captured.out == "A DOG\n"
    assert captured.err == "a fake\nevery line is an input of mini_ende\n"


def test_json_lines_hold_inputs_outputs_scores_and_times(run, tmp_path, capsys):
    flags = ("--output_format=jsonl", "--beam_size=3", "--n_best=2")
    assert run("--problems=mini_ende", "--decode_from_file=in.txt", "--decode_to_file=out.txt", *flags) == 0
    rows = [json.loads(line) for line in (tmp_path / "out.txt").read_text().splitlines()]
    outputs = [{"text": "A DOG", "score": 0.0}, {"text": "A DOG", "score": -1.0}]
    assert rows[0] == {"input": "a dog", "outputs": outputs, "seconds": 0.25}
    assert rows[1] == {"input": "", "outputs": [], "seconds": 0.0}
    assert len(rows) == 3
    assert capsys.readouterr().err.startswith("3 lines, 4 tokens, ")


def test_json_lines_have_tokens_and_attention_where_they_are_asked_for(run, tmp_path, monkeypatch):
    asked = []

    def predict(self, problem, raws, batch_size=1, progress=None, **details):
        asked.append(details)
        attention = Attention(np.array([[0.25, 0.75], [0.12345, 0.87655]], "float32"), (1, 2)) if "attention" in details else None
        pair = PairScore(-1.5, [-1.0, -0.5], [" A", ""], attention)
        return [Prediction([Hypothesis("A", -1.5, pair=pair)], 2, 0.25, source=[" a", ""]) for _ in raws]

    monkeypatch.setattr(FakeDecoder, "predict", predict)
    flags = ("--problems=mini_ende", "--decode_from_file=in.txt", "--decode_to_file=out.txt", "--output_format=jsonl")
    for flag in ("token_scores", "attention"):
        assert run(*flags, f"--{flag}") == 0
        row = json.loads((tmp_path / "out.txt").read_text().splitlines()[0])
        weights = {"attention": [[0.25, 0.75], [0.1235, 0.8766]], "attention_shape": [1, 2]} if flag == "attention" else {}
        wanted = {"text": "A", "score": -1.5, "tokens": [" A", ""], "token_log_probs": [-1.0, -0.5], **weights}
        assert row == {"input": "a dog", "outputs": [wanted], "input_tokens": [" a", ""], "seconds": 0.25}
    assert asked == [{"token_scores": True}, {"attention": True}]


@pytest.mark.parametrize("flag", ["--token_scores", "--attention"])
def test_token_scores_need_a_file_and_json_lines(run, capsys, flag):
    for others in ([], ["--problems=mini_ende", "--decode_from_file=in.txt"]):
        assert run(flag, *others) == 2
        assert f"{flag} goes with --decode_from_file and --output_format=jsonl" in capsys.readouterr().err


def test_trees_are_marked_in_json_lines_and_raw_where_that_is_asked_for():
    assert decoder._json_of(Hypothesis("(S", -1.0, False)) == {"text": "(S", "score": -1.0, "well_formed": False}
    for given, expected in (([], True), (["--nowell_formed_trees"], False)):
        flags = decoder.command_flags()
        flags.values(["mm-decoder", *given])
        assert flags.values.well_formed_trees is expected


def test_shards_are_files_beside_each_other_that_make_up_the_whole(run, tmp_path):
    for shard in range(2):
        flags = ("--shards=2", f"--shard_id={shard}")
        assert run("--problems=mini_ende", "--decode_from_file=in.txt", "--decode_to_file=all.txt", *flags) == 0
    parts = [tmp_path / f"all.txt-0000{shard}-of-00002" for shard in range(2)]
    assert b"".join(part.read_bytes() for part in parts) == b"A DOG\n\nA CAT\n"
    assert not (tmp_path / "all.txt").exists()


def test_a_line_that_is_cut_is_told_but_is_no_failure(run, tmp_path, capsys):
    (tmp_path / "in.txt").write_text("a\nlong\n")
    assert run("--problems=mini_ende", "--decode_from_file=in.txt", "--decode_to_file=out.txt") == 0
    assert (tmp_path / "out.txt").read_text() == "A\nLONG\n"
    assert capsys.readouterr().err.splitlines()[1:] == ["mm-decoder: in.txt, line 2: too long; cut to its first letter"]


@pytest.mark.parametrize(
    ("flags", "strategy"),
    [
        ([], BeamSearch(4, 0.6)),
        (["--beam_size=1"], Greedy()),
        (["--beam_size=8", "--alpha=1", "--n_best=2"], BeamSearch(8, 1.0, 2)),
        (["--sample", "--temperature=0.5", "--top_k=9", "--top_p=0.9", "--seed=3"], Sampling(0.5, 9, 0.9, 3)),
    ],
)
def test_flags_name_the_search(flags, strategy):
    assert decoder.strategy_of(decoder.command_flags().parse(flags)) == strategy


IN = ["--problems=mini_ende", "--decode_from_file=in.txt"]
MISTAKES = [
    ([*IN, "--n_best=5"], "--n_best=5 needs at least as many beams; --beam_size is 4"),
    ([*IN, "--n_best=2"], "--n_best above 1 needs --output_format=jsonl"),
    ([*IN, "--n_best=2", "--sample"], "--n_best goes with beams, not with --sample"),
    ([*IN, "--shards=2", "--shard_id=2"], "--shard_id must lie between 0 and 1, got 2"),
    (["--problems=mini_end"], "unknown problem 'mini_end'; did you mean mini_ende"),
    (["--decode_from_file=in.txt"], "--problems must say which problem the file is for; there are: mini_ende, mini_caption"),
    (["--decode_to_file=out.txt"], "--decode_to_file goes with --decode_from_file"),
    (["--problems=mini_ende", "--decode_from_file=none.txt"], "none.txt: No such file or directory"),
    (["--problems=mini_ende", "--decode_from_file=run"], "run: Is a directory"),
    (["--problems=mini_ende", "--decode_from_file=in.txt", "--decode_to_file=run"], "--decode_to_file=run is a folder"),
    (["--problems=mini_ende", "--decode_from_file=in.txt", "--decode_to_file=no/o.txt"], "there is no folder no"),
    (["--problems=mini_ende", "--decode_from_file=in.txt", "--decode_to_file=in.txt"], "is the file to decode"),
    (["--output_dir="], "--output_dir must be given"),
    (["--output_dir=none"], "none is no output_dir of mm-trainer"),
]


WRONG_FLAGS = [
    ("--temperature=0", "flag --temperature=0: must be a finite number, above 0"),
    ("--top_k=-1", "flag --top_k=-1: must be an integer, at least 0"),
    ("--top_p=1.5", "flag --top_p=1.5: must be a finite number, above 0 and at most 1"),
    ("--alpha=nan", "flag --alpha=nan: must be a finite number"),
    ("--beam_size=0", "flag --beam_size=0: must be an integer, at least 1"),
    ("--n_best=-1", "flag --n_best=-1: must be an integer, at least 1"),
    ("--batch_size=99999999999", "flag --batch_size=99999999999: must be an integer, at least 1"),
    ("--seed=1e3", "flag --seed=1e3: must be an integer"),
    ("--sample=perhaps", "flag --sample=perhaps: must be true or false"),
]


@pytest.mark.parametrize(("flag", "message"), WRONG_FLAGS)
def test_a_flag_out_of_range_is_one_line_and_code_2(run, capsys, flag, message):
    with pytest.raises(SystemExit) as ended:
        run(*IN, flag)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"mm-decoder: error: {message}")


@pytest.mark.parametrize(("flags", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_code_2_and_nothing_is_overwritten(run, tmp_path, capsys, flags, message):
    assert run(*flags) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert errors[0].startswith("mm-decoder: error: ")
    assert message in errors[0]
    assert (tmp_path / "out.txt").read_text() == "old\n"
    assert (tmp_path / "in.txt").read_bytes() == b"a dog\n\na cat"


def test_a_failure_in_the_middle_leaves_the_old_output(run, tmp_path, monkeypatch):
    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeDecoder, "predict", fail)
    assert run("--problems=mini_ende", "--decode_from_file=in.txt", "--decode_to_file=out.txt") == 130
    assert (tmp_path / "out.txt").read_text() == "old\n"
    assert not list(tmp_path.glob(".out.txt*"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run's directory as mm-trainer writes it, with the initial weights as step 7."""

    from t2t_multimodel.runs.run_config import build_model
    from t2t_multimodel.training.checkpoints import Checkpoints

    folder = tmp_path_factory.mktemp("trained")
    vocabulary = train_vocabulary(["a dog", "ein Hund"], ["(S", ")S"], 300, folder / "vocabulary.model")
    save_config(folder, ENDE, vocab_size=vocabulary.size, vocabulary_sha256=vocabulary.sha256, data_dir="data")
    Checkpoints(folder, build_model(RunConfig.load(folder))).save(7)
    return folder


def test_a_run_is_decoded_from_its_directory_alone(trained, tmp_path, monkeypatch, capsys):
    (tmp_path / "in.txt").write_text("a dog\n\nein Hund\n")
    outputs = tmp_path / "out.txt"
    flags = [f"--output_dir={trained}", f"--decode_from_file={tmp_path / 'in.txt'}", f"--decode_to_file={outputs}"]
    assert decoder.main(flags) == 0
    assert len(outputs.read_text().split("\n")) == 4
    assert outputs.read_text().split("\n")[1] == ""
    assert "Traceback" not in capsys.readouterr().err


def test_a_run_without_a_checkpoint_or_with_another_vocabulary_is_refused(trained, tmp_path, capsys):
    values = json.loads((trained / "config.json").read_text())
    (tmp_path / "vocabulary.model").write_bytes((trained / "vocabulary.model").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert decoder.main([f"--output_dir={tmp_path}"]) == 2
    assert f"there is no checkpoint in {tmp_path}; train first" in capsys.readouterr().err
    (tmp_path / "config.json").write_text(json.dumps({**values, "vocabulary_sha256": "other"}))
    assert decoder.main([f"--output_dir={tmp_path}"]) == 2
    assert "is not the vocabulary the run was trained with" in capsys.readouterr().err


def test_help_needs_no_tensorflow():
    code = "import sys, t2t_multimodel.cli.decoder as d\ntry: d.main(['--help'])\nfinally: print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")
    assert "--decode_from_file" in done.stdout


def test_mistakes_are_found_before_tensorflow_is_imported(tmp_path):
    save_config(tmp_path, ENDE, data_dir="data")
    code = "import sys, t2t_multimodel.cli.decoder as d\nd.main(sys.argv[1:])\nprint('tensorflow' in sys.modules)"
    flags = [f"--output_dir={tmp_path}", f"--decode_from_file={tmp_path / 'config.json'}", f"--decode_to_file={tmp_path}"]
    done = subprocess.run([sys.executable, "-c", code, *flags], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert "is a folder; name a file" in done.stderr


DECODE = ("--problems=mini_ende", "--decode_from_file=in.txt")


def test_a_link_is_followed_and_a_file_keeps_its_rights(run, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "out.txt").write_text("old\n")
    (tmp_path / "real" / "out.txt").chmod(0o640)
    (tmp_path / "link.txt").symlink_to("real/out.txt")
    assert run(*DECODE, "--decode_to_file=link.txt") == 0
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real" / "out.txt").read_text() == "A DOG\n\nA CAT\n"
    assert (tmp_path / "real" / "out.txt").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["out.txt"]


def test_a_fifo_is_written_to(run, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with subprocess.Popen(["cat", tmp_path / "fifo"], stdout=subprocess.PIPE) as reader:
        assert run(*DECODE, "--decode_to_file=fifo") == 0
        assert reader.communicate(timeout=60)[0] == b"A DOG\n\nA CAT\n"
    assert (tmp_path / "fifo").is_fifo()


def test_an_open_pipe_is_written_to(run):
    reading, writing = os.pipe()
    assert run(*DECODE, f"--decode_to_file=/dev/fd/{writing}") == 0
    os.close(writing)
    with open(reading, "rb") as pipe:
        assert pipe.read() == b"A DOG\n\nA CAT\n"


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full")
def test_what_cannot_be_written_goes_to_stdout(run, capsysbinary):
    assert run(*DECODE, "--decode_to_file=/dev/full") == 2
    found = capsysbinary.readouterr()
    assert found.out == b"A DOG\n\nA CAT\n"
    assert found.err.splitlines()[-1].endswith(
        b"--decode_to_file=/dev/full: the disk is full; the outputs went to stdout instead"
    )
    assert Path("/dev/full").is_char_device()


def test_a_file_that_cannot_be_opened_is_told_before_the_model_is_loaded(run, tmp_path, monkeypatch, capsys):
    usual = Path.open

    def refuse(self, mode="r", *args, **options):
        if "w" in mode:
            raise PermissionError(13, "Permission denied", str(self))
        return usual(self, mode, *args, **options)

    monkeypatch.setattr(decoder, "load", lambda args: pytest.fail("the model is loaded"))
    monkeypatch.setattr(Path, "open", refuse)
    assert run(*DECODE, "--decode_to_file=out.txt") == 2
    assert "--decode_to_file=out.txt: Permission denied; nothing has been decoded" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError("broken")])
def test_a_run_that_ends_early_keeps_its_outputs_and_says_where(error, run, tmp_path, monkeypatch, capfd):
    answers, calls = FakeDecoder.predict, []

    def interrupted(self, problem, raws, batch_size=1, progress=None):
        calls.append(raws)
        if len(calls) == 3:
            raise error
        return answers(self, problem, raws, batch_size, progress)

    (tmp_path / "in.txt").write_text("".join(f"line {i}\n" for i in range(200)))
    monkeypatch.setattr(FakeDecoder, "predict", interrupted)
    flags = (*DECODE, "--decode_to_file=out.txt", "--batch_size=1")
    if error is KeyboardInterrupt:
        assert run(*flags) == 130
    else:
        with pytest.raises(RuntimeError, match="broken"):
            run(*flags)
    assert f"the first 128 of 200 outputs are in {tmp_path / 'out.txt.partial'}" in capfd.readouterr().err
    assert (tmp_path / "out.txt.partial").read_text() == "".join(f"LINE {i}\n" for i in range(128))
    assert (tmp_path / "out.txt").read_text() == "old\n"
