"""SavedModels with weights of fewer bytes, and requests in the form of TensorFlow Serving's REST API."""

import base64
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small_run
import tiny
from PIL import Image as Picture

from t2t_multimodel.cli import export
from t2t_multimodel.export_weights import StoredWeights

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # of TensorFlow, when Keras saves

# Answers a body as POST /v1/models/NAME:predict does, with TensorFlow alone; prints the answer and the bytes of all variables.
PROGRAM = """
import base64, json, sys
import tensorflow as tf
import tensorflow_text
assert "t2t_multimodel" not in sys.modules
model = tf.saved_model.load(sys.argv[1])
def value(given):
    return base64.b64decode(given["b64"]) if isinstance(given, dict) else given.encode()
answers = []
for body in json.load(sys.stdin):
    signature = model.signatures[body["signature_name"]]
    (name,) = signature.structured_input_signature[1]
    rows = body["instances"] if "instances" in body else body["inputs"]
    rows = rows[name] if isinstance(rows, dict) else [row[name] if isinstance(row, dict) and name in row else row for row in rows]
    found = {key: tensor.numpy().tolist() for key, tensor in signature(**{name: tf.constant(list(map(value, rows)))}).items()}
    answers.append([[[text.decode() for text in row] for row in found["outputs"]], found["scores"]])
size = tf.io.gfile.GFile(sys.argv[1] + "/variables/variables.data-00000-of-00001").size()
print(json.dumps([answers, size]))
"""


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return small_run.make(tmp_path_factory.mktemp("run"))


def png():
    with io.BytesIO() as file:
        Picture.new("RGB", (20, 16), "red").save(file, "PNG")
        return file.getvalue()


def served(run_dir, folder, bodies, *flags):
    assert export.main([f"--output_dir={run_dir}", f"--export_dir={folder}", "--problems=picture", *flags]) == 0
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(folder)]
    done = subprocess.run(command, input=json.dumps(bodies), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_requests_as_the_page_shows_them_are_answered(run_dir, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL) if "signature_name" in block]
    assert [body["signature_name"] for body in shown] == ["mini_ende", "mini_class"] and "b64" in json.dumps(shown[1])
    picture = {"b64": base64.b64encode(png()).decode()}
    bodies = [{"signature_name": "picture", "instances": [picture, picture]}, {"signature_name": "picture", "inputs": [picture]}]
    answers, size = served(run_dir, tmp_path / "served", bodies)
    (rows, scores), (column, _) = answers
    assert len(rows) == 2 and rows[0] == rows[1] == column[0] and np.shape(scores) == (2, 1)
    small_answers, small = served(run_dir, tmp_path / "int8", bodies, "--weights=int8")
    assert small < 0.6 * size
    np.testing.assert_allclose(small_answers[0][1], scores, atol=0.05)


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_the_model_reads_the_stored_weights_and_keeps_its_own(kind):
    model, made = tiny.model(("translate",)), tiny.batch("translate")
    plain = np.asarray(model(made, problem="translate"))
    weights = StoredWeights(model.variables, kind)
    with weights.in_use():
        found = np.asarray(model(made, problem="translate"))
    assert np.abs(found - plain).max() > 1e-4
    np.testing.assert_array_equal(model(made, problem="translate"), plain)
    before = [np.asarray(variable) for variable in model.trainable_variables]
    for variable, value in zip(model.trainable_variables, before, strict=True):
        if variable.path.endswith(("/gate", "/noise_kernel")):
            continue
        if kind == "float16":
            variable.assign(value.astype("float16").astype("float32"))
        elif value.ndim > 1 and value.size >= 256:
            scale = np.abs(value).max(axis=-2, keepdims=True) / 127
            variable.assign(np.round(value / scale) * scale)
    expected = np.asarray(model(made, problem="translate"))
    for variable, value in zip(model.trainable_variables, before, strict=True):
        variable.assign(value)
    np.testing.assert_allclose(found, expected, atol=1e-5)
