"""The SavedModel, loaded with TensorFlow alone, gives the library's answers."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pictures
import pytest
import small_run
import soundfile
import sounds
from PIL import Image as Picture

import t2t_multimodel
from t2t_multimodel.cli import export
from t2t_multimodel.config import HParams
from t2t_multimodel.decoding.files import decode_lines, one_line
from t2t_multimodel.decoding.interactive import Session
from t2t_multimodel.decoding.strategies import BeamSearch
from t2t_multimodel.inference import LoadedModel, open_predictor
from t2t_multimodel.runs.run_config import open_run

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning"),  # of TensorFlow, when Keras saves
]

# Reads {problem: [inputs in hexadecimal]}, writes {problem: [outputs, scores, words of classes]}.
PROGRAM = """
import json, sys
import tensorflow as tf
import tensorflow_text
assert "t2t_multimodel" not in sys.modules
model = tf.saved_model.load(sys.argv[1])
found = {}
for problem, inputs in json.load(sys.stdin).items():
    answer = model.signatures[problem](inputs=tf.constant([bytes.fromhex(each) for each in inputs]))
    outputs = [[text.decode() for text in row] for row in answer["outputs"].numpy()]
    words = [[text.decode() for text in row] for row in answer["words"].numpy()] if "words" in answer else []
    found[problem] = [outputs, answer["scores"].numpy().tolist(), words]
    if problem in ("ende", "parse"):
        wordless = model.signatures[problem](inputs=tf.constant(["a", "", " \\u200b\\n"]))
        assert not wordless["outputs"].numpy()[1:].any() and not wordless["scores"].numpy()[1:].any()
        assert wordless["outputs"].numpy()[0].all()
    nothing = model.signatures[problem](inputs=tf.constant([], tf.string))
    assert nothing["outputs"].shape == nothing["scores"].shape == (0, 2), problem
try:
    model.signatures["speech"](inputs=tf.constant([bytes.fromhex(each) for each in inputs[:1]] + [b"fLaC"]))
except tf.errors.InvalidArgumentError as error:
    assert "input 2 of 2 is no WAV file; a served model reads WAV" in str(error), error
else:
    raise AssertionError
