"""Modality nets: language, image, audio and categorical (section 2.5). Importing the package registers them."""

from t2t_multimodel.modalities import audio, categorical, image, language  # noqa: F401
from t2t_multimodel.modalities.base import Embedded, modalities, modality_key

__all__ = ["Embedded", "modalities", "modality_key"]
