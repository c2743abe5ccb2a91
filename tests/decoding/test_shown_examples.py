"""Examples for the prompt: read from the records of a run's dev split, whatever its problem."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image as Picture

from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.decoding.shown_examples import ShownExamples
from t2t_multimodel.features import Audio, Image, Label, Text
from t2t_multimodel.problem import Problem
from t2t_multimodel.utils.errors import DataError

SAMPLES = np.arange(200, dtype=np.int16)


def encoded(kind):
    with io.BytesIO() as file:
        if kind == "png":
            Picture.new("RGB", (4, 4), "red").save(file, "PNG")
        else:
            soundfile.write(file, SAMPLES, 8000, format="WAV")
        return file.getvalue()


def one(name, inputs, targets, x, y):
    return Problem(name, inputs, targets, "to_any", lambda split, tmp_dir: [{"inputs": x, "targets": y}])


PROBLEMS = [
    one("ende", Text(), Text(), "a dog", "ein Hund"),
    one("parse", Text(), Text("tree"), "a dog", "(NP DT NN )NP"),
    one("shape", Image(4, 4), Label(("star", "line")), encoded("png"), "line"),
    one("speech", Audio(8000), Text(), encoded("wav"), "a dog"),
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    generate(PROBLEMS, folder / "data", folder, vocab_size=400)
    return folder / "data"


def test_examples_of_every_kind_come_back_from_records(data_dir):
    examples = ShownExamples(data_dir)
    ende, parse, shape, speech = (problem.spec() for problem in PROBLEMS)
    assert examples.next(ende) == ("a dog", "ein Hund") == examples.next(ende)
    assert examples.next(PROBLEMS[0].reverse("to_english").spec()) == ("ein Hund", "a dog")
    assert examples.next(parse) == ("a dog", "(NP (DT a) (NN dog))")
    picture, right = examples.next(shape)
    assert (Path(picture).read_bytes(), right) == (PROBLEMS[2].generate("dev", data_dir)[0]["inputs"], "line")
    sound, right = examples.next(speech)
    assert (soundfile.read(sound, dtype="int16")[0].tolist(), right) == (SAMPLES.tolist(), "a dog")


def test_without_records_the_folder_is_named(tmp_path):
    for _ in range(2):
        with pytest.raises(DataError, match=f"records are not at {tmp_path}; mm-decoder --data_dir"):
            ShownExamples(tmp_path).next(PROBLEMS[0].spec())
