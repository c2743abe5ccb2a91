"""Raw inputs to text, labels and trees: what a user sees of a model."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from t2t_multimodel.config import HParams
from t2t_multimodel.data import pipeline
from t2t_multimodel.data.trees import restore
from t2t_multimodel.data.vocabulary import PAD_ID, Vocabulary
from t2t_multimodel.decoding.greedy import GreedySearch
from t2t_multimodel.features import Audio, Image, Label, ProblemSpec, Text
from t2t_multimodel.registry import UnknownNameError, unknown

CAPTION_TOKENS = 64
TOKENS_PER_SECOND = 20
SPARE_TOKENS = 20

Raw = str | bytes
# Told how many inputs have been decoded since it was last called.
Progress = Callable[[int], Any]


class Decoder:
    """Decodes inputs of every problem a model has learned.

    Args:
        model: a MultiModel with its weights.
        specs: its problems.
        vocabulary: the one it was trained with.
        hparams: of its run.
        search: finds output ids and class logits; greedy unless given.

    A raw input is a sentence (str), or the bytes of an image file (JPEG, PNG) or a sound file (WAV, FLAC). Methods raise
    UnknownNameError for a problem the model does not know, and DataError for a damaged file.
    """

    def __init__(
        self, model: Any, specs: Sequence[ProblemSpec], vocabulary: Vocabulary, hparams: HParams, search: Any = None
    ) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self._vocabulary = vocabulary
        self._hparams = hparams
        self._search = search or GreedySearch(model)

    def spec(self, problem: str) -> ProblemSpec:
        """The problem's description."""
        if problem not in self.specs:
            raise UnknownNameError(unknown("problem", problem, list(self.specs)))
        return self.specs[problem]

    def decode(self, problem: str, raws: Sequence[Raw], batch_size: int = 32, progress: Progress | None = None) -> list[str]:
        """An output for each input, in their order: text, the name of a class, or a bracketed tree with the input's words.

        A tree that is not well-formed over the input's words comes out as the model wrote it.
        """
        spec = self.spec(problem)
        outputs = [""] * len(raws)
        for rows, batch in self._batches(spec, raws, batch_size):
            for row, output in zip(rows, self.decode_batch(problem, batch), strict=True):
                outputs[row] = bracketed(str(raws[row]).split(), output) if _is_tree(spec) else output
            if progress:
                progress(len(rows))
        return outputs

    def classify(self, problem: str, raws: Sequence[Raw], top: int = 5, batch_size: int = 32) -> list[list[tuple[str, float]]]:
        """The `top` likeliest classes of each input with their probabilities, the likeliest first."""
        spec = self.spec(problem)
        if not isinstance(spec.targets, Label):
            raise ValueError(f"{problem} gives {spec.targets.kind}, no classes")
        found: list[list[tuple[str, float]]] = [[] for _ in raws]
        for rows, batch in self._batches(spec, raws, batch_size):
            for row, probabilities in zip(rows, softmax(self._search.classify(problem, batch)), strict=True):
                best = np.argsort(-probabilities, kind="stable")[:top]
                found[row] = [(spec.targets.classes[i], float(probabilities[i])) for i in best]
        return found

    def decode_batch(self, problem: str, batch: Mapping[str, Any]) -> list[str]:
        """An output for each row of a prepared batch: text, the name of a class, or a linearised tree without words."""
        spec = self.spec(problem)
        if isinstance(spec.targets, Label):
            return [spec.targets.classes[i] for i in self._search.classify(problem, batch).argmax(axis=-1)]
        ids = self._search.decode(problem, batch, output_limits(spec, batch, self._hparams))
        return [self._vocabulary.decode(row) for row in ids]

    def warm_up(self, problem: str) -> None:
        """Decodes a tiny example, so that the first one of a user does not wait for tracing."""
        spec = self.spec(problem)
        batch = self._prepare(spec, [tiny_example(spec)])
        if isinstance(spec.targets, Label):
            self._search.classify(problem, batch)
        else:
            self._search.decode(problem, batch, 2)

    def _batches(self, spec: ProblemSpec, raws: Sequence[Raw], batch_size: int) -> Iterator[tuple[list[int], dict[str, Any]]]:
        """(places in `raws`, prepared batch), inputs of like length together, the longest first."""
        order = sorted(range(len(raws)), key=lambda row: len(raws[row]), reverse=True)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            yield rows, self._prepare(spec, [raws[row] for row in rows])

    def _prepare(self, spec: ProblemSpec, raws: list[Raw]) -> dict[str, Any]:
        if _is_tree(spec):  # its words are read as a treebank's sentences were written: with single spaces
            raws = [" ".join(str(raw).split()) for raw in raws]
        return pipeline.prepare_inputs(spec.inputs, raws, self._hparams, self._vocabulary)


def output_limits(spec: ProblemSpec, batch: Mapping[str, Any], hparams: HParams) -> np.ndarray:
    """The most tokens int32 [B] an output may have, end included.

    Twice the input's tokens, or four times for a tree, or `TOKENS_PER_SECOND` of sound, and `SPARE_TOKENS` more; `CAPTION_TOKENS`
    for an image; never more than the hyperparameter max_length.
    """
    if isinstance(spec.inputs, Image):
        limits = np.full(len(batch["inputs"]), CAPTION_TOKENS)
    elif isinstance(spec.inputs, Audio):
        waveform = hparams.model.audio_input == "waveform"
        rate = spec.inputs.sample_rate if waveform else 1000.0 / hparams.data.hop_ms
        limits = np.ceil(np.asarray(batch["inputs_length"]) / rate * TOKENS_PER_SECOND) + SPARE_TOKENS
    else:
        tokens = (np.asarray(batch["inputs"]) != PAD_ID).sum(axis=1)
        limits = tokens * (4 if _is_tree(spec) else 2) + SPARE_TOKENS
    return np.minimum(limits, hparams.data.max_length).astype(np.int32)


def bracketed(words: Sequence[str], linearised: str) -> str:
    """The tree over `words` in Penn bracketing on one line; `linearised` as it stands where it is no tree over them.

    Brackets among the words are written as treebanks do, -LRB- and -RRB-.
    """
    escaped = [word.replace("(", "-LRB-").replace(")", "-RRB-") for word in words]
    tree = restore(escaped, linearised)
    return linearised if tree is None else tree.pformat(margin=sys.maxsize)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def tiny_example(spec: ProblemSpec) -> Raw:
    """A short sentence, a grey image or half a second of faint noise, as a user would give it."""
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


def _is_tree(spec: ProblemSpec) -> bool:
    return isinstance(spec.targets, Text) and spec.targets.format == "tree"
