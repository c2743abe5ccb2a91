"""A tiny model of three problems that differ in target space or in kind, and batches for it."""

import numpy as np
import pytest
import tensorflow as tf
from pretended_training import COPY, TOPIC, FakeModel, FakeSteps

from t2t_multimodel.config import HParams
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.features import Label, ProblemSpec, Text
from t2t_multimodel.runs.run_config import RunConfig, build_model
from t2t_multimodel.training.metrics import MetricSums, mean_metrics
from t2t_multimodel.training.trainer import Trainer

HPARAMS = HParams().override(
    "hidden_size=16,num_heads=2,encoder_blocks=2,mixer_blocks=1,decoder_blocks=2,num_experts=4,moe_k=2,moe_hidden_size=12,"
    "categorical_sizes=10:12,dropout=0.1,attention_dropout=0.1,embedding_dropout=0.1,output_norm=true,learning_rate=0.01"
)
SPECS = (
    ProblemSpec("german", Text(), Text(), "to_german"),
    ProblemSpec("french", Text(), Text(), "to_french", loss_weight=2),
    ProblemSpec("topic", Text(), Label(tuple("abcdefg"), "topics"), "to_topic"),
)


@pytest.fixture(scope="session", autouse=True)
def as_in_a_run():
    """Switches Grappler off, as `train_run` does."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture(scope="session")
def hparams():
    return HPARAMS


@pytest.fixture(scope="session")
def make_model():
    """Returns a new model; `changes` are hyperparameters."""

    def make(**changes):
        return build_model(RunConfig("tiny", HPARAMS.override(**changes), SPECS, 23, "", ""))

    return make


@pytest.fixture(scope="session")
def make_batch():
    """Returns rows of ids for a problem; each ends with 1 and is padded with 0."""

    def make(problem, *lengths, seed=0):
        generator = np.random.default_rng(seed)

        def ids():
            rows = np.zeros((len(lengths), max(lengths)), "int32")
            for row, length in zip(rows, lengths, strict=True):
                row[:length] = [*generator.integers(3, 23, length - 1), 1]
            return rows

        inputs = ids()
        targets = np.arange(len(lengths), dtype="int32") % 7 if problem == "topic" else ids()
        return {"inputs": tf.constant(inputs), "targets": tf.constant(targets)}

    return make


@pytest.fixture(scope="session")
def pretended_data(tmp_path_factory):
    """Returns a folder with the records of COPY and TOPIC."""
    folder = tmp_path_factory.mktemp("data")
    generate([COPY, TOPIC], folder, folder, 290, num_shards=1, report=lambda line: None)
    return folder


@pytest.fixture
def make_trainer(hparams, pretended_data, tmp_path):
    """Returns a trainer with fake steps, and its model. `dev(problem, steps)` returns the dev loss in place of an evaluation."""

    def make(changes="", losses=None, at=None, dev=None, output_dir=tmp_path):
        output_dir.mkdir(exist_ok=True)
        settings = hparams.override("train_steps=12,eval_every=5,eval_steps=0,learning_rate_schedule=constant,warmup_steps=0")
        model = FakeModel()
        trainer = Trainer(model, [COPY, TOPIC], settings.override(changes), pretended_data, output_dir)
        trainer.steps = FakeSteps(model, losses, at)
        if dev:
            trainer.metrics = lambda name, *args: mean_metrics(MetricSums(dev(name, model.number.numpy()), 1, 1, 1, 1, 1))
        return trainer, model

    return make
