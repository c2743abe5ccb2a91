"""What is checked of a raw example, and what is said of a bad one."""

import io

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from t2t_multimodel.data.examples import check_example, serialised_records
from t2t_multimodel.data.problem import DataError, Problem
from t2t_multimodel.data.vocabulary import train_vocabulary
from t2t_multimodel.features import Audio, Image, Label, Text

COLOURS = Label(classes=("red", "green", "blue"))


def problem(inputs, targets):
    return Problem("p", inputs, targets, "to_x", generate=lambda split, tmp_dir: ())


def check(inputs_feature, targets_feature, **example):
    return check_example(problem(inputs_feature, targets_feature), example, "p-train, example 4")


def test_a_class_name_becomes_its_index():
    assert check(Text(), COLOURS, inputs="sky", targets="blue") == ("sky", 2, [])


def test_sound_becomes_16_bit_samples_at_the_features_rate():
    buffer = io.BytesIO()
    soundfile.write(buffer, np.full(400, 256, np.int16), 8000, format="WAV")
    samples, _, _ = check(Audio(8000), Text(), inputs=buffer.getvalue(), targets="one")
    assert samples == b"\x00\x01" * 400


BAD = [
    (Text(), COLOURS, {"inputs": "a", "targets": "geen"}, "targets: unknown class 'geen'; did you mean green"),
    (Text(), Text(), {"inputs": " \t", "targets": "a"}, "inputs: the text is empty"),
    (Text(), Text(), {"inputs": "a", "targets": "a\x00b"}, r"targets: the text holds the control character '\\x00'"),
    (Text(), Text(), {"inputs": "a\nb", "targets": "a"}, r"inputs: the text holds the control character '\\n'"),
    (Text(), Text(), {"inputs": "a\ud800", "targets": "a"}, "inputs: the text is not valid Unicode"),
    (Text(), Text(), {"inputs": b"a", "targets": "a"}, "inputs: a text must be a str, got bytes"),
    (Text(), Text(), {"inputs": "a"}, " has no targets, only inputs"),
    (Text(), Text(), {"inputs": "a", "targets": "a", "references": ["a", ""]}, "references: the text is empty"),
    (Image(), Text(), {"inputs": b"\xff\xd8", "targets": "a"}, "inputs is "),
    (Image(), Text(), {"inputs": "x.jpg", "targets": "a"}, "inputs: image must be the bytes of a file, got str"),
    (Audio(), Text(), {"inputs": b"", "targets": "a"}, "inputs is empty"),
    (Audio(), Text(), {"error": DataError("tone.wav cannot be opened")}, ": tone.wav cannot be opened"),
]


@pytest.mark.parametrize(("inputs", "targets", "example", "message"), BAD)
def test_a_bad_example_is_named_with_the_reason(inputs, targets, example, message):
    with pytest.raises(DataError, match=f"^p-train, example 4(, )?{message}"):
        check(inputs, targets, **example)


def test_the_origin_of_a_bad_example_is_named():
    with pytest.raises(DataError, match=r"^p-train, example 4 \(x\.zip: a\.jpg\), inputs is no JPEG or PNG"):
        check(Image(), Text(), inputs=b"\xff\xd8\xff\xd8", targets="a", origin="x.zip: a.jpg")


def test_bad_examples_are_handed_to_on_error_and_the_others_keep_their_order(tmp_path):
    vocabulary = train_vocabulary(["one two three"], ["NN"], 400, tmp_path / "v.model")
    examples = [
        {"inputs": "one", "targets": "NN"},
        {"inputs": "", "targets": "NN"},
        {"inputs": "two", "targets": "NN", "references": ["x"]},
    ]
    errors = []
    made = list(serialised_records(problem(Text(), Text("tree")), examples, vocabulary, "p-train", errors.append))
    features = [tf.train.Example.FromString(record).features.feature for record in made]
    assert [vocabulary.decode(f["inputs"].int64_list.value) for f in features] == ["one", "two"]
    assert list(features[0]["targets"].int64_list.value) == [vocabulary.symbols["NN"]]
    assert list(features[1]["references"].bytes_list.value) == [b"x"]
    assert [str(error) for error in errors] == ["p-train, example 1, inputs: the text is empty"]
