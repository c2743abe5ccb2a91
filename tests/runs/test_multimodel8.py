"""The paper's eight problems from their official layouts to outputs: records, an epoch of joint training, scores, decoding."""

import json
import math
from collections import defaultdict

import corpora
import numpy as np
import pytest

import t2t_multimodel.problems  # noqa: F401  (registers them)
from t2t_multimodel.config import HParams
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.pipeline import evaluation_batches
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.evaluation.metrics import score
from t2t_multimodel.features import Label
from t2t_multimodel.inference import open_predictor
from t2t_multimodel.problem import problems, resolve
from t2t_multimodel.runs.launch import train_run
from t2t_multimodel.training.steps import StepFunctions

STEPS = 48
HPARAMS = HParams().override(
    "hidden_size=16,num_heads=2,encoder_blocks=1,mixer_blocks=1,decoder_blocks=1,num_experts=0,image_channels=4:8,image_stem_stride=4,"
    "categorical_sizes=16:16,audio_blocks=2,audio_frequency=fold,mel_bins=20,max_length=48,vocab_size=400,batch_images=6,"
    "batch_tokens=128,batch_seconds=4,problem_schedule=round_robin,warmup_steps=0,eval_samples=0",
    train_steps=STEPS,
)
NAMES = [problem.name for problem in resolve("multimodel8")]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained run: (folder of raw data, data_dir, output_dir, by problem the targets that were trained on)."""
    folder = tmp_path_factory.mktemp("eight")
    raw, data_dir, output_dir = folder / "raw", folder / "data", folder / "run"
    corpora.multimodel8(raw, packed=True)
    generate(resolve("multimodel8"), data_dir, raw, 400, report=lambda line: None)
    trained_on, train = defaultdict(list), StepFunctions.train

    def noted(steps, name, batch, rate, step):
        trained_on[name] += batch["targets"].numpy().tolist()
        return train(steps, name, batch, rate, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StepFunctions, "train", noted)
        assert train_run(resolve("multimodel8"), "tiny", HPARAMS, data_dir, output_dir) == STEPS
    return raw, data_dir, output_dir, trained_on


@pytest.fixture(scope="module")
def decoder(run):
    return open_predictor(run[2], well_formed_trees=False)[0]  # batches are decoded as the model writes


def raw_examples(name, split, raw):
    """Returns (input, references) of each example as the problem's reader yields them."""
    problem = problems.get(name)
    sides = ("targets", "inputs") if problem.reversed else ("inputs", "targets")
    pairs = (
        [example[side] for side in sides] + [example.get("references")]
        for example in problem.generate(split, raw)
        if "left_out" not in example
    )
    return [(source, references or [target]) for source, target, references in pairs]


@pytest.mark.parametrize("name", NAMES)
def test_every_training_example_is_trained_on(run, name):
    raw, data_dir, _, trained_on = run
    targets, vocabulary = problems.get(name).targets, Vocabulary.load(data_dir / "vocabulary.model")
    text = targets.classes.__getitem__ if isinstance(targets, Label) else vocabulary.decode
    assert {text(row) for row in trained_on[name]} == {answer for _, (answer,) in raw_examples(name, "train", raw)}


@pytest.mark.parametrize("name", NAMES)
def test_dev_is_evaluated(run, name):
    rows = map(json.loads, (run[2] / "metrics.jsonl").read_text().splitlines())
    (dev,) = (row for row in rows if row["problem"] == name and row["split"] == "dev")
    assert dev["step"] == STEPS and 0 < dev["loss"] < 2 * math.log(1000)
    assert 0 <= dev["accuracy_per_sequence"] <= dev["accuracy"] <= 1


@pytest.mark.parametrize("name", NAMES)
def test_dev_files_are_decoded_like_their_records_and_scored(run, decoder, name):
    raw, data_dir, _, _ = run
    problem = problems.get(name)
    (batch,) = evaluation_batches(problem, data_dir, HPARAMS)
    of_records = decoder.decode_batch(name, {key: value for key, value in batch.items() if key.startswith("inputs")})
    sources, answers = zip(*raw_examples(name, "dev", raw), strict=True)
    outputs = [answer.outputs[0].text for answer in decoder.predict(name, sources, len(sources))]
    assert outputs == of_records
    if isinstance(problem.targets, Label):
        assert set(outputs) <= set(problem.targets.classes)
    texts = [source if isinstance(source, str) else "" for source in sources]
    assert all(np.isfinite(value) for metric in problem.metrics for value in score(metric, outputs, answers, texts).values())
