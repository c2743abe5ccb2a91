"""Which net reads which feature."""

import pytest

from t2t_multimodel.config import ModelConfig
from t2t_multimodel.features import Audio, Image, Label, Text
from t2t_multimodel.modalities import modalities, modality_key


def test_every_kind_of_feature_has_a_registered_modality():
    for kind in ("waveform", "spectrogram"):
        for feature in (Text(), Text("tree"), Image(), Audio(), Label(("a", "b"))):
            assert modality_key(feature, ModelConfig(audio_input=kind))[0] in modalities.names()


def test_a_net_is_keyed_by_its_domain():
    config = ModelConfig()
    assert modality_key(Text(), config) == modality_key(Text("tree"), config)
    assert modality_key(Image(64, 64), config) == modality_key(Image(28, 30), config) != modality_key(Image(channels=1), config)
    same, other, longer = Label(("a", "b"), "x"), Label(("a", "b"), "y"), Label(("a", "b", "c"), "x")
    assert len({modality_key(label, config) for label in (same, other, longer, Label(("a", "b"), "x"))}) == 3


def test_what_is_no_feature_is_refused():
    with pytest.raises(TypeError, match="no modality reads 'text'"):
        modality_key("text", ModelConfig())
