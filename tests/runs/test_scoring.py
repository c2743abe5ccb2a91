"""Scores of an untrained run: the figures, the files, and one line per mistake."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from t2t_multimodel.config import HParams
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.vocabulary import Vocabulary, train_vocabulary
from t2t_multimodel.features import Label
from t2t_multimodel.problem import problem_of, problems
from t2t_multimodel.runs import scoring
from t2t_multimodel.runs.run_config import RunConfig, build_model, start_run
from t2t_multimodel.runs.scoring import Scorer, score_run
from t2t_multimodel.testing import fake_problem
from t2t_multimodel.training.checkpoints import Checkpoints
from t2t_multimodel.utils.errors import DataError


def without_test(generate):
    return lambda split, tmp_dir: () if split == "test" else generate(split, tmp_dir)


SENTENCES = [{"inputs": "abcd"[: i % 4 + 1], "targets": "dcba"[: i % 3 + 1]} for i in range(9)]
COPY = fake_problem("t_copy", [{**SENTENCES[0], "references": ["so", "or so"]}, *SENTENCES[1:]], metrics=("bleu",))
BACK = COPY.reverse("to_back", "t_back")
TOPIC = fake_problem(
    "t_topic", [{"inputs": "uvw"[i % 3] * 3, "targets": "uvw"[i % 3]} for i in range(6)], targets=Label(("u", "v", "w"), "uvw")
)
# The raw data of neither has a test split; t_topic could have one.
TOPIC = dataclasses.replace(TOPIC, splits=("train", "dev", "test"), generate=without_test(TOPIC.generate))
ALL = [COPY, BACK, TOPIC]
HPARAMS = HParams().override(
    "hidden_size=8,num_heads=2,encoder_blocks=1,mixer_blocks=1,decoder_blocks=1,num_experts=0,categorical_sizes=8:8,"
    "batch_tokens=64,vocab_size=290,max_length=12"
)


@pytest.fixture(scope="module", autouse=True)
def registered():
    with problems.temporary(**{problem.name: problem for problem in ALL}):
        yield


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generate(ALL, folder, folder, 290, num_shards=1, report=lambda line: None)
    return folder


@pytest.fixture(scope="module")
def output_dir(data_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    vocabulary = Vocabulary.load(data_dir / "vocabulary.model")
    specs = tuple(problem.spec() for problem in ALL)
    config = RunConfig("tiny", HPARAMS, specs, vocabulary.size, vocabulary.sha256, str(data_dir))
    start_run(config, folder, data_dir)
    Checkpoints(folder, build_model(config)).save(4)
    return folder


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_run_is_scored_and_its_examples_written(output_dir, data_dir, capsys):
    score_run(output_dir, data_dir, None, "dev")
    rows = {row["problem"]: row for row in lines(output_dir / "metrics.jsonl")}
    assert list(rows) == ["t_copy", "t_back", "t_topic"]
    assert all(row["step"] == 4 and row["split"] == "dev" for row in rows.values())
    assert {"loss", "accuracy", "accuracy_top5", "accuracy_per_sequence", "bleu"} <= rows["t_copy"].keys()
    assert rows["t_copy"]["examples"] == 9
    assert "chrf" in rows["t_copy"] and "tok:13a" in rows["t_copy"]["bleu_signature"]
    assert any((output_dir / "events").iterdir())
    shown = capsys.readouterr().out.splitlines()
    assert [line.partition("  ")[0].partition(" loss")[0] for line in shown] == [f"{name} dev step 4:" for name in rows]
    decoded = lines(output_dir / "decoded-t_copy-dev.jsonl")
    assert sorted(example["inputs"] for example in decoded) == sorted(example["inputs"] for example in SENTENCES)
    assert ["so", "or so"] in [example["references"] for example in decoded]
    backwards = lines(output_dir / "decoded-t_back-dev.jsonl")
    assert sorted((e["inputs"], *e["references"]) for e in backwards) == sorted((e["targets"], e["inputs"]) for e in SENTENCES)
    looks = lines(output_dir / "attention-t_copy-dev.jsonl")
    assert len(looks) == 2 and all(np.shape(row["attention"]) == (len(row["tokens"]), len(row["input_tokens"])) for row in looks)
    assert "".join(looks[0]["tokens"]).strip() == looks[0]["output"]
    assert (output_dir / "attention-t_topic-dev.jsonl").read_bytes() == b""
    topics = lines(output_dir / "decoded-t_topic-dev.jsonl")
    assert all(example["references"] == [example["inputs"][0]] and example["output"] in "uvw" for example in topics)
    right = np.mean([example["output"] == example["references"][0] for example in topics])
    assert rows["t_topic"]["accuracy"] == pytest.approx(right)


def test_scores_are_printed_where_nothing_may_be_written(output_dir, data_dir, tmp_path, monkeypatch, capsys):
    def refuse(path, content):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(scoring, "write_atomically", refuse)
    with pytest.raises(DataError, match="the scores of t_copy, t_topic were printed but not written to .*: Permission denied$"):
        score_run(output_dir, data_dir, ["t_copy", "t_topic"], "dev")
    shown = capsys.readouterr().out.splitlines()
    assert [line.partition(" step")[0] for line in shown] == ["t_copy dev", "t_topic dev"]


class Says:
    """A Predictor that returns given outputs."""

    def __init__(self, vocabulary):
        self.vocabulary = vocabulary

    def decode_batch(self, problem, batch):
        assert set(batch) <= {"inputs", "inputs_length"}
        wanted = {example["inputs"]: example["targets"] for example in TOPIC.generate("dev", None)}
        return [wanted[self.vocabulary.decode(row)] for row in batch["inputs"].numpy().tolist()]


def test_outputs_meet_the_answers_of_their_own_inputs(output_dir, data_dir):
    vocabulary = Vocabulary.load(data_dir / "vocabulary.model")
    config = RunConfig.load(output_dir)
    scorer = Scorer(build_model(config), vocabulary, HPARAMS, config.problems, data_dir)
    scorer._decoder = Says(vocabulary)
    _, decoded = scorer.score(TOPIC, "dev")
    assert len(decoded) == 6
    assert all(example.output == example.references[0] for example in decoded)


def refused(message, *args):
    with pytest.raises(DataError, match=message) as error:
        score_run(*args)
    assert "\n" not in str(error.value)


def test_mistakes_are_named(output_dir, data_dir, tmp_path):
    refused("this run has no problem t_other; there are: t_copy, t_back, t_topic", output_dir, data_dir, ["t_other"], "dev")
    refused("no split 'test'; there are: dev, train", output_dir, data_dir, None, "test")
    refused("is no output_dir of mm-trainer", tmp_path, data_dir, None, "dev")
    refused("there is no data_dir .*; make them with: mm-datagen", output_dir, tmp_path / "no", None, "dev")


def test_records_of_another_vocabulary_are_not_scored(output_dir, tmp_path):
    train_vocabulary(["something else"], [], 280, tmp_path / "vocabulary.model")
    generate([COPY], tmp_path, tmp_path, 290, num_shards=1, report=lambda line: None)
    refused("t_copy in .* made with another vocabulary than the run was trained with", output_dir, tmp_path, ["t_copy"], "dev")


def test_a_problem_that_has_become_another_is_not_scored(output_dir, data_dir, monkeypatch):
    monkeypatch.setitem(problems._values, "t_topic", dataclasses.replace(TOPIC, targets=Label(("u", "v"), "uvw")))
    refused("t_topic has other features now than in the run's config.json", output_dir, data_dir, ["t_topic"], "dev")


def test_a_run_knows_its_problems_where_nothing_is_registered(output_dir, data_dir, monkeypatch, tmp_path, capsys):
    moved = shutil.copytree(output_dir, tmp_path / "run")
    score_run(moved, data_dir, None, "dev")
    wanted = capsys.readouterr().out
    found = {name: (moved / f"decoded-{name}-dev.jsonl").read_bytes() for name in ("t_copy", "t_back", "t_topic")}
    assert problem_of(BACK.spec()) is BACK
    for problem in ALL:
        monkeypatch.delitem(problems._values, problem.name)
    records = shutil.move(data_dir, tmp_path / "data")
    score_run(moved, records, None, "dev")
    shutil.move(records, data_dir)
    assert capsys.readouterr().out == wanted
    assert {name: (moved / f"decoded-{name}-dev.jsonl").read_bytes() for name in found} == found
    with pytest.raises(DataError, match="does not hold where the raw data of t_back is; give --problem_file or --usr_dir"):
        problem_of(BACK.spec()).generate("dev", tmp_path)


def test_a_run_of_an_earlier_version_needs_the_flag_and_says_so(output_dir, data_dir, monkeypatch, tmp_path):
    older = shutil.copytree(output_dir, tmp_path / "run")
    config = json.loads((older / "config.json").read_text(encoding="utf-8"))
    for spec in config["problems"]:
        del spec["records"], spec["reversed"]
    (older / "config.json").write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.delitem(problems._values, "t_copy")
    refused("where the records of t_copy are; give --problem_file or --usr_dir", older, data_dir, ["t_copy"], "dev")
    score_run(older, data_dir, ["t_back"], "dev")


def test_records_of_another_problem_of_the_name_are_not_scored(output_dir, tmp_path, monkeypatch):
    monkeypatch.delitem(problems._values, "t_topic")
    other = dataclasses.replace(TOPIC, targets=Label(("w", "v", "u"), "uvw"))
    shutil.copy(output_dir / "vocabulary.model", tmp_path)
    generate([other], tmp_path, tmp_path, 290, num_shards=1, report=lambda line: None)
    refused(
        "the records of t_topic in .* have other targets than the run was trained with", output_dir, tmp_path, ["t_topic"], "dev"
    )
