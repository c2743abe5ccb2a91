"""The registry of modality nets and the input representation that they share.

A modality net has a `bottom`, which maps a feature to states of the body's depth, or a `top`, which maps the body's states to
logits, or both.
"""

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
        shape: (height, width) of a two-dimensional input whose rows are laid end to end, L = height * width; otherwise None.
    """

    states: Any
    mask: Any
    shape: tuple[Any, Any] | None = None


# Values are functions make(config, size), where size is the number of pieces, classes, image channels or mel bins.
modalities: Registry[Callable[[ModelConfig, int], Any]] = Registry("modality")


def modality_key(feature: Feature, config: ModelConfig) -> tuple[str, str]:
    """Returns the registered modality that reads or writes `feature`, and the name of its net.

    Features with the same name share a net, as problems of one domain do (section 1).

    Raises:
        TypeError: `feature` is of no known kind.
    """
    if isinstance(feature, Text):
        return "language", "language"
    if isinstance(feature, Image):
        return "image", f"image_{feature.channels}"
    if isinstance(feature, Label):
        return "categorical", f"categorical_{feature.class_set}_{len(feature.classes)}"
    if isinstance(feature, Audio):
        return config.audio_input, config.audio_input
    raise TypeError(f"no modality reads {feature!r}")
