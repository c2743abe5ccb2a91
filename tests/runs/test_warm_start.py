"""A run that begins with another run's weights: which weights are taken, which are new, and what keeps it from starting."""

import shutil

import numpy as np
import pytest

from t2t_multimodel.config import HParams
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.features import Label
from t2t_multimodel.runs import launch, run_config
from t2t_multimodel.testing import fake_problem
from t2t_multimodel.training.checkpoints import Checkpoints, by_path
from t2t_multimodel.training.step_plan import StepPlan
from t2t_multimodel.utils.errors import DataError

COPY = fake_problem("w_copy", [{"inputs": "abcd"[: i + 1], "targets": "abcd"[: i + 1]} for i in range(4)], target_space="to_copy")
TOPIC = fake_problem(
    "w_topic", [{"inputs": "uv"[i % 2] * 3, "targets": "uv"[i % 2]} for i in range(4)], targets=Label(("u", "v"), "uv")
)
ADDED = fake_problem("w_added", [{"inputs": "abc", "targets": "cba"}], target_space="to_added")
MORE_CLASSES = fake_problem("w_topic", [{"inputs": "uuu", "targets": "u"}], targets=Label(("u", "v", "w"), "uv"))
HPARAMS = HParams().override(
    "hidden_size=16,num_heads=2,encoder_blocks=1,mixer_blocks=1,decoder_blocks=1,num_experts=2,moe_k=1,moe_hidden_size=8,"
    "categorical_sizes=8:8,vocab_size=290,eval_samples=0"
)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generate([COPY, TOPIC, ADDED], folder, folder, 290, num_shards=1, report=lambda line: None)
    return folder


def config_of(problems, data_dir, hparams=HPARAMS):
    vocabulary = Vocabulary.load(data_dir / run_config.VOCABULARY)
    specs = tuple(problem.spec() for problem in problems)
    return run_config.RunConfig("tiny", hparams, specs, vocabulary.size, vocabulary.sha256, str(data_dir))


@pytest.fixture(scope="module")
def source(data_dir, tmp_path_factory):
    """The output_dir of a run of two problems whose weights are far from initial ones."""
    folder = tmp_path_factory.mktemp("source")
    config = config_of([COPY, TOPIC], data_dir)
    run_config.start_run(config, folder, data_dir)
    model = run_config.build_model(config)
    model.set_weights([weight + 1 if weight.dtype.kind == "f" else weight for weight in model.get_weights()])
    Checkpoints(folder, model).save(7)
    return folder


@pytest.fixture
def begin(data_dir, source, tmp_path, monkeypatch):
    """A function that starts a run of problems in tmp_path/run and returns its weights before the first step, by path."""

    class Stands:
        interrupted = False
        plan = StepPlan()

        def __init__(self, model, *args, **kwargs):
            begin.weights = {path: value.numpy() for path, value in by_path(model.trainable_variables).items()}

        def train(self, until, *timing):
            return 0

    def begin(*problems, hparams=HPARAMS, warm_start=source, data_dir=data_dir):
        launch.train_run(problems, "tiny", hparams, data_dir, tmp_path / "run", warm_start=warm_start)
        return begin.weights

    monkeypatch.setattr(launch, "Trainer", Stands)
    monkeypatch.setattr(launch, "start_report", lambda model, config: [])
    return begin


def weights(config):
    return {path: value.numpy() for path, value in by_path(run_config.build_model(config).trainable_variables).items()}


def test_what_both_have_is_taken_over_and_the_rest_is_as_a_new_model_has_it(begin, source, data_dir, capsys):
    found = begin(COPY, TOPIC, ADDED)
    theirs = {path: value.numpy() for path, value in by_path(run_config.open_run(source)[2].trainable_variables).items()}
    fresh = weights(config_of([COPY, TOPIC, ADDED], data_dir))
    new = found.keys() - theirs.keys()
    assert new == {"command_to_added.embedding"}
    assert all(np.array_equal(found[path], (fresh if path in new else theirs)[path]) for path in found)
    assert not np.array_equal(fresh["command_to_copy.embedding"], found["command_to_copy.embedding"])
    said = capsys.readouterr().err.splitlines()
    assert f"warm start from {source} at step 7: taken over are " in said[-2]
    assert "command_to_copy (1)" in said[-2] and "encoder (" in said[-2]
    assert said[-1] == "new are command_to_added (1)"


