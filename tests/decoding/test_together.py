"""Inputs of all problems that are decoded in one loop get the outputs that each gets alone."""

import io

import numpy as np
import pytest
import small_run
import sounds
from PIL import Image as Picture

from t2t_multimodel.decoding.strategies import BeamSearch, Greedy
from t2t_multimodel.inference import open_predictor


def png(seed):
    with io.BytesIO() as file:
        Picture.fromarray(np.random.default_rng(seed).integers(0, 255, (16, 16, 3), np.uint8)).save(file, "PNG")
        return file.getvalue()


ASKED = [
    ("parse", "a dog and a cat and a dog"),
    ("ende", "a dog"),
    ("picture", png(1)),
    ("speech", sounds.write(rate=1000)),
    ("caption", png(2)),
    ("enfr", "a cat and a dog and a cat"),
    ("parse", "a cat"),
    ("ende", "and a cat and"),
    ("picture", png(3)),
    ("speech", sounds.write(sounds.TONE[:500], rate=1000)),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return small_run.make(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("strategy", [BeamSearch(3, n_best=2), Greedy()], ids=["beam", "greedy"])
def test_all_problems_together_equal_each_input_alone(run, strategy):
    predictor, _ = open_predictor(run, strategy)
    prepared = [predictor.prepare(problem, [raw]) for problem, raw in ASKED]
    together = predictor.predict_prepared(prepared, classes=3)
    assert [len(found.outputs) for found in together if found.outputs[0].text in ("cat", "dog", "owl")] == [3, 3]
    outputs = set()
    for (problem, raw), found in zip(ASKED, together, strict=True):
        alone = predictor.predict(problem, [raw], strategy=BeamSearch(3, n_best=3) if problem == "picture" else None)[0]
        assert [output.text for output in found.outputs] == [output.text for output in alone.outputs]
        np.testing.assert_allclose(*([output.score for output in each.outputs] for each in (found, alone)), atol=1e-4)
        np.testing.assert_allclose(found.experts, alone.experts, atol=1e-5)
        assert found.outputs[0].well_formed == alone.outputs[0].well_formed == (True if problem == "parse" else None)
        outputs.add((problem, found.outputs[0].text))
    assert len(outputs) > 6  # the model does not say the same to everything
