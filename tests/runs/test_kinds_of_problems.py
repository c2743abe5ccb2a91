"""Each kind of problem alone, and each pair of kinds, is trained, evaluated, exported and resumed, and decodes a file.

Tracing takes most of the time, so each function is traced in one test per kind; a run that is resumed has the same functions.
"""

import itertools
import json
import signal

import golden
import numpy as np
import own_files
import pytest
from untraced import IGNORED, untraced

from t2t_multimodel.cli import decoder, export
from t2t_multimodel.config import HParams
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.problem_file.load import read_problem_file
from t2t_multimodel.decoding.files import decode_lines
from t2t_multimodel.decoding.strategies import Greedy
from t2t_multimodel.inference import open_predictor
from t2t_multimodel.problem import problems
from t2t_multimodel.reports.report import write_report
from t2t_multimodel.runs.averaging import average_run
from t2t_multimodel.runs.launch import Terminated, train_run
from t2t_multimodel.runs.scoring import score_run
from t2t_multimodel.training.step_means import RunningMeans

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning"),  # of TensorFlow, when Keras saves
    pytest.mark.filterwarnings(IGNORED),
]
HPARAMS = HParams().override(
    "hidden_size=8,num_heads=2,num_experts=2,moe_k=1,moe_hidden_size=8,image_channels=4:4,categorical_sizes=8:8,audio_blocks=1,"
    "audio_min_channels=4,audio_frequency=fold,mel_bins=4,vocab_size=310,max_length=32,batch_tokens=256,batch_images=4,"
    "batch_seconds=1,problem_schedule=round_robin,train_steps=2,eval_every=2,eval_steps=1,eval_samples=0,dropout=0"
)
# By kind, the numbers of encoder, mixer and decoder blocks of its run alone, one digit each.
DEPTHS = {"class": "100", "caption": "000", "speech": "000", "parse": "010", "translation": "000"}
PAIRS = list(itertools.combinations(golden.KINDS, 2))
LINES = {"class": "photographs/red/0.jpg", "caption": "photographs/blue/1.jpg", "speech": "recordings/3.wav"}
SENTENCE = "The dog sees the cat."


def blocks(depth):
    """Returns the hyperparameters for `depth`, which has one digit per kind of block."""
    return dict(zip(("encoder_blocks", "mixer_blocks", "decoder_blocks"), map(int, depth), strict=True))


@pytest.fixture(scope="module")
def data_dir(root, tmp_path_factory):
    """A folder with raw data and records of all kinds of problems, which are registered meanwhile."""
    folder = own_files.write(tmp_path_factory.mktemp("data"))
    (folder / "problems.toml").write_bytes((root / "examples" / "own_data" / "problems.toml").read_bytes())
    described = {problem.name: problem for problem in read_problem_file(folder / "problems.toml")}
    chosen = {name: described[name] for name in golden.KINDS.values()}
    with problems.temporary(**chosen):
        generate(list(chosen.values()), folder, folder, 310, num_shards=1, report=lambda line: None)
        yield folder


@pytest.fixture
def train(data_dir, tmp_path):
    """A function that trains problems of the given kinds in `tmp_path / "run"` and returns that folder."""

    def run(kinds, hparams, **options):
        chosen = [problems.get(golden.KINDS[kind]) for kind in kinds]
        train_run(chosen, "tiny", hparams, data_dir, tmp_path / "run", **options)
        return tmp_path / "run"

    return run


@pytest.fixture
def stopped_after_two_steps(monkeypatch):
    """Sends the process a signal when the second step's figures are known."""
    add, seen = RunningMeans.add, []

    def add_and_stop(self, problem, result):
        add(self, problem, result)
        seen.append(problem)
        if len(seen) == 2:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(RunningMeans, "add", add_and_stop)
    return seen


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def check_resumed(told, folder, kinds, steps):
    """Asserts that the run went on after two steps and evaluated each kind after `steps`, and that no report failed."""
    assert "going on from step 2" in told and "warning" not in told
    rows = [row for row in metrics(folder) if row["split"] == "dev" and row["step"] == steps and "schedule" not in row]
    assert {row["problem"] for row in rows} == {golden.KINDS[kind] for kind in kinds}
    assert all(np.isfinite(row["loss"]) for row in rows)


@pytest.mark.parametrize("kind", golden.KINDS)
def test_a_kind_alone_goes_all_the_way(kind, train, data_dir, tmp_path, capsys):
    name, hparams = golden.KINDS[kind], HPARAMS.override(**blocks(DEPTHS[kind]))
    folder = train([kind], hparams.override(eval_samples=1))
    with untraced():
        train([kind], hparams.override(train_steps=3))
        check_resumed(capsys.readouterr().err, folder, [kind], 3)
        score_run(folder, data_dir, None, "dev")
    write_report(folder, data_dir)
    line = data_dir / LINES[kind] if kind in LINES else SENTENCE
    (tmp_path / "in.txt").write_text(f"{line}\n" * 2)
    flags = [f"--output_dir={average_run(folder, 2)}", f"--problems={name}", f"--decode_from_file={tmp_path / 'in.txt'}"]
    assert decoder.main([*flags, f"--decode_to_file={tmp_path / 'out.txt'}", "--output_format=jsonl"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "out.txt").read_text().splitlines()]
    assert len(rows) == 2 and rows[0]["outputs"][0]["text"] == rows[1]["outputs"][0]["text"]
    assert export.main([f"--output_dir={folder}", f"--export_dir={tmp_path / 'exported'}"]) == 0
    assert f"* {name}, dev, step 3" in (tmp_path / "exported" / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize("kinds", PAIRS, ids="+".join)
def test_a_pair_of_kinds_is_stopped_goes_on_and_decodes(kinds, train, data_dir, capsys, stopped_after_two_steps, monkeypatch):
    hparams = HPARAMS.override(train_steps=4, eval_every=4, **blocks("000"))
    with pytest.raises(Terminated):
        train(kinds, hparams)
    assert stopped_after_two_steps == [golden.KINDS[kind] for kind in kinds]
    with untraced():
        folder = train(kinds, hparams)
        check_resumed(capsys.readouterr().err, folder, kinds, 4)
        predictor, _ = open_predictor(folder, Greedy())
        for kind in kinds:
            lines = [LINES.get(kind, SENTENCE).encode()] * 2
            (answers,) = decode_lines(predictor, golden.KINDS[kind], lines, data_dir, 2, report=pytest.fail)
            assert len({answer.outputs[0].text for answer in answers}) == 1
