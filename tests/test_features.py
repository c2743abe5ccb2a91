"""Features and specs: JSON and back."""

import json

import pytest

from t2t_multimodel.features import Audio, Feature, Image, Label, ProblemSpec, Text

FEATURES = [
    Text(),
    Text(format="tree"),
    Image(height=32, width=48, channels=1, augment=("crop", "flip")),
    Audio(sample_rate=8000),
    Label(classes=("cat", "dog"), class_set="pets"),
]


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.kind)
def test_spec_survives_json(feature: Feature):
    spec = ProblemSpec("name", feature, Text(), "to_english", ("bleu", "wer"), 0.7)
    assert ProblemSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_text_of_a_spec_without_normalization_has_its_blanks_alone_normalized():
    values = ProblemSpec("name", Text(), Text("tree", normalization="none"), "to_english").to_dict()
    assert ProblemSpec.from_dict(values).targets.normalization == "none"
    del values["inputs"]["normalization"]
    assert ProblemSpec.from_dict(values).inputs.normalization == "spaces"


def test_features_that_differ_in_normalization_alone_are_equal():
    assert Text(normalization="spaces") == Text() != Text("tree")
    with pytest.raises(ValueError, match="must be one of nfc, spaces, none, got 'nfd'"):
        Text(normalization="nfd")


def test_kinds_differ_and_are_no_fields():
    assert len({feature.kind for feature in FEATURES}) == 4
    with pytest.raises(TypeError):
        Text(kind="image")  # type: ignore[call-arg]


def test_features_can_be_keys():
    assert len({Label(classes=("a",)), Label(classes=("a",)), Label(classes=("b",))}) == 2
