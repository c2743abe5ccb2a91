"""A picture has the same pixels by way of mm-datagen's records and of mm-decoder, and they are Pillow's."""

import numpy as np
import pictures
import pytest
import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.pipeline import evaluation_batches, prepare_inputs
from t2t_multimodel.data.preprocess import image_pixels
from t2t_multimodel.features import Image, Label
from t2t_multimodel.testing import fake_problem

HPARAMS = HParams().override("batch_images=100")
FILES = pictures.files() | {"deep_grey.png": pictures.deep_grey(1008)[0]}
FEATURE = Image(16, 16)


@pytest.fixture(scope="module", params=[0, 20])
def made(request, tmp_path_factory):
    """(image_size, manifest, by file the pixels that a model reads from the records)."""
    folder = tmp_path_factory.mktemp("data")
    examples = [{"inputs": content, "targets": "a"} for content in FILES.values()]
    problem = fake_problem("photos", examples, FEATURE, Label(("a", "b")))
    lines = []
    manifest = generate([problem], folder, folder, 300, 1, image_size=request.param, report=lines.append)["photos"]
    batch = next(iter(evaluation_batches(problem, folder, HPARAMS)))
    return request.param, manifest, batch["inputs"].numpy(), lines


def test_the_trainer_reads_what_a_person_sees_as_the_decoder_does(made):
    image_size, _, found, _ = made
    decoded = prepare_inputs(FEATURE, list(FILES.values()), HPARAMS, None)["inputs"]
    if not image_size:
        np.testing.assert_array_equal(found, decoded)
    for name, by_record, by_decoder in zip(FILES, found, decoded, strict=True):
        seen = pictures.deep_grey(1008)[1].astype("uint8") if name == "deep_grey.png" else pictures.seen(FILES[name])
        wanted = image_pixels(tf.io.encode_png(seen), FEATURE).numpy()
        # A scaled JPEG is compressed once more; scaling pixels of 1 bit twice gives other ones.
        scaled = image_size and name != "1bit.png" and name != "1bit_transparent.png"
        np.testing.assert_allclose(by_decoder, wanted, atol=0.03, err_msg=name)
        assert np.abs(by_record - wanted).mean() < (0.2 if scaled else 0.5 if image_size else 0.01), name


def test_what_was_done_is_counted_in_the_table_and_the_manifest(made):
    _, manifest, _, lines = made
    for split in ("train", "dev"):
        changed = manifest["splits"][split]["changed"]
        assert changed["turned upright (EXIF)"] == 16 and changed["laid over white (transparent)"] == 6
        assert changed["brought to 8 bits"] == changed["reduced to the first frame"] == 1
    line = next(line for line in lines if line.startswith("photos-train: "))
    assert ", 16 turned upright (EXIF)" in line and ", 6 laid over white (transparent)" in line
