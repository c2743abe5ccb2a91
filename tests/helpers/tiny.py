"""A tiny MultiModel for every kind of problem, and batches for it."""

import functools

import numpy as np
from tensors import normal, shake

from t2t_multimodel.config import ModelConfig
from t2t_multimodel.features import Audio, Image, Label, ProblemSpec, Text
from t2t_multimodel.models import models

VOCAB, BINS, CLASSES = 23, 4, ("circle", "square", "star")
CONFIG = {
    "hidden_size": 16,
    "num_heads": 2,
    "encoder_blocks": 2,
    "mixer_blocks": 1,
    "decoder_blocks": 2,
    "num_experts": 5,
    "moe_k": 2,
    "moe_hidden_size": 12,
    "image_channels": (4, 6, 8),
    "categorical_sizes": (10, 12),
    "audio_blocks": 2,
    "audio_min_channels": 4,
}
LABEL = Label(CLASSES, "shapes")
SPECS = {
    spec.name: spec
    for spec in (
        ProblemSpec("translate", Text(), Text(), "to_german"),
        ProblemSpec("parse", Text(), Text("tree"), "to_parse_tree"),
        ProblemSpec("speech", Audio(), Text(), "to_english"),
        ProblemSpec("caption", Image(20, 14), Text(), "to_english"),
        ProblemSpec("image_label", Image(20, 14), LABEL, "to_shape"),
        ProblemSpec("text_label", Text(), LABEL, "to_shape"),
        ProblemSpec("speech_label", Audio(), LABEL, "to_shape"),
    )
}


def make(names=tuple(SPECS), **changes):
    """A new, built model of the named problems with weights away from special values."""
    config = ModelConfig(**{**CONFIG, **changes})
    model = models.get(config.architecture)(config, VOCAB, [SPECS[name] for name in names], mel_bins=BINS)
    model.build()
    return shake(model, scale=0.1)


@functools.cache
def model(names=tuple(SPECS), **changes):
    """Returns the model of `make` from a cache, for tests that change no weight."""
    return make(names, **changes)


def ids(*lengths, seed=0):
    """Returns rows of random ids with the given lengths, each with EOS at its end, padded with 0."""
    generator = np.random.default_rng(seed)
    rows = np.zeros((len(lengths), max(lengths)), "int32")
    for row, length in zip(rows, lengths, strict=True):
        row[: length - 1] = generator.integers(3, VOCAB, length - 1)
        row[length - 1] = 1
    return rows


def batch(name, kind="spectrogram", lengths=(9, 5, 12), seed=0):
    """Returns a batch of the named problem, its inputs of these `lengths`."""
    spec, size = SPECS[name], len(lengths)
    if isinstance(spec.inputs, Text):
        made = {"inputs": ids(*lengths, seed=seed)}
    elif isinstance(spec.inputs, Image):
        made = {"inputs": normal(size, 20, 14, 3, seed=seed)}
    else:
        shape = (size, max(lengths)) if kind == "waveform" else (size, max(lengths), BINS)
        real = (np.arange(max(lengths)) < np.array(lengths)[:, None]).reshape(*shape[:2], *[1] * (len(shape) - 2))
        made = {"inputs": normal(*shape, seed=seed) * real.astype("float32"), "inputs_length": np.array(lengths, "int32")}
    if isinstance(spec.targets, Label):
        return {**made, "targets": np.arange(size, dtype="int32") % len(CLASSES)}
    return {**made, "targets": ids(*(4 + 3 * i for i in range(size)), seed=seed + 1)}


def row(made, i):
    """Returns a batch of example i alone, without its padding."""
    alone = {name: value[i : i + 1] for name, value in made.items()}
    if "inputs_length" in alone:
        alone["inputs"] = alone["inputs"][:, : alone["inputs_length"][0]]
    for name in ("inputs", "targets"):
        if alone[name].dtype == np.int32 and alone[name].ndim == 2:
            alone[name] = alone[name][:, : np.count_nonzero(alone[name])]
    return alone
