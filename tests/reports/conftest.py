"""A scored run of five kinds of problem whose files are written by hand; no model is trained."""

import io
import json
import shutil

import numpy as np
import pytest
import soundfile
from PIL import Image as Picture

from t2t_multimodel.config import HParams
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.features import Audio, Image, Label, Text
from t2t_multimodel.problem import Problem, problems
from t2t_multimodel.runs.run_config import RunConfig

COLOURS = ("red", "green", "blue", "white")
TREE = "(S (NP DT NN )NP (VP VBZ )VP )S"


def image(colour):
    with io.BytesIO() as file:
        Picture.new("RGB", (8, 8), colour).save(file, "PNG")
        return file.getvalue()


def sound(number):
    with io.BytesIO() as file:
        soundfile.write(file, np.sin(np.arange(800) * (0.1 + 0.05 * number)) / 2, 8000, format="WAV")
        return file.getvalue()


def examples(make):
    return lambda split, tmp_dir: [make(i, COLOURS[i % 4]) for i in range(8 if split == "train" else 4)]


def made_up():
    """Returns a problem per kind; the dev examples differ in their colours."""
    picture = Image(height=8, width=8)
    translate = examples(lambda i, colour: {"inputs": f"A {colour} star is here.", "targets": f"Ici, une étoile {colour}."})
    caption = examples(lambda i, colour: {"inputs": image(colour), "targets": f"a small {colour} | square *"})
    return [
        Problem("t_class", picture, Label(COLOURS), "to_class", examples(lambda i, c: {"inputs": image(c), "targets": c})),
        Problem("t_caption", picture, Text(), "to_english", caption, ("cider",)),
        Problem(
            "t_speech", Audio(8000), Text(), "to_english", examples(lambda i, c: {"inputs": sound(i), "targets": c}), ("wer",)
        ),
        Problem(
            "t_parse",
            Text(),
            Text("tree"),
            "to_tree",
            examples(lambda i, c: {"inputs": f"the {c} is", "targets": TREE}),
            ("parse_f1",),
        ),
        (forward := Problem("t_enfr", Text(), Text(), "to_french", translate, ("bleu",))),
        forward.reverse("to_english"),
    ]


def scores(accuracy, **more):
    return {"loss": 1 - accuracy, "accuracy": accuracy, "accuracy_per_sequence": accuracy, **more}


GOOD = {
    "t_class": scores(1.0),
    "t_caption": scores(0.5, cider=9.9),
    "t_speech": scores(0.9, wer=0.01),
    "t_parse": scores(1.0, parse_f1=1.0, well_formed=1.0),
    "t_enfr": scores(0.99, bleu=98.0),
    "t_enfr_rev": scores(0.5, bleu=45.0),
}


@pytest.fixture
def scored_run(made_run, tmp_path):
    """(output_dir, data_dir) of a copy of `made_run`, whose output_dir a test may change."""
    output_dir, data_dir = made_run
    return shutil.copytree(output_dir, tmp_path / "run"), data_dir


@pytest.fixture(scope="module")
def made_run(tmp_path_factory):
    """(output_dir, data_dir) of a run in which all but t_enfr_rev have reached their goals."""
    tmp_path = tmp_path_factory.mktemp("made")
    chosen = made_up()
    output_dir, data_dir = tmp_path / "run", tmp_path / "data"
    with problems.temporary(**{problem.name: problem for problem in chosen}):
        generate(chosen, data_dir, tmp_path, 400, num_shards=1, report=lambda line: None)
        vocabulary = Vocabulary.load(data_dir / "vocabulary.model")
        hparams = HParams().override(num_experts=2, moe_k=2, train_steps=1000)
        specs = tuple(problem.spec() for problem in chosen)
        RunConfig("some_set", hparams, specs, vocabulary.size, vocabulary.sha256, str(data_dir)).save(output_dir)
        (output_dir / "vocabulary.model").write_bytes((data_dir / "vocabulary.model").read_bytes())
        write_metrics(output_dir, chosen)
        for problem in chosen:
            write_decoded(output_dir, problem, tmp_path)
        yield output_dir, data_dir


def write_metrics(output_dir, chosen):
    rows = []
    for step in (50, 100, 150):
        clock = 60.0 * (step if step < 150 else 50) / 50  # the run was resumed at step 100 with a new clock
        for i, problem in enumerate(chosen):
            load = {f"expert_load/{k}": 0.5 + (-1) ** k * 0.1 for k in range(2 if i == 0 else 4)}
            row = {"step": step, "problem": problem.name, "time": clock + i}
            rows.append({**row, "split": "train", "loss": 100 / step, "expert_load_cv": 0.2, **load})
            rows.append({**row, "split": "dev", **scores(step / 300)})
    rows += [{"step": 150, "problem": p.name, "split": "dev", "time": 0.5, **GOOD[p.name]} for p in chosen]
    (output_dir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_decoded(output_dir, problem, tmp_dir):
    sides = ("targets", "inputs") if problem.reversed else ("inputs", "targets")
    lines = []
    for i, example in enumerate(problem.generate("dev", tmp_dir)):
        source, target = (example[side] for side in sides)
        right = {"inputs": source if isinstance(source, str) else "", "references": [target], "output": target}
        lines.append(right if i else right | {"output": "<b>something else</b>"})
    if isinstance(problem.targets, Text) and problem.name != "t_enfr_rev":
        shape = [2, 2] if isinstance(problem.inputs, Image) else None
        read = ["a", " <b>", " c", ""] if isinstance(problem.inputs, Text) else []
        weights = [[0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 0.0, 0.0], [0.25] * 4]
        look = {
            "output": "x y",
            "tokens": [" x", " y&", ""],
            "attention": weights,
            "attention_shape": shape,
            "input_tokens": read,
        }
        (output_dir / f"attention-{problem.name}-dev.jsonl").write_text(json.dumps(look) + "\n")
    (output_dir / f"decoded-{problem.name}-dev.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
