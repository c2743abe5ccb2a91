"""Plans, resuming and results, with a trainer that only writes the files that a trainer would."""

import json
import random
import subprocess
import sys

import pytest

from t2t_multimodel.cli import experiment as command
from t2t_multimodel.experiments import experiment, runner
from t2t_multimodel.experiments.catalog import FRACTIONS, PUBLISHED, distinct_runs, experiments, table1
from t2t_multimodel.experiments.claims import claims
from t2t_multimodel.experiments.plan import PAPER, SCALES
from t2t_multimodel.experiments.tables import published_table
from t2t_multimodel.problem import resolve


def flag(call, name):
    return next(part.partition("=")[2] for part in call if part.startswith(f"--{name}="))


class FakeTrainer:
    """Stands in for run_command: writes metrics as mm-trainer does.

    Call number `fails_at` is interrupted; every run is told to stop at step `stops_at`.
    """

    def __init__(self):
        self.calls, self.fails_at, self.stops_at = [], None, None

    def __call__(self, call):
        self.calls.append(call)
        if self.fails_at == len(self.calls):
            return 130
        if "t2t_multimodel.cli.trainer" in call:
            (self.evaluate if "--schedule=evaluate" in call else self.train)(call)
        return 0

    def train(self, call):
        folder = runner.Path(flag(call, "output_dir"))
        settings = dict(change.split("=", 1) for change in flag(call, "hparams").split(","))
        chance = random.Random(f"{folder.name}")
        rows = []
        for problem in resolve(flag(call, "problems")):
            row = {"problem": problem.name, "time": 60.0}
            last = min(int(settings["train_steps"]), self.stops_at or 10**9)
            rows.append({**row, "step": last, "split": "train", "problem_steps": 20, "problem_examples": 640})
            for step, loss in ((1, 1.0), (2, 0.5 + 0.01 * chance.random()), (last, 0.8)):
                figures = {"accuracy": 1 - loss / 2, "accuracy_top5": 0.9, "accuracy_per_sequence": 0.1, "examples": 300.0}
                rows.append({**row, "step": step, "split": "dev", "loss": loss, "log_perplexity": loss, **figures})
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def evaluate(self, call):
        folder = runner.Path(flag(call, "output_dir"))
        folder.mkdir(parents=True, exist_ok=True)
        row = {"problem": "any", "split": "dev", "step": 20, "schedule": "evaluate", "bleu": 50.0, "loss": 0.5}
        with (folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")


FLOPS = {"decoder": [6e6, "token"]}


@pytest.fixture
def trainer(monkeypatch):
    fake = FakeTrainer()
    monkeypatch.setattr(runner, "run_command", fake)
    monkeypatch.setattr(experiment, "figure_blocks", lambda *args: [])
    monkeypatch.setattr(experiment, "size_of", lambda folder: {"parameters": {"decoder": 3e6, "experts": 1e6}, "flops": FLOPS})
    return fake


def run(output_dir, *flags):
    return command.main([f"--output_dir={output_dir}", *flags])


def trained(trainer):
    return [call for call in trainer.calls if "--schedule=evaluate" not in call and any("cli.trainer" in part for part in call)]


def test_all_experiments_run_once_each_and_every_cell_has_a_figure(trainer, tmp_path):
    assert run(tmp_path, "--experiment=all", "--seeds=2") == 0
    found = json.loads((tmp_path / "results.json").read_text())
    assert len(trained(trainer)) == 2 * len(distinct_runs(experiments("all", SCALES["mini8"]))) == 28
    assert set(found["tables"]) == set(PAPER)
    cells = [cell for name in PAPER[:4] for cell in found["tables"][name]]
    assert len(cells) == 9 + 16 + 9 + 12 and all(None not in (cell["value"], cell["half_width"]) for cell in cells)
    assert {claim["verdict"] for claim in found["claims"]} <= {"holds", "refuted", "undecided"}
    assert len(found["claims"]) == len([claim for claim in claims(SCALES["mini8"]) if claim.experiment in PAPER])
    bleu = [cell for cell in found["tables"]["table1"] if cell["row"] == "mini_ende"]
    assert [cell["value"] for cell in bleu] == [50.0] * 3 and bleu[0]["paper"] == 21.2
    text = (tmp_path / "results.md").read_text()
    assert "Joint training is better on parsing." in text and "±" in text
    assert "| transformer-mini_enfr | 4.000 M | 1.000 M | decoder 6 per token |" in text
    assert "| joint8 | mini_parse | 20, 20 | 640, 640 | 2, 2 | 300 |" in text  # steps, training examples, best step
    assert (tmp_path / "results_files" / "table4.png").read_bytes().startswith(b"\x89PNG")


def test_the_best_evaluation_counts_for_every_run_alike(trainer, tmp_path):
    assert run(tmp_path, "--experiment=table3", "--seeds=1") == 0
    runs = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert {figures["step"] for each in runs for figures in each["problems"].values()} == {2}


def test_what_is_complete_is_not_run_again_and_the_results_are_the_same(trainer, tmp_path, capsys):
    trainer.fails_at = 4
    assert run(tmp_path, "--experiment=table2", "--seeds=1") == 130
    done = len(list(tmp_path.glob("runs/*/result.json")))
    trainer.fails_at, trainer.calls = None, []
    assert run(tmp_path, "--experiment=table2", "--seeds=1") == 0
    assert 0 < done and len(trained(trainer)) == 5 - done
    first = (tmp_path / "results.json").read_bytes()
    other = tmp_path / "other"
    assert run(other, "--experiment=table2", "--seeds=1") == 0
    assert (other / "results.json").read_bytes() == first


def test_a_run_that_was_told_to_stop_is_not_complete(trainer, tmp_path, capsys):
    trainer.stops_at = 300  # mm-trainer ends with code 0 after SIGTERM
    assert run(tmp_path, "--experiment=table3", "--seeds=1") == 2
    assert "alone-mini_parse-seed1 was stopped at step 300 of 400; the same command goes on" in capsys.readouterr().err
    assert not list(tmp_path.glob("runs/*/result.json")) and not (tmp_path / "results.json").exists()
    trainer.stops_at = None
    assert run(tmp_path, "--experiment=table3", "--seeds=1") == 0


def test_train_steps_are_steps_per_problem(trainer, tmp_path):
    assert run(tmp_path, "--experiment=table3", "--seeds=1", "--hparams=train_steps=200,learning_rate=0.001") == 0
    settings = {flag(call, "output_dir").rpartition("/")[2]: flag(call, "hparams") for call in trained(trainer)}
    assert "train_steps=1600" in settings["joint8-seed1"] and "train_steps=200" in settings["alone-mini_parse-seed1"]
    assert all("learning_rate=0.001" in value and "seed=1" in value for value in settings.values())
    assert all("problem_schedule=round_robin" in value for value in settings.values())  # each problem gets the same number


def test_a_run_warms_up_for_a_quarter_of_its_steps_at_most(trainer, tmp_path):
    assert run(tmp_path, "--experiment=table3", "--seeds=1", "--hparams=train_steps=80") == 0
    found = {flag(call, "output_dir").rpartition("/")[2]: flag(call, "hparams").split(",")[0] for call in trained(trainer)}
    assert found["alone-mini_parse-seed1"] == "warmup_steps=20" and found["joint8-seed1"] == "warmup_steps=100"


def test_changes_of_all_runs_leave_an_ablation_what_it_is(trainer, tmp_path):
    assert run(tmp_path, "--experiment=table4", "--seeds=1", "--hparams=num_experts=8") == 0
    settings = {flag(call, "output_dir").rpartition("/")[2]: flag(call, "hparams") for call in trained(trainer)}
    last = {name: dict(change.split("=", 1) for change in value.split(",")) for name, value in settings.items()}
    assert last["no-experts-mini_class-seed1"]["num_experts"] == "0"
    assert last["alone-mini_class-seed1"]["num_experts"] == "8"


def test_the_data_curve_has_a_point_per_fraction_jointly_and_alone(trainer, tmp_path):
    assert run(tmp_path, "--experiment=data_curve", "--seeds=2") == 0
    found = json.loads((tmp_path / "results.json").read_text())
    assert len(found["tables"]["data_curve"]) == len(FRACTIONS) * 2 * 2 * 2  # problems, joint or alone, metrics
    assert len(found["claims"]) == 2 * len(FRACTIONS) and len(trained(trainer)) == 2 * 3 * len(FRACTIONS)
    settings = {flag(call, "output_dir").rpartition("/")[2]: flag(call, "hparams") for call in trained(trainer)}
    assert ",train_fractions=mini_speech:0.05 mini_parse:0.05," in settings["joint8-5percent-seed1"]
    assert ",train_fractions=mini_parse:0.25," in settings["alone-mini_parse-25percent-seed2"]
    assert "train_fractions" not in settings["alone-mini_speech-seed1"] + settings["joint8-seed1"]
    assert (tmp_path / "results_files" / "data_curve.png").read_bytes().startswith(b"\x89PNG")
    assert "Joint training is better on speech with 5% of its data." in (tmp_path / "results.md").read_text()


def test_published_figures_are_of_the_papers_data_alone():
    assert table1(SCALES["multimodel8"]).published == PUBLISHED and not table1(SCALES["mini8"]).published
    known = {problem.name for problem in resolve("multimodel8")}
    assert {each.problem for each in PUBLISHED} <= known
    text = str(published_table(table1(SCALES["multimodel8"])))
    assert "40.5" in text and "1701.06538" in text


def test_shards_divide_the_runs_and_the_last_one_writes_the_results(trainer, tmp_path):
    flags = ["--experiment=table4", "--seeds=1", "--shards=2"]
    assert run(tmp_path, *flags, "--shard_id=0") == 0
    assert not (tmp_path / "results.json").exists() and len(trained(trainer)) == 3
    assert run(tmp_path, *flags, "--shard_id=1") == 0
    assert (tmp_path / "results.json").exists() and len(trained(trainer)) == 6


def test_a_dry_run_trains_nothing_and_estimates_from_what_was_measured(trainer, tmp_path, capsys):
    assert run(tmp_path, "--experiment=table2", "--seeds=1", "--dry_run") == 0
    assert not trainer.calls and not list(tmp_path.iterdir())
    assert "their time is estimated once a run is complete" in capsys.readouterr().out
    assert run(tmp_path, "--experiment=table2", "--seeds=1") == 0
    assert run(tmp_path, "--experiment=table2", "--seeds=2", "--dry_run") == 0
    assert "4,800 steps are left: about 5 minutes" in capsys.readouterr().out  # 60 s for each of 4,800 steps in five runs


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--experiment=tabel2"], "--experiment: unknown experiment 'tabel2'; did you mean table2"),
        (["--experiment=table2", "--scale=mini"], "--scale: unknown scale 'mini'; did you mean mini8"),
        (["--experiment=table2", "--seeds=0"], "--seeds=0: must be an integer, at least 1"),
        (["--experiment=table2", "--hparams=hidden_sise=3"], "--hparams: unknown hyperparameter 'hidden_sise'"),
        (["--experiment=table2", "--hparams=train_steps=0"], "--hparams: train_steps is the number of steps per problem here"),
        (["--experiment=table2", "--hparams=seed=3"], "--hparams: seed is the plan's, which treats all runs alike"),
        (["--experiment=table2", "--shards=2", "--shard_id=2"], "--shard_id=2 must be below --shards=2"),
        (["--experiment=table2", "--scale=multimodel8"], "make them with: mm-datagen --problems=multimodel8"),
        ([], "--experiment must be given"),
    ],
)
def test_mistakes_are_one_line(trainer, tmp_path, capsys, flags, message):
    try:
        code = run(tmp_path / "out", *flags)
    except SystemExit as error:
        code = error.code
    said = capsys.readouterr().err
    assert code == 2 and message in said and len(said.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_another_plan_is_refused(trainer, tmp_path, capsys):
    assert run(tmp_path, "--experiment=table4", "--seeds=1") == 0
    capsys.readouterr()
    assert run(tmp_path, "--experiment=table4", "--seeds=1", "--hparams=train_steps=7") == 2
    assert "has runs of another plan (steps: 400, now 7); choose another one" in capsys.readouterr().err
    assert run(tmp_path, "--experiment=table4", "--seeds=1", "--evaluations=2") == 2
    assert "has runs of another plan (evaluations: 5, now 2); choose another one" in capsys.readouterr().err


def test_the_number_of_evaluations_is_the_plans(trainer, tmp_path):
    assert run(tmp_path, "--experiment=table3", "--seeds=1", "--evaluations=2") == 0
    settings = {flag(call, "output_dir").rpartition("/")[2]: flag(call, "hparams").split(",") for call in trained(trainer)}
    assert "eval_every=1600" in settings["joint8-seed1"] and "eval_every=200" in settings["alone-mini_parse-seed1"]
    assert "400 steps per problem, 2 evaluations per run" in (tmp_path / "results.md").read_text()


def test_a_plan_without_a_number_of_evaluations_has_five(trainer, tmp_path):
    assert run(tmp_path, "--experiment=table4", "--seeds=1") == 0
    facts = json.loads((tmp_path / "plan.json").read_text())
    assert facts.pop("evaluations") == 5
    (tmp_path / "plan.json").write_text(json.dumps(facts))
    assert run(tmp_path, "--experiment=table4", "--seeds=1") == 0


@pytest.mark.parametrize("name", ["plan.json", "runs/alone-mini_parse-seed1/result.json"])
def test_a_damaged_file_is_named(trainer, tmp_path, capsys, name):
    assert run(tmp_path, "--experiment=table3", "--seeds=1") == 0
    (tmp_path / name).write_text('{"scale": ')
    capsys.readouterr()
    assert run(tmp_path, "--experiment=table3", "--seeds=1") == 2
    assert f"{tmp_path / name} is damaged" in capsys.readouterr().err


def test_every_scale_names_problems_that_exist(root):
    for scale in SCALES.values():
        if scale.usr_dir:
            assert (root / scale.usr_dir / "__init__.py").is_file()
            continue
        names = {problem.name for problem in resolve(scale.group)}
        assert {scale.image, scale.translation, scale.french, scale.speech, scale.parsing} <= names and len(names) == 8


def test_the_command_imports_nothing_heavy_for_its_help(root):
    code = "import sys; sys.argv = ['mm-experiment', '--help']\nfrom t2t_multimodel.cli import experiment\n"
    code += "try:\n    experiment.main()\nexcept SystemExit:\n    pass\n"
    code += "print([name for name in ('tensorflow', 'scipy', 'matplotlib') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=60)
    assert done.stdout.strip().endswith("[]"), done.stderr
