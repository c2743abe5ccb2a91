"""The shares that a set's limits leave out of training and evaluation are those that the batches leave out, and are reported."""

import io

import numpy as np
import pytest
import soundfile

from t2t_multimodel.config import HParams
from t2t_multimodel.data import lengths
from t2t_multimodel.data.generation import encode
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.inspection import left_out_lines_of
from t2t_multimodel.data.lengths import left_out_lines, left_out_of
from t2t_multimodel.data.pipeline import TrainingBatches, evaluation_batches
from t2t_multimodel.data.readers.sound.decode import Sound, decode_audio
from t2t_multimodel.features import Audio, Label
from t2t_multimodel.testing import fake_problem
from t2t_multimodel.utils.errors import DataError

HPARAMS = HParams().override("max_length=8,max_seconds=0.5,batch_tokens=64,mel_bins=4,hop_ms=10.0")
TOPICS = Label(("a", "b"), "topics")


def sound(samples):
    with io.BytesIO() as file:
        soundfile.write(file, np.sin(np.arange(samples) / 5) / 2, 1000, format="WAV")
        return file.getvalue()


# A text of n letters has n + 2 tokens: a blank before it, and EOS.
TEXTS = fake_problem("texts", [{"inputs": "x" * n, "targets": "y" * m} for n, m in ((2, 3), (6, 6), (7, 1), (1, 8), (40, 40))])
SOUNDS = fake_problem(
    "sounds",
    [{"inputs": sound(n), "targets": "z" * m} for n, m in ((500, 2), (510, 2), (511, 2), (4000, 2), (100, 20))],
    inputs=Audio(1000),
)
TOPIC = fake_problem("topic", [{"inputs": "w" * n, "targets": "ab"[n % 2]} for n in (1, 6, 7)], targets=TOPICS)
BACK = TEXTS.reverse("to_back", "back")
ALL = [TEXTS, SOUNDS, TOPIC, BACK]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generate(ALL, folder, folder, 264, num_shards=2, report=lambda line: None)  # no piece is longer than a letter
    return folder


def trained_on(problem, data_dir, hparams):
    """Returns the number of different examples in twenty batches of training, which hold each of them several times."""
    batches = TrainingBatches(problem, data_dir, hparams, seed=1)
    return len({row.tobytes() for _ in range(20) for row in next(batches)["inputs"].numpy()})


@pytest.mark.parametrize("audio_input", ["spectrogram", "waveform"])
def test_what_is_counted_is_what_training_leaves_out(audio_input, data_dir):
    hparams = HPARAMS.override(audio_input=audio_input, batch_tokens=1, batch_seconds=0.001)
    for problem in ALL if audio_input == "spectrogram" else [SOUNDS]:
        found = left_out_of(problem, data_dir, hparams)[0]
        assert found.examples == found.read == len(list(problem.forward().generate("train", None)))
        assert trained_on(problem, data_dir, hparams) == found.examples - found.left_out, problem.name


def test_shares_and_reasons(data_dir):
    text, speech = (left_out_of(problem, data_dir, HPARAMS)[0] for problem in (TEXTS, SOUNDS))
    assert (text.left_out, text.reasons) == (3, {"max_length=8": 3})
    assert text.share == pytest.approx((12 + 13 + 84) / (9 + 16 + 12 + 13 + 84))
    assert (speech.left_out, speech.reasons) == (3, {"max_seconds=0.5": 2, "max_length=8": 1})
    assert speech.figures() == {"left_out_examples": 0.6, "left_out_sound": pytest.approx((511 + 4000 + 100) / 5621)}


def test_recordings_without_a_sample_in_old_records_are_left_out_and_told(tmp_path, monkeypatch):
    empty = fake_problem("empty", [{"inputs": sound(n), "targets": "z"} for n in (300, 1, 310)], inputs=Audio(1000))
    monkeypatch.setattr(encode, "decode_audio", lambda *given: cut(decode_audio(*given)))
    generate([empty], tmp_path, tmp_path, 264, report=lambda line: None)
    found = left_out_of(empty, tmp_path, HPARAMS)
    assert found[0].reasons == {"without a sample": 1}
    assert (
        "1 of 3 training examples, 0.0% of the sound, are without a sample and are left out"
        in left_out_lines({"empty": found})[0]
    )
    assert trained_on(empty, tmp_path, HPARAMS.override(batch_seconds=0.001)) == 2


def cut(whole):
    """Returns the sound; an empty one if it has a single sample."""
    return Sound(whole.samples[:0] if len(whole) == 1 else whole.samples)


def test_lines_tell_how_much_and_warn(data_dir):
    found = {problem.name: left_out_of(problem, data_dir, HPARAMS) for problem in (TEXTS, SOUNDS)}
    wide = HPARAMS.override(max_length=100, max_seconds=9)
    found["topic"] = left_out_of(TOPIC, data_dir, wide)
    assert left_out_lines(found) == [
        "warning: texts: 3 of 5 training examples, 81.3% of the tokens, are longer than max_length=8 and are left out; "
        "the longest has 42 tokens",
        "warning: sounds: 3 of 5 training examples, 82.0% of the sound, are longer than max_seconds=0.5 (2) or max_length=8 (1) "
        "and are left out; the longest has 4.0 seconds",
        "no example is too long: topic",
    ]


def test_inspection_tells_the_same_of_records_alone(data_dir):
    found = {problem.name: left_out_of(problem, data_dir, HPARAMS) for problem in (TEXTS, TOPIC)}
    assert left_out_lines_of(data_dir, ["texts", "topic"], HPARAMS) == left_out_lines(found)


def test_of_a_large_split_the_first_examples_are_read(data_dir, monkeypatch):
    monkeypatch.setattr(lengths, "MOST_EXAMPLES", 2)
    found = left_out_of(TEXTS, data_dir, HPARAMS)[0]
    assert (found.read, found.examples) == (2, 5)
    assert "of the first 2 of 5 training examples" in found._replace(left_out=1, reasons={"max_length=8": 1}).line("texts")


def test_an_evaluation_leaves_out_what_is_far_too_long_and_says_so(data_dir, monkeypatch):
    monkeypatch.setattr(lengths, "_LEAST_TOKENS", 20)
    monkeypatch.setattr(lengths, "_LEAST_SECONDS", 1.0)
    for problem, kept in ((TEXTS, 4), (SOUNDS, 4)):
        found = left_out_of(problem, data_dir, HPARAMS, ["dev"])[0]
        assert found.left_out == 1
        assert sum(len(batch["targets"]) for batch in evaluation_batches(problem, data_dir, HPARAMS)) == kept
    assert found.line("sounds") == ("sounds: 1 of 5 dev examples, 71.2% of the sound, are longer than 2 seconds and are left out")


def test_damaged_records_are_named(data_dir, tmp_path):
    for path in data_dir.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    shard = tmp_path / "texts-train-00000-of-00002.tfrecord"
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(DataError, match="the records of texts train in .* are damaged; this says where: mm-datagen .* --verify"):
        left_out_of(TEXTS, tmp_path, HPARAMS)
