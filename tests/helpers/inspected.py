"""Makes records of every kind of feature from known examples."""

import corpora
import numpy as np

from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.features import Audio, Image, Label, Text
from t2t_multimodel.problem import Example
from t2t_multimodel.testing import fake_problem

TREES: list[Example] = [{"inputs": "the dog runs", "targets": "(S (NP DT NN )NP (VP VBZ )VP )S"}]
TEXTS: list[Example] = [
    *[Example(inputs="a dog " * n, targets="ein <Hund>") for n in (1, 1, 1, 3)],
    {"inputs": "a \u2581", "targets": "wrong"},
]
PICTURES: list[Example] = [
    {"inputs": corpora.picture(size=size), "targets": name} for size, name in (((48, 40), "cat"), ((300, 500), "cat"))
]
SOUNDS: list[Example] = [{"inputs": corpora.wav(np.full(n, 100, np.int16)), "targets": "a dog"} for n in (8000, 16000, 400000)]


def make(folder):
    """Writes the records of four problems into `folder`, with a vocabulary that has no piece for the last of TEXTS."""
    made = [
        fake_problem("texts", TEXTS),
        fake_problem("trees", TREES, Text(), Text("tree")),
        fake_problem("pictures", PICTURES, Image(16, 16), Label(("cat", "dog"))),
        fake_problem("sounds", SOUNDS, Audio(16000), Text()),
    ]
    generate(made, folder, folder, 300, num_shards=1, report=lambda line: None)
    return folder
