"""Raw examples are checked before they are encoded; the message about a bad one names it and its fault."""

import io
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from t2t_multimodel.data.generation.cleaning import rules_of
from t2t_multimodel.data.generation.encode import EncodingConfig, check_example, chunks, encode_chunk
from t2t_multimodel.data.generation.shuffle import in_order
from t2t_multimodel.data.vocabulary import train_vocabulary
from t2t_multimodel.features import Audio, Image, Label, Text
from t2t_multimodel.problem import Problem
from t2t_multimodel.utils.errors import DataError

COLOURS = Label(classes=("red", "green", "blue"))


def problem(inputs, targets):
    return Problem("p", inputs, targets, "to_x", generate=lambda split, tmp_dir: ())


def check(inputs_feature, targets_feature, **example):
    return check_example(problem(inputs_feature, targets_feature), example, "p-train, example 4")


def test_a_class_name_becomes_its_index():
    assert check(Text(), COLOURS, inputs="sky", targets="blue")[:2] == ("sky", 2)


def test_sound_becomes_16_bit_samples_at_the_features_rate():
    buffer = io.BytesIO()
    soundfile.write(buffer, np.full(400, 256, np.int16), 8000, format="WAV")
    samples, *_ = check(Audio(8000), Text(), inputs=buffer.getvalue(), targets="one")
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
    with pytest.raises(DataError, match=r"^p-train, example 4 \(x\.zip: a\.jpg\), inputs is no picture that can be read"):
        check(Image(), Text(), inputs=b"\xff\xd8\xff\xd8", targets="a", origin="x.zip: a.jpg")


def encoded(tmp_path, inputs, targets, examples, **options):
    """Encodes one chunk; returns the records' features in order, the messages, what was left out, and the vocabulary."""
    vocabulary = train_vocabulary(["one two three"], ["NN"], 400, tmp_path / "v.model")
    encoding = EncodingConfig(problem(inputs, targets), "p-train", tmp_path / "v.model", run=str(tmp_path), **options)
    made = encode_chunk(next(chunks(encoding, examples)))
    (tmp_path / "bucket").write_bytes(made.blocks.get(0, b""))
    found = list(in_order(tmp_path / "bucket"))
    return [tf.train.Example.FromString(record).features.feature for record in found], made.errors, made.left_out, vocabulary


def test_bad_examples_are_named_and_the_others_keep_their_order(tmp_path):
    examples = [
        {"inputs": "one", "targets": "NN"},
        {"inputs": "", "targets": "NN"},
        {"inputs": "two", "targets": "NN", "references": ["x"]},
    ]
    features, errors, left_out, vocabulary = encoded(tmp_path, Text(), Text("tree"), examples)
    assert [vocabulary.decode(f["inputs"].int64_list.value) for f in features] == ["one", "two"]
    assert list(features[0]["targets"].int64_list.value) == [vocabulary.symbols["NN"]]
    assert list(features[1]["references"].bytes_list.value) == [b"x"]
    assert errors == ["p-train, example 1, inputs: the text is empty"]
    assert not left_out


PAIRS = [
    ("one", "two", ""),
    (" ", "two", "empty"),
    ("one \ufffd", "one \ufffd", "encoding"),
    ("gro\u00c3\u009f", "gro\u00c3\u009f", "encoding"),
    ("don\u00e2\u20ac\u2122t", "don\u00e2\u20ac\u2122t", "encoding"),
    ("\u00c2ge \u00c3 gro\u00df \u4e2d", "\u00c2ge \u00c3 gro\u00df \u4e2d", ""),
    ("x" * 2001, "x" * 2001, "long"),
    ("two " * 501, "one " * 490, "long"),
    ("one " * 30, "two", "ratio"),
    ("one", "two two two", ""),
]


@pytest.mark.parametrize(("inputs", "targets", "rule"), PAIRS)
def test_a_rule_leaves_out_what_it_names_and_nothing_else(tmp_path, inputs, targets, rule):
    example = {"inputs": inputs, "targets": targets}
    features, errors, left_out, _ = encoded(tmp_path, Text(), Text(), [example], rules=rules_of("all"))
    assert left_out == ({rule: 1} if rule else {})
    assert len(features) == (not rule)
    assert not errors
    if rule:
        assert not encoded(tmp_path, Text(), Text(), [example], rules=rules_of("all") - {rule})[2]


def test_the_ratio_of_a_sentence_to_its_tree_breaks_no_rule(tmp_path):
    example = {"inputs": "one", "targets": "NN " * 60}
    assert len(encoded(tmp_path, Text(), Text("tree"), [example], rules=rules_of("all"))[0]) == 1


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux for the memory in use")
def test_encoding_many_chunks_takes_no_more_memory_than_one(tmp_path):
    train_vocabulary(["one two three"], [], 400, tmp_path / "v.model")
    encoding = EncodingConfig(problem(Text(), Label(("x",))), "p-train", tmp_path / "v.model", run=str(tmp_path))
    chunk = next(chunks(encoding, [{"inputs": "one two three " * 300, "targets": "x"}] * 1000))
    resident = []
    for _ in range(30):
        encode_chunk(chunk)
        resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
    assert resident[-1] - resident[4] < 10 * len(encode_chunk(chunk).blocks[0])


def test_chunks_end_by_count_and_by_bytes():
    encoding = EncodingConfig(problem(Text(), Text()), "p-train", None)
    small = [{"inputs": "a", "targets": "b"}] * 2500
    assert [(chunk.first, len(chunk.examples)) for chunk in chunks(encoding, small)] == [(0, 2048), (2048, 452)]
    assert [(chunk.first, len(chunk.examples)) for chunk in chunks(encoding, small, 1024)] == [(1024, 1476)]
    large = [{"inputs": bytes(3 << 20), "targets": "b"}] * 3
    assert [len(chunk.examples) for chunk in chunks(encoding, large)] == [2, 1]