def test_problems_of_the_other_run_may_be_left_out(begin, source, capsys):
    begin(ADDED)
    assert capsys.readouterr().err.splitlines()[-1] == "new are command_to_added (1)"


def test_a_weight_of_another_shape_is_new(begin, source, data_dir, capsys):
    found = begin(COPY, MORE_CLASSES)
    fresh = weights(config_of([COPY, MORE_CLASSES], data_dir))
    unlike = {path for path in found if not np.array_equal(found[path], fresh[path])}
    kept = found.keys() - unlike
    assert kept and all(path.startswith("categorical") for path in kept)
    assert capsys.readouterr().err.splitlines()[-1].startswith("new are categorical")


def test_the_config_keeps_where_a_run_began_and_refuses_another_beginning(begin, source, tmp_path):
    begin(COPY, ADDED)
    assert run_config.RunConfig.load(tmp_path / "run").warm_start == str(source.resolve())
    (tmp_path / "run" / "ckpt-1.index").touch()
    with pytest.raises(DataError, match=r"warm_start: .*, now .*/other\)"):
        begin(COPY, ADDED, warm_start=tmp_path / "other")
    begin(COPY, ADDED, warm_start=None)
    assert run_config.RunConfig.load(tmp_path / "run").warm_start == str(source.resolve())


def test_a_run_that_goes_on_needs_the_other_no_more(begin, source, data_dir, tmp_path, capsys):
    gone = shutil.copytree(source, tmp_path / "gone")
    begin(COPY, ADDED, warm_start=gone)
    config = run_config.RunConfig.load(tmp_path / "run")
    Checkpoints(tmp_path / "run", run_config.build_model(config)).save(3)
    shutil.rmtree(gone)
    capsys.readouterr()
    begin(COPY, ADDED, warm_start=gone)
    assert "warm start" not in capsys.readouterr().err


def refused(message, tmp_path, start):
    with pytest.raises(DataError, match=message) as error:
        start()
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "run").glob("ckpt*"))


def test_another_vocabulary_is_refused_before_anything_is_written(begin, source, data_dir, tmp_path):
    other = tmp_path / "other"
    generate([fake_problem("w_added", [{"inputs": "xyz", "targets": "zyx"}])], other, other, 280, report=lambda line: None)
    message = rf"was trained with another vocabulary than the one in {other}; make the records of all problems in its data_dir"
    refused(message, tmp_path, lambda: begin(ADDED, data_dir=other))
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_checkpoint_or_none_at_all_is_named(begin, source, tmp_path):
    refused("is no output_dir of mm-trainer", tmp_path, lambda: begin(ADDED, warm_start=tmp_path / "no"))
    empty = tmp_path / "empty"
    empty.mkdir()
    for name in ("config.json", run_config.VOCABULARY):
        shutil.copy(source / name, empty)
    refused("there is no checkpoint that can be read in .*empty", tmp_path, lambda: begin(ADDED, warm_start=empty))


def test_a_model_of_other_sizes_is_refused(begin, tmp_path):
    hparams = HPARAMS.override("hidden_size=24,moe_hidden_size=9,categorical_sizes=9:9,num_experts=0")
    refused("no weight of .* at step 7 fits: the hyperparameters of the model", tmp_path, lambda: begin(COPY, hparams=hparams))


def test_a_run_does_not_begin_with_itself(begin, tmp_path):
    refused("is --output_dir itself", tmp_path, lambda: begin(ADDED, warm_start=tmp_path / "run"))