print(json.dumps(found))
"""

# Loads model.keras as its card says.
KERAS_PROGRAM = """
import json, sys
import t2t_multimodel
assert "keras" not in sys.modules
import keras
model = keras.saving.load_model(sys.argv[1] + "/model.keras")
ids = {"inputs": keras.ops.array([[3, 4, 1]]), "targets": keras.ops.array([[5, 6, 1]])}
print(json.dumps(model(ids, problem="ende").numpy().tolist()))
"""


def png(colour):
    file = io.BytesIO()
    Picture.new("RGB", (20, 16), colour).save(file, "PNG")
    return file.getvalue()


def wav(samples):
    return sounds.write(np.random.default_rng(samples).integers(-9999, 9999, samples, dtype=np.int16), rate=1000)


NOISE = np.random.default_rng(1).integers(-9999, 9999, (300, 2), dtype=np.int16)
SOUNDS = [
    wav(400),
    wav(150),
    sounds.write(NOISE.astype(np.int32) << 16, "WAVEX", "PCM_24", 1000),
    sounds.write(NOISE / 8000, subtype="FLOAT", rate=1000),
    sounds.write(NOISE, subtype="PCM_U8", rate=1000),
    sounds.wav(NOISE.tobytes(), 0, rate=1000, before=sounds.chunk(b"LIST", b"odd")),
    sounds.write((np.sin(np.arange(1200) * 0.3) * 9000).astype(np.int16), rate=4000),
]


FILES = pictures.files()
# A song of 44.1 kHz in two channels, as recorders and shops give it.
SONG = np.stack([np.sin(np.arange(22050) * pitch) * 9000 for pitch in (0.02, 0.03)], axis=1).astype(np.int16)
RECORDED = sounds.write(SONG.astype(np.int32) << 16, "WAV", "PCM_24", 44100)
COMPRESSED = {kind: sounds.write(SONG, kind, subtype, 44100) for kind, subtype in (("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III"))}


def as_wav(content):
    """A sound as docs/serving.md converts it for a served model."""
    with io.BytesIO() as file:
        soundfile.write(file, *soundfile.read(io.BytesIO(content)), format="WAV", subtype="FLOAT")
        return file.getvalue()


INPUTS = {
    "ende": [
        "a dog",
        "a cat and a dog and a cat and a dog and a cat and a dog",
        "d\u00fc",
        "\ufeffa\u00a0dog\u2028",
        "du\u0308",
        "\u2581dog",
    ],
    "parse": ["a\u3000 dog", "( a cat )", '1/2 "a dog" [x] \u201cy\u201d *', "dog", " ".join(["dog and"] * 20)],
    "caption": [png("red"), png("blue"), FILES["exif6<.jpg"], pictures.deep_grey(1008)[0]],
    "picture": [png("red"), *(FILES[name] for name in ("transparent.png", "exif8>.jpg", "cmyk_unmarked.jpg", "4bit.png"))],
    "speech": [*SOUNDS, RECORDED, *map(as_wav, COMPRESSED.values())],
}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = small_run.make(tmp_path_factory.mktemp("run"))
    row = {"step": 7, "problem": "ende", "split": "dev", "time": 1.0}
    rows = [row | {"step": 5, "bleu": 99.5}, row | {"loss": 2.5}, row | {"bleu": 12.5}, row | {"step": 9, "bleu": 88.5}]
    rows.append(row | {"step": 9, "problem": "speech", "wer": 0.5})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    return folder


@pytest.fixture(scope="module", params=[["--nowell_formed_trees"], []], ids=["free", "trees"])
def flags(request):
    return request.param


@pytest.fixture(scope="module")
def folder(run_dir, tmp_path_factory, flags):
    folder = tmp_path_factory.mktemp("export") / "served"
    search = ["--beam_size=2", "--n_best=2", *flags]
    assert export.main([f"--output_dir={run_dir}", f"--export_dir={folder}", *search]) == 0
    return folder


def whole(texts):
    """TensorFlow and SentencePiece put a different number of marks in place of the same damaged UTF-8."""
    return [[re.sub("\ufffd+", "\ufffd", text) for text in row] for row in texts]


def test_tensorflow_alone_gives_the_librarys_answers(run_dir, folder, flags):
    raws = {
        problem: [(text.encode() if isinstance(text, str) else text).hex() for text in inputs]
        for problem, inputs in INPUTS.items()
    }
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(folder)]
    done = subprocess.run(command, input=json.dumps(raws), capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    model = t2t_multimodel.load(run_dir, beam_size=2, n_best=2, well_formed_trees=not flags)
    for problem, inputs in INPUTS.items():
        expected = model.n_best(problem, inputs)
        texts, scores, words = found[problem]
        assert whole(texts) == whole([[output.text for output in outputs] for outputs in expected]), problem
        np.testing.assert_allclose(scores, [[output.score for output in outputs] for outputs in expected], atol=1e-3)
        assert words == ([[output.words for output in outputs] for outputs in expected] if problem == "picture" else []), problem
    assert model.class_words("picture") == {"cat": "meows", "dog": "", "owl": "hoots"}


def test_the_prompt_and_a_file_give_the_answers_of_python(run_dir, tmp_path):
    predictor, _ = open_predictor(run_dir, BeamSearch(2))
    model = LoadedModel(predictor, 7)
    inputs = INPUTS | {"speech": [*SOUNDS, RECORDED, *COMPRESSED.values()]}
    for problem, raws in inputs.items():
        if problem == "picture":  # answered with classes, which test_interactive looks at
            continue
        expected = [one_line(text) for text in model.decode(problem, raws)]
        lines = [raw if isinstance(raw, str) else str(tmp_path / f"{problem}{i}") for i, raw in enumerate(raws)]
        for line, raw in zip(lines, raws, strict=True):
            if isinstance(raw, bytes):
                Path(line).write_bytes(raw)
        answers, messages = [], []
        session = Session(predictor, problem, answers.append, messages.append)
        assert all(session.handle(line) for line in lines)
        assert answers == expected, messages
        blocks = decode_lines(predictor, problem, [line.encode() for line in lines], tmp_path, 32, lambda *told: None)
        assert [one_line(found.outputs[0].text) for block in blocks for found in block] == expected


def test_a_keras_file_and_a_card_lie_beside_it(folder, run_dir, flags):
    import tensorflow as tf

    card = (folder / "MODEL_CARD.md").read_text()
    assert "from step 7" in card
    assert re.findall(r"^\* \w+, dev.*", card, re.MULTILINE) == ["* ende, dev, step 7: loss 2.5, bleu 12.5 of 100"]
    assert "import tensorflow_text" in card and "import t2t_multimodel" in card
    assert "An input that is an image is the bytes of a JPEG or PNG file; other formats are refused." in card
    assert "Classes of picture: `outputs` has their names, as cat, `words` what they mean, as meows." in card
    assert "| speech | audio | text | to_english |" in card
    assert "other rates are resampled (speech hears 1,000 samples per second)" in card
    assert f"the first {HParams().data.max_seconds:g} seconds are heard" in card
    assert not list(folder.parent.glob(".*"))
    if not flags:  # the same network
        return
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", KERAS_PROGRAM, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    inputs, targets = tf.constant([[3, 4, 1]]), tf.constant([[5, 6, 1]])
    expected = open_run(run_dir)[2]({"inputs": inputs, "targets": targets}, problem="ende")
    np.testing.assert_allclose(json.loads(done.stdout), expected, atol=1e-5)


def test_mistakes_are_one_line(run_dir, tmp_path, capsys):
    target = f"--export_dir={tmp_path / 'new'}"
    for given, message in [
        ([f"--output_dir={run_dir}"], "--export_dir must be given"),
        ([f"--output_dir={run_dir}", f"--export_dir={tmp_path}"], f"{tmp_path} exists; name a new folder"),
        (
            [f"--output_dir={run_dir}", f"--export_dir={run_dir}/config.json/a"],
            "config.json: Not a directory; name a folder that",
        ),
        ([f"--output_dir={run_dir}", f"--export_dir={tmp_path}/a[1]"], f"as {tmp_path}/a[1]; name another"),
        ([f"--output_dir={run_dir}", target, "--problems=endo"], "this run has no problem endo; there are: ende"),
        ([f"--output_dir={tmp_path}", target], "is no output_dir of mm-trainer"),
    ]:
        assert export.main(given) == 2
        errors = capsys.readouterr().err.splitlines()
        assert len(errors) == 1
        assert message in errors[0]
    assert not list(tmp_path.iterdir())
