"""mm-trainer passes its flags to training and scoring, and prints one line per mistake."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from t2t_multimodel.cli import common, trainer
from t2t_multimodel.config import HParams, hparams_sets
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.vocabulary import Vocabulary, train_vocabulary
from t2t_multimodel.distributed import local_cluster
from t2t_multimodel.problem import problems
from t2t_multimodel.runs import launch, run_config, scoring
from t2t_multimodel.testing import fake_problem
from t2t_multimodel.training.trainer import Trainer

COPY = fake_problem("tiny_copy")
OTHER = fake_problem("tiny_other")


def tiny():
    return HParams().override("hidden_size=8,num_heads=2,encoder_blocks=1,decoder_blocks=1,num_experts=0,vocab_size=290")


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(common, "load_registries", lambda *args: None)
    with problems.temporary(tiny_copy=COPY, tiny_other=OTHER), hparams_sets.temporary(tiny_set=tiny):
        yield


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generate([COPY, OTHER], folder, folder, 290, num_shards=1, report=lambda line: None)
    return folder


@pytest.fixture
def command(data_dir, tmp_path):
    """Runs mm-trainer; the given flags replace default ones."""
    fixed = [f"--data_dir={data_dir}", f"--output_dir={tmp_path / 'run'}", "--problems=tiny_copy", "--hparams_set=tiny_set"]
    return lambda *flags: trainer.main([*fixed, *flags])


@pytest.fixture
def started(data_dir, tmp_path):
    """An output_dir in which a run of the problem tiny_copy was started."""
    vocabulary = Vocabulary.load(data_dir / run_config.VOCABULARY)
    config = run_config.RunConfig("tiny_set", tiny(), (COPY.spec(),), vocabulary.size, vocabulary.sha256, str(data_dir))
    run_config.start_run(config, tmp_path / "run", data_dir)
    return tmp_path / "run"


def only_error(capsys):
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    (line,) = shown.err.splitlines()
    assert line.startswith("mm-trainer: error: ")
    return line


MISTAKES = [
    (["--problems=tiny_cpoy"], "unknown problem 'tiny_cpoy'; did you mean tiny_copy"),
    (["--problems=tiny_copy,tiny_copi"], "unknown problem 'tiny_copi'; did you mean tiny_copy"),
    (["--problems="], "--problems must be given"),
    (["--hparams_set=tiny_sett"], "unknown hparams set 'tiny_sett'; did you mean tiny_set"),
    (["--hparams_set="], "--hparams_set must be given; there are: "),
    (["--hparams=hiden_size=3"], "unknown hyperparameter 'hiden_size'; did you mean hidden_size"),
    (["--hparams=hidden_size=big"], "hyperparameter hidden_size takes an integer, got 'big'"),
    (["--hparams=help"], "hyperparameters are given as name=value, got 'help'; mm-trainer --hparams_help lists them"),
    (["--hparams=hop_ms=0"], "hyperparameter hop_ms is a finite number, at least 1 and at most 1,000, got 0.0"),
    (["--hparams=learning_rate=nan"], "hyperparameter learning_rate is a finite number, at least 0, got nan"),
    (["--hparams=seed=-1"], "hyperparameter seed is an integer, at least 0 and at most 4,294,967,295, got -1"),
    (["--hparams=hidden_size"], "hyperparameters are given as name=value, got 'hidden_size'"),
    (["--hparams=problem_schedule=random"], "hyperparameter problem_schedule is one of uniform, proportional"),
    (["--hparams=problem_weights=parse:2"], "no problem's name contains 'parse'; there are: tiny_copy"),
    (["--hparams=problem_schedule=temperature,temperature=0"], "hyperparameter temperature is a finite number, above 0, got"),
    (["--data_dir="], "--data_dir must be given"),
    (["--output_dir=", "--data_dir="], "--data_dir and --output_dir must be given"),
    (
        ["--data_dir=missing_dir"],
        "there is no data_dir missing_dir; make them with: mm-datagen --problems=tiny_copy --data_dir=missing_dir",
    ),
    (["--hparams=vocab_size=100"], "the set has vocab_size=100; train with --hparams=vocab_size="),
    (["--schedule=evaluate"], "is no output_dir of mm-trainer"),
    (["--hparams=problem_schedule=worker_per_problem"], "needs --strategy=parameter_server, where steps overlap"),
    (["--strategy=parameter_server"], "--strategy=parameter_server needs TF_CONFIG in the environment of each task"),
]


@pytest.mark.parametrize(("flags", "message"), MISTAKES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_mistake_is_one_line_and_code_2_and_nothing_is_written(flags, message, command, tmp_path, capsys):
    assert command(*flags) == 2
    assert message in only_error(capsys)
    assert not (tmp_path / "run").exists()


def test_weights_of_a_set_for_problems_that_are_not_trained_are_left_out(command, tmp_path):
    with hparams_sets.temporary(weighted_set=lambda: tiny().override("problem_weights=copy:2 mini_class:3")):
        assert command("--hparams_set=weighted_set", "--train_steps=1", "--hparams=eval_steps=1") == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert "copy:2" in json.dumps(config) and "mini_class" not in json.dumps(config)


def test_what_steps_that_overlap_cannot_do_is_one_line(command, monkeypatch, capsys):
    jobs = {"chief": ["here:1"], "worker": ["here:2"], "ps": ["here:3"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": {"type": "chief", "index": 0}}))
    wrong = "--hparams=optimizer=adafactor,precision=float16,ema_decay=0.9"
    assert command("--strategy=parameter_server", "--problems_per_step=2", "--xla", wrong) == 2
    line = only_error(capsys)
    assert "needs problems_per_step=1, not 2 and optimizer=adam, not adafactor and ema_decay=0.0, not 0.9" in line
    assert "and xla=False, not True and precision=float32 or bfloat16, not float16" in line


OTHER_CONFIGS = [
    (["--hparams=hidden_size=16"], "hidden_size: 8, now 16"),
    (["--problems=tiny_other"], "problems: tiny_copy, now tiny_other"),
    (["--problems=tiny_copy,tiny_other"], "problems: tiny_copy, now tiny_copy,tiny_other"),
]


@pytest.mark.parametrize(("flags", "message"), OTHER_CONFIGS, ids=lambda value: value if isinstance(value, str) else "")
def test_an_output_dir_with_another_config_stays_as_it_is(flags, message, started, command, capsys):
    (started / "ckpt-1.index").touch()
    before = {path.name: path.read_bytes() for path in started.iterdir()}
    assert command(*flags) == 2
    line = only_error(capsys)
    assert message in line
    assert line.endswith("choose another --output_dir")
    assert {path.name: path.read_bytes() for path in started.iterdir()} == before


def test_a_vocabulary_that_does_not_match_the_run_is_one_line(started, command, tmp_path, capsys):
    (started / "ckpt-1.index").touch()
    config = (started / "config.json").read_bytes()
    train_vocabulary(["something else"], [], 280, tmp_path / "vocabulary.model")
    generate([COPY], tmp_path, tmp_path, 290, num_shards=1, report=lambda line: None)
    assert command(f"--data_dir={tmp_path}") == 2
    assert "vocabulary: " in only_error(capsys)
    assert (started / "config.json").read_bytes() == config


def test_records_that_do_not_match_their_vocabulary_are_one_line(data_dir, command, tmp_path, capsys):
    other = shutil.copytree(data_dir, tmp_path / "data")
    train_vocabulary(["something else"], [], 280, other / "vocabulary.model")
    assert command(f"--data_dir={other}") == 2
    assert "the records of tiny_copy in" in (line := only_error(capsys))
    assert "were made with another vocabulary; run mm-datagen again" in line


def test_evaluating_without_a_checkpoint_is_one_line(started, command, capsys):
    assert command("--schedule=evaluate") == 2
    assert "there is no checkpoint in" in only_error(capsys)
    assert command("--schedule=evaluate", "--problems=tiny_other") == 2
    assert "this run has no problem tiny_other; there are: tiny_copy" in only_error(capsys)


WRONG_FLAGS = [
    ("--schedule=train", "value should be one of <train_and_evaluate|evaluate>"),
    ("--train_steps=many", "flag --train_steps=many: must be an integer, at least 0"),
    ("--train_steps=-5", "flag --train_steps=-5: must be an integer, at least 0"),
    ("--eval_steps=-1", "flag --eval_steps=-1: must be an integer, at least 0"),
    ("--train_minutes=nan", "flag --train_minutes=nan: must be a finite number, at least 0"),
    ("--local_workers=-1", "flag --local_workers=-1: must be an integer, at least 0"),
    ("--worker_timeout=0", "flag --worker_timeout=0: must be an integer, at least 1"),
    ("--train_step=3", "did you mean --train_steps"),
    ("--model=lstm", "value should be one of <multimodel|transformer>"),
    ("now", "unexpected 'now'"),
]


@pytest.mark.parametrize(("flag", "message"), WRONG_FLAGS)
def test_a_wrong_flag_is_one_line_and_code_2(flag, message, command, capsys):
    with pytest.raises(SystemExit) as ended:
        command(flag)
    assert ended.value.code == 2
    assert message in only_error(capsys)


@pytest.fixture
def handed_on(monkeypatch):
    """Replaces training and scoring by functions that record their arguments, which it returns."""
    calls = []

    def train(chosen, set_name, hparams, data_dir, output_dir, *others):
        calls.append(([problem.name for problem in chosen], set_name, hparams, *others))
        return hparams.training.train_steps

    monkeypatch.setattr(launch, "train_run", train)
    monkeypatch.setattr(scoring, "score_run", lambda *args: calls.append(args))
    return calls


def test_flags_reach_the_run(command, handed_on):
    flags = (
        "--problems=tiny_copy-tiny_other",
        "--train_steps=7",
        "--eval_steps=3",
        "--train_minutes=2",
        "--hparams=dropout=0.3",
        "--strategy=mirrored",
        "--warm_start=before",
        "--worker_timeout=9",
        "--profile=3:4",
        "--stop_step=5",
        "--model=transformer",
    )
    assert command(*flags) == 0
    names, set_name, hparams, *others = handed_on[0]
    assert (names, set_name) == (["tiny_copy", "tiny_other"], "tiny_set")
    assert others == [120, "mirrored", Path("before"), 9, (3, 4), 5, "", False, ""]
    assert (hparams.training.train_steps, hparams.training.eval_steps, hparams.model.dropout) == (7, 3, 0.3)
    assert hparams.model.architecture == "transformer"


@pytest.mark.parametrize(
    ("flags", "by_clock"),
    [
        (["--train_minutes=2"], True),
        (["--train_minutes=2", "--hparams=dropout=0.3"], True),
        ([], False),
        (["--train_minutes=2", "--train_steps=100000"], False),
        (["--train_minutes=2", "--hparams=dropout=0.3, train_steps=100000"], False),
        (["--train_minutes=2", "--planned_steps=10:20"], False),
    ],
)
def test_schedules_follow_the_clock_if_minutes_alone_are_given(flags, by_clock, command, handed_on):
    assert command(*flags) == 0
    assert handed_on[0][-2] == by_clock
    assert handed_on[0][-1] == ("10:20" if "--planned_steps=10:20" in flags else "")


@pytest.mark.parametrize("steps", ["4", "0:3", "5:4", "a:b"])
def test_steps_to_profile_are_the_first_and_the_last(steps, command, capsys):
    with pytest.raises(SystemExit):
        command(f"--profile={steps}")
    assert f"flag --profile={steps}: must be the first and the last step, as 100:110" in capsys.readouterr().err


def test_averaging_needs_a_run(command, capsys, tmp_path):
    assert command("--average=2") == 2
    assert "there is no" in only_error(capsys)


def test_flags_reach_the_evaluation(command, handed_on, data_dir, tmp_path):
    assert command("--schedule=evaluate", "--eval_split=test", "--eval_steps=4") == 0
    assert handed_on == [(tmp_path / "run", data_dir, ["tiny_copy"], "test", 4)]
    assert command("--schedule=evaluate", "--problems=") == 0
    assert handed_on[1][2:] == (None, "dev", 0)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_run_that_was_stopped_before_its_end_is_a_success_after_sigterm_alone(number, code, command, monkeypatch):
    train = Trainer.train

    def train_and_stop(self, until, *timing):
        self.request_stop(number)
        return train(self, until, *timing)

    monkeypatch.setattr(Trainer, "train", train_and_stop)
    assert command("--train_steps=9") == code
    assert command("--train_steps=0") == 0


def test_local_workers_of_a_parameter_server_have_one_and_a_chief(command, monkeypatch):
    started = []
    monkeypatch.setattr(local_cluster, "run_local_cluster", lambda *args, **roles: started.append((args[0], roles)) or 0)
    assert command("--local_workers=3", "--strategy=parameter_server") == 0
    assert started == [({"chief": 1, "worker": 3, "ps": 1}, {"serving": ("worker", "ps"), "replaced": ("worker",)})]


def test_local_workers_are_the_same_command_in_a_cluster(command, monkeypatch, tmp_path, capsys):
    started = []
    monkeypatch.setattr(local_cluster, "run_local_cluster", lambda *args: started.append(args) or 3)
    assert command("--local_workers=2", "--train_steps=9") == 3
    jobs, again, argv, log_dir = started[0]
    assert (jobs, again, log_dir) == ({"worker": 2}, trainer.main, tmp_path / "run")
    assert argv[-3:] == ["--local_workers=2", "--train_steps=9", "--local_workers=0"]
    monkeypatch.setenv("TF_CONFIG", "{}")
    assert command("--local_workers=2") == 2
    assert "--local_workers starts a cluster of its own, but TF_CONFIG describes one" in only_error(capsys)


def test_a_run_of_two_steps_works(command, tmp_path, capsys):
    assert command("--train_steps=2", "--hparams=batch_tokens=32") == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {row["split"] for row in rows} == {"train", "dev"}
    assert (tmp_path / "run" / "ckpt-2.index").exists()
    assert "step 2 tiny_copy dev: loss" in capsys.readouterr().err


def test_help_needs_no_tensorflow():
    code = "import sys, t2t_multimodel.cli.trainer as t\ntry: t.main(['--help'])\nfinally: print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")
    assert "--train_steps" in done.stdout


def test_help_of_hyperparameters_needs_no_tensorflow():
    code = "import sys, t2t_multimodel.cli.trainer as t\nt.main(sys.argv[1:])\nprint('tensorflow' in sys.modules)"
    argv = [sys.executable, "-c", code, "--hparams_help", "--hparams_set=multimodel_mini", "--hparams=seed=7"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")
    assert "* hidden_size=64  (an integer, at least 1)" in done.stdout and "* seed=7" in done.stdout
