"""Records and a run of commit 368c74c (tests/fixtures/368c74c) are read, with the same losses and outputs as by that commit."""

import json
import shutil

import golden
import own_files
import pytest
from untraced import IGNORED, untraced

from t2t_multimodel.cli import datagen, decoder
from t2t_multimodel.config import HParams
from t2t_multimodel.data.problem_file.load import read_problem_file
from t2t_multimodel.problem import problems
from t2t_multimodel.runs.launch import train_run
from t2t_multimodel.runs.run_config import RunConfig
from t2t_multimodel.runs.scoring import score_run

pytestmark = pytest.mark.filterwarnings(IGNORED)
DATA = golden.MADE / "data"
# That commit decoded JPEGs with a coarser transform, so that some pixels differ.
PICTURES = {"my_classes", "my_captions"}


@pytest.fixture(scope="module", autouse=True)
def registered():
    with problems.temporary(**{problem.name: problem for problem in read_problem_file(golden.MADE / "problems.toml")}):
        yield


@pytest.fixture
def output_dir(tmp_path):
    """A copy of the run, stopped at step 6."""
    return shutil.copytree(golden.MADE / "run", tmp_path / "run")


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def losses(folder, step):
    """Returns by problem the newest dev loss at `step`."""
    return {row["problem"]: row["loss"] for row in rows(folder / "metrics.jsonl") if (row["split"], row["step"]) == ("dev", step)}


def check_losses(folder, made, step, names):
    """Asserts that the dev losses of `names` are those in the folder `made`."""
    found, wanted = losses(folder, step), losses(made, step)
    for name in names:
        assert found[name] == pytest.approx(wanted[name], rel=1e-2 if name in PICTURES else 1e-4), name


def test_its_hyperparameters_are_read():
    config = RunConfig.load(golden.MADE / "run")
    assert config.hparams.model.hidden_size == 8 and len(config.problems) == 6
    stored = json.loads((golden.MADE / "run" / "config.json").read_text())["hparams"]
    assert HParams.from_dict(stored) == config.hparams


def test_the_run_goes_on(output_dir, capsys):
    config = RunConfig.load(output_dir)
    chosen = [problems.get(spec.name) for spec in config.problems]
    hparams = config.hparams.override(train_steps=12, eval_samples=0)
    with untraced():
        assert train_run(chosen, config.hparams_set, hparams, DATA, output_dir) == 12
    assert "going on from step 6" in capsys.readouterr().err
    check_losses(output_dir, golden.MADE / "resumed", 12, losses(golden.MADE / "resumed", 12))


def test_its_figures_and_outputs_are_the_same(output_dir):
    names = ["my_classes", "my_speech", "my_trees"]
    score_run(output_dir, DATA, names, "dev")
    check_losses(output_dir, golden.MADE / "scored", 6, names)
    for name in names:
        assert rows(output_dir / f"decoded-{name}-dev.jsonl") == rows(golden.MADE / "scored" / f"decoded-{name}-dev.jsonl")


def test_it_decodes_without_the_problem_file(output_dir, tmp_path):
    wanted = rows(golden.MADE / "scored" / "decoded-my_translation-dev.jsonl")
    (tmp_path / "in.txt").write_text("".join(f"{row['inputs']}\n" for row in wanted))
    flags = ["--problems=my_translation", "--beam_size=1", f"--decode_from_file={tmp_path / 'in.txt'}"]
    assert decoder.main([f"--output_dir={output_dir}", *flags, f"--decode_to_file={tmp_path / 'out.txt'}"]) == 0
    assert (tmp_path / "out.txt").read_text(encoding="utf-8").splitlines() == [row["output"] for row in wanted]


def test_its_records_are_verified_and_stay(tmp_path, capsys):
    folder = shutil.copytree(DATA, tmp_path / "data")
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    own_files.write(tmp_path / "raw")
    names = ",".join(golden.KINDS.values())
    assert datagen.main([f"--problems={names}", f"--data_dir={folder}", f"--tmp_dir={tmp_path / 'raw'}", "--verify"]) == 0
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before
    told = capsys.readouterr().err
    assert all(f"{name}: complete already" in told for name in golden.KINDS.values())
