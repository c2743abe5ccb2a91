"""Makes raw inputs ready for the model: normalises, tokenises, decodes pictures and sounds, and bounds the outputs' lengths."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data import pipeline
from t2t_multimodel.data.normalization import normalize
from t2t_multimodel.data.readers.pictures.read import StoredPicture
from t2t_multimodel.data.readers.sound.decode import Sound, as_sound
from t2t_multimodel.data.trees import treebank_spelling
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.decoding.encoding import join_batches
from t2t_multimodel.features import Audio, Batch, Image, ProblemSpec, Text, is_tree

CAPTION_TOKENS = 64
TOKENS_PER_SECOND = 20
SPARE_TOKENS = 20

# A raw input; see decoding.predictor.Predictor.
Raw = str | bytes | StoredPicture | Sound


class Prepared(NamedTuple):
    """Inputs of one problem as the model reads them.

    Attributes:
        problem: the problem's name.
        batch: "inputs" and, for sound, "inputs_length", of B inputs.
        sentences: the B texts as they were typed, normalised; "" for pictures and sounds.
    """

    problem: str
    batch: Batch
    sentences: list[str]


class Preparation:
    """Prepares inputs for a model. It may be used in several threads at once.

    Args:
        specs, vocabulary, hparams: see decoding.predictor.Predictor.
    """

    def __init__(self, specs: Mapping[str, ProblemSpec], vocabulary: Vocabulary, hparams: HParams) -> None:
        self._specs = specs
        self._vocabulary = vocabulary
        self._hparams = hparams

    def prepare(self, problem: str, inputs: Sequence[Raw]) -> Prepared:
        """Returns raw inputs, prepared; a sentence to parse is spelled as in a treebank.

        Raises:
            DataError: a file is damaged.
        """
        spec = self._specs[problem]
        sentences = [normalize(str(raw), _normalization(spec)) if isinstance(spec.inputs, Text) else "" for raw in inputs]
        raws = [treebank_spelling(text) for text in sentences] if is_tree(spec.targets) else list(inputs)
        return Prepared(problem, pipeline.prepare_inputs(spec.inputs, raws, self._hparams, self._vocabulary), sentences)

    def longest_input(self, problem: str, raw: Raw) -> str:
        """Returns in words what is kept of an input longer than the model was trained on, or "" if nothing is cut."""
        spec = self._specs[problem]
        kept = self._hparams.data.max_length - 1
        if isinstance(spec.inputs, Text):
            if len(self._vocabulary.encode_feature(spec.inputs, self._read_text(spec, raw))) > kept:
                return f"its first {kept} tokens"
        longest = self._hparams.data.max_seconds
        if isinstance(spec.inputs, Audio) and isinstance(raw, (bytes, Sound)):
            rate = spec.inputs.sample_rate
            if len(as_sound(raw, rate, "the sound")) > longest * rate:
                return f"its first {longest:g} seconds"
        return ""

    def _read_text(self, spec: ProblemSpec, raw: Raw) -> str:
        """Returns a text as the model reads it; a sentence to parse is spelled as in a treebank."""
        text = normalize(str(raw), _normalization(spec))
        return treebank_spelling(text) if is_tree(spec.targets) else text


def join_prepared(parts: Sequence[Prepared]) -> Prepared:
    """Returns prepared inputs of one problem as one."""
    batch = join_batches([part.batch for part in parts])
    return Prepared(parts[0].problem, batch, [sentence for part in parts for sentence in part.sentences])


def _normalization(spec: ProblemSpec) -> str:
    return spec.inputs.normalization if isinstance(spec.inputs, Text) else "none"


def output_limits(spec: ProblemSpec, batch: Batch, hparams: HParams) -> tf.Tensor:
    """Returns the most tokens of each output, int32 [B], EOS included.

    For text the limit is twice the input's tokens, for trees four times; for sound it is `TOKENS_PER_SECOND`. To these
    `SPARE_TOKENS` are added. For images it is `CAPTION_TOKENS`. The hyperparameter max_length bounds all limits.
    """
    if isinstance(spec.inputs, Image):
        limits = tf.fill(tf.shape(batch["inputs"])[:1], CAPTION_TOKENS)
    elif isinstance(spec.inputs, Audio):
        waveform = hparams.model.audio_input == "waveform"
        rate = spec.inputs.sample_rate if waveform else 1000.0 / hparams.data.hop_ms
        seconds = tf.cast(batch["inputs_length"], tf.float32) / rate
        limits = tf.cast(tf.math.ceil(seconds * TOKENS_PER_SECOND), tf.int32) + SPARE_TOKENS
    else:
        tokens = tf.math.count_nonzero(batch["inputs"], axis=1, dtype=tf.int32)  # PAD_ID is 0
        limits = tokens * (4 if is_tree(spec.targets) else 2) + SPARE_TOKENS
    return tf.minimum(limits, hparams.data.max_length)


def tiny_example(spec: ProblemSpec) -> Raw:
    """Returns a raw input of the problem's kind: a short sentence, a grey image, or half a second of faint noise."""
    if isinstance(spec.inputs, Image):
        from PIL import Image as Picture

        file = io.BytesIO()
        Picture.new("RGB", (spec.inputs.width, spec.inputs.height), "grey").save(file, "PNG")
        return file.getvalue()
    if isinstance(spec.inputs, Audio):
        import soundfile

        file = io.BytesIO()
        noise = np.random.default_rng(0).integers(-9, 9, spec.inputs.sample_rate // 2, dtype=np.int16)
        soundfile.write(file, noise, spec.inputs.sample_rate, format="WAV")
        return file.getvalue()
    return "a"
