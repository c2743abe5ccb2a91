"""What a modality net is: a bottom that reads a feature into the body's depth, or a top that reads the body's output, or both."""

from collections.abc import Callable
from typing import Any, NamedTuple

from t2t_multimodel.config import ModelConfig
from t2t_multimodel.features import Audio, Feature, Image, Label, Text
from t2t_multimodel.registry import Registry


class Embedded(NamedTuple):
    """An input in the unified representation.

    Attributes:
        states: [B, L, D], zero at padding.
        mask: float32 [B, L], 1 real, 0 padding.
        shape: (height, width) of a two-dimensional input whose rows were laid end to end, L = height * width; else None.
    """

    states: Any
    mask: Any
    shape: tuple[Any, Any] | None = None


# name -> make(config, size), size being the vocabulary's or the class set's or the number of mel bins.
modalities: Registry[Callable[[ModelConfig, int], Any]] = Registry("modality")


def modality_key(feature: Feature, config: ModelConfig) -> tuple[str, str]:
    """(registered modality, name of the net): problems of one domain share a net, keyed by what it is (section 1)."""
    if isinstance(feature, Text):
        return "language", "language"
    if isinstance(feature, Image):
        return "image", f"image_{feature.channels}"
    if isinstance(feature, Label):
        return "categorical", f"categorical_{feature.class_set}_{len(feature.classes)}"
    if isinstance(feature, Audio):
        return config.audio_input, config.audio_input
    raise TypeError(f"no modality reads {feature!r}")
