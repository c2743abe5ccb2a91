"""A run's directory: the files in it, and the refusal of another run."""

import dataclasses
import json
import re

import numpy as np
import pytest

from t2t_multimodel.config import HParams
from t2t_multimodel.data.vocabulary import Vocabulary, train_vocabulary
from t2t_multimodel.features import Image, Label, ProblemSpec, Text
from t2t_multimodel.runs.run_config import VOCABULARY, RunConfig, build_model, open_run, start_run
from t2t_multimodel.utils.errors import DataError

HPARAMS = HParams().override(
    "hidden_size=8,num_heads=2,encoder_blocks=1,mixer_blocks=1,decoder_blocks=1,num_experts=0,image_channels=4:4,"
    "categorical_sizes=8:8,dropout=0.0"
)
SPECS = (
    ProblemSpec("copy", Text(), Text("tree"), "to_copy", ("bleu",), 2.0),
    ProblemSpec("picture", Image(8, 8, augment=("flip",)), Label(("cat", "dog"), "pets"), "to_class"),
)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder with a vocabulary."""
    folder = tmp_path_factory.mktemp("data")
    train_vocabulary(["a small dog", "a cat"], ["(S"], 290, folder / VOCABULARY)
    return folder


@pytest.fixture
def config(data_dir):
    vocabulary = Vocabulary.load(data_dir / VOCABULARY)
    return RunConfig("tiny", HPARAMS, SPECS, vocabulary.size, vocabulary.sha256, str(data_dir))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def changed(config, text):
    return dataclasses.replace(config, hparams=config.hparams.override(text))


def test_a_config_comes_back_as_it_was_saved(config, tmp_path):
    config.save(tmp_path)
    assert RunConfig.load(tmp_path) == config
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert {field.name for field in dataclasses.fields(RunConfig)} == set(json.loads((tmp_path / "config.json").read_text()))


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(DataError, match=f"{re.escape(str(tmp_path))} is no output_dir of mm-trainer: there is no .*config.json"):
        RunConfig.load(tmp_path)


DAMAGE = ["", "{", "[]", "3", '{"hparams": 3}', '{"hparams": {"model": 3}, "problems": []}', '{"hparams": {}, "problems": []}']


@pytest.mark.parametrize("text", DAMAGE)
def test_a_damaged_config_is_named(text, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(DataError, match=r"config\.json is damaged or of another version: ."):
        RunConfig.load(tmp_path)


def test_a_config_with_an_unknown_hyperparameter_is_of_another_version(config, tmp_path):
    config.save(tmp_path)
    text = (tmp_path / "config.json").read_text().replace('"hidden_size"', '"hiden_size"')
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(DataError, match="unknown hyperparameter 'hiden_size'; did you mean hidden_size"):
        RunConfig.load(tmp_path)


def test_starting_writes_config_and_vocabulary_alone(config, data_dir, tmp_path):
    start_run(config, tmp_path / "new" / "run", data_dir)
    assert contents(tmp_path / "new" / "run").keys() == {"config.json", VOCABULARY}
    assert (tmp_path / "new" / "run" / VOCABULARY).read_bytes() == (data_dir / VOCABULARY).read_bytes()


def test_a_run_may_go_on_longer(config, data_dir, tmp_path):
    start_run(config, tmp_path, data_dir)
    evaluated = "eval_every=3,eval_steps=1,eval_samples=0,save_every=2,keep_checkpoints=9,keep_best=none"
    longer = changed(config, f"train_steps=7,{evaluated}")
    start_run(dataclasses.replace(longer, data_dir="elsewhere"), tmp_path, data_dir)
    assert RunConfig.load(tmp_path).hparams.training.train_steps == 7


def other_problem(config):
    return dataclasses.replace(config, problems=SPECS[:1])


def other_classes(config):
    spec = dataclasses.replace(SPECS[1], targets=Label(("cat", "owl"), "pets"))
    return dataclasses.replace(config, problems=(SPECS[0], spec))


OTHERS = [
    (lambda config: changed(config, "hidden_size=16"), "hidden_size: 8, now 16"),
    (lambda config: changed(config, "learning_rate=0.5,seed=3"), "learning_rate: 0.001, now 0.5; seed: 1, now 3"),
    (other_problem, "problems: copy,picture, now copy"),
    (other_classes, "(the definition of picture changed)"),
    (lambda config: dataclasses.replace(config, vocabulary_sha256="0" * 64), "now 000000000000"),
]


@pytest.mark.parametrize(("change", "message"), OTHERS, ids=lambda value: value if isinstance(value, str) else "")
def test_another_config_is_refused_and_nothing_is_changed(change, message, config, data_dir, tmp_path):
    start_run(config, tmp_path, data_dir)
    (tmp_path / "ckpt-5.index").touch()
    before = contents(tmp_path)
    with pytest.raises(DataError, match="holds a run with another config .*; choose another --output_dir$") as error:
        start_run(change(config), tmp_path, data_dir)
    assert message in str(error.value)
    assert len(str(error.value)) < 400
    assert contents(tmp_path) == before


def test_another_config_without_a_checkpoint_is_replaced_and_said(config, data_dir, tmp_path):
    assert start_run(config, tmp_path, data_dir) == ""
    other = changed(config, "hidden_size=16")
    line = f"{tmp_path} held another config (hidden_size: 8, now 16) without a checkpoint: it is replaced"
    assert start_run(other, tmp_path, data_dir) == line
    assert RunConfig.load(tmp_path) == other
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match="damaged or of another version"):
        start_run(config, tmp_path, data_dir)
    assert (tmp_path / "config.json").read_text() == "{}"


def test_checkpoints_without_a_config_are_not_overwritten(config, data_dir, tmp_path):
    (tmp_path / "ckpt-5.index").touch()
    with pytest.raises(DataError, match="holds checkpoints but no config.json; choose another --output_dir"):
        start_run(config, tmp_path, data_dir)
    assert contents(tmp_path).keys() == {"ckpt-5.index"}


def test_the_seed_decides_the_first_weights(config):
    first, again, other = (build_model(c).get_weights() for c in (config, config, changed(config, "seed=2")))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.fixture(scope="module")
def trained(data_dir, tmp_path_factory):
    """A run as (output_dir, the weights of its two checkpoints)."""
    from t2t_multimodel.training.checkpoints import Checkpoints

    vocabulary = Vocabulary.load(data_dir / VOCABULARY)
    config = RunConfig("tiny", HPARAMS, SPECS, vocabulary.size, vocabulary.sha256, str(data_dir))
    folder = tmp_path_factory.mktemp("run")
    start_run(config, folder, data_dir)
    model = build_model(config)
    checkpoints, weights = Checkpoints(folder, model), {}
    for step in (3, 5):
        model.set_weights([weight + step for weight in model.get_weights()])
        checkpoints.save(step)
        weights[step] = model.get_weights()
    return folder, weights


@pytest.mark.parametrize(("asked", "found"), [(None, 5), (3, 3)])
def test_a_run_is_opened_from_its_folder_alone(asked, found, trained, config):
    opened, vocabulary, model, step = open_run(trained[0], asked)
    assert (opened, vocabulary.sha256, step) == (config, config.vocabulary_sha256, found)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), trained[1][found], strict=True))


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of the trained run, which a test may damage."""
    for name, content in contents(trained[0]).items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_a_run_without_a_checkpoint_is_named(copied):
    (copied / "checkpoint").unlink()
    with pytest.raises(DataError, match=r"there is no checkpoint in .*; train first: mm-trainer --output_dir="):
        open_run(copied)


def test_another_vocabulary_than_the_run_was_trained_with_is_named(copied):
    train_vocabulary(["etwas ganz anderes"], [], 280, copied / VOCABULARY)
    with pytest.raises(DataError, match="is not the vocabulary the run was trained with"):
        open_run(copied)


@pytest.mark.parametrize("change", [("hidden_size=16",), ("encoder_blocks=2",)])
def test_a_checkpoint_that_does_not_fit_its_config_is_named(change, copied):
    changed(RunConfig.load(copied), change[0]).save(copied)
    with pytest.raises(DataError, match=r"ckpt-5 does not fit the model of config\.json beside it") as error:
        open_run(copied)
    assert "\n" not in str(error.value)


def test_another_problem_than_the_checkpoint_has_is_named(copied):
    config = RunConfig.load(copied)
    more = ProblemSpec("birds", Image(8, 8), Label(("owl", "wren", "tit"), "birds"), "to_class")
    dataclasses.replace(config, problems=(*config.problems, more)).save(copied)
    with pytest.raises(DataError, match=r"ckpt-5 does not fit the model of config\.json beside it"):
        open_run(copied)
