"""Raw inputs to text, labels and trees: what a user sees of a model."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data import pipeline
from t2t_multimodel.data.normalization import normalize
from t2t_multimodel.data.readers.pictures.read import StoredPicture
from t2t_multimodel.data.readers.sound.decode import Sound, as_sound
from t2t_multimodel.data.trees import restore, treebank_spelling, typed_words, well_formed
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.decoding.constraints import WellFormedTrees
from t2t_multimodel.decoding.search import Search
from t2t_multimodel.decoding.strategies import BeamSearch, Greedy, Strategy
from t2t_multimodel.features import Audio, Batch, Image, Label, ProblemSpec, Text, is_tree
from t2t_multimodel.model_protocol import DecodableModel
from t2t_multimodel.registry import unknown
from t2t_multimodel.utils.constants import LOWEST, PAD_ID
from t2t_multimodel.utils.errors import UnknownNameError

CAPTION_TOKENS = 64
TOKENS_PER_SECOND = 20
SPARE_TOKENS = 20

Raw = str | bytes | StoredPicture | Sound
# Told how many inputs have been decoded since it was last called.
Progress = Callable[[int], Any]


class Hypothesis(NamedTuple):
    """One output for an input.

    Attributes:
        text: text, the name of a class, or a tree.
        score: the higher the better (see strategies).
        well_formed: whether a tree is one over exactly the input's words; None where the output is no tree.
    """

    text: str
    score: float
    well_formed: bool | None = None


class Prediction(NamedTuple):
    """What an input was answered with: outputs, the best first, the best one's tokens, and its share of the batch's time."""

    outputs: list[Hypothesis]
    tokens: int
    seconds: float


class Predictor:
    """Decodes inputs of every problem a model has learned.

    Args:
        model: a MultiModel with its weights.
        specs: its problems.
        vocabulary: the one it was trained with.
        hparams: of its run.
        search: finds output ids and class logits.
        strategy: how outputs are searched for; may be set anew at any time.
        well_formed_trees: parse trees come out in Penn bracketing as trees over exactly the input's words, whatever the model
            would rather say; otherwise linearised, as the model writes them. May be set anew at any time.

    A raw input is a sentence (str), the bytes of an image file (readers.pictures.read) or of a sound file
    (readers.sound.kinds), a StoredPicture or a Sound.
    Methods raise UnknownNameError for a problem the model does not know, and DataError for a damaged file.
    """

    def __init__(
        self,
        model: DecodableModel,
        specs: Sequence[ProblemSpec],
        vocabulary: Vocabulary,
        hparams: HParams,
        search: Any = None,
        strategy: Strategy | None = None,
        well_formed_trees: bool = True,
    ) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self.strategy = strategy or Greedy()
        self._vocabulary = vocabulary
        self._hparams = hparams
        self._search = search or Search(model)
        self.well_formed_trees = well_formed_trees
        rules = WellFormedTrees(vocabulary.symbols, vocabulary.size)
        self._rules = rules if rules.possible else None

    def spec(self, problem: str) -> ProblemSpec:
        """The problem's description."""
        if problem not in self.specs:
            raise UnknownNameError(unknown("problem", problem, list(self.specs)))
        return self.specs[problem]

    def decode(self, problem: str, inputs: Sequence[Raw], batch_size: int = 32, progress: Progress | None = None) -> list[str]:
        """The best output for each input, in their order: text, the name of a class, or a tree (see `well_formed_trees`)."""
        return [answer.outputs[0].text for answer in self.answers(problem, inputs, batch_size, progress)]

    def answers(
        self,
        problem: str,
        inputs: Sequence[Raw],
        batch_size: int = 32,
        progress: Progress | None = None,
        strategy: Strategy | None = None,
    ) -> list[Prediction]:
        """As `decode`, with scores and times, and as many outputs each as `strategy`, or else the predictor's own, asks for."""
        spec = self.spec(problem)
        found: dict[int, Prediction] = {}
        for rows, batch in self._batches(spec, inputs, batch_size):
            start = time.perf_counter()
            batch_outputs, tokens = self._batch_outputs(problem, batch, strategy or self.strategy)
            seconds = (time.perf_counter() - start) / len(rows)
            if is_tree(spec.targets):
                sentences = [normalize(str(inputs[row]), _normalization(spec)) for row in rows]
                batch_outputs = [
                    [self._tree(sentence, words, output) for output in outputs]
                    for sentence, words, outputs in zip(sentences, self._words(batch), batch_outputs, strict=True)
                ]
            for row, outputs, count in zip(rows, batch_outputs, tokens, strict=True):
                found[row] = Prediction(outputs, count, seconds)
            if progress:
                progress(len(rows))
        return [found[row] for row in range(len(inputs))]

    def classify(self, problem: str, inputs: Sequence[Raw], top: int = 5, batch_size: int = 32) -> list[list[tuple[str, float]]]:
        """The `top` likeliest classes of each input with their probabilities, the likeliest first."""
        spec = self.spec(problem)
        if not isinstance(spec.targets, Label):
            raise ValueError(f"{problem} gives {spec.targets.kind}, no classes")
        found: list[list[tuple[str, float]]] = [[] for _ in inputs]
        for rows, batch in self._batches(spec, inputs, batch_size):
            for row, outputs in zip(rows, self._classes(problem, batch, top), strict=True):
                found[row] = [(output.text, float(np.exp(output.score))) for output in outputs]
        return found

    def decode_batch(self, problem: str, batch: Batch) -> list[str]:
        """The best output for each row of a prepared batch: text, the name of a class, or a linearised tree without words."""
        return [outputs[0].text for outputs in self._batch_outputs(problem, batch, self.strategy)[0]]

    def longest_input(self, problem: str, raw: Raw) -> str:
        """What an input longer than the model was trained on is cut to, in words; empty if it is not cut."""
        spec = self.spec(problem)
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

    def _batch_outputs(self, problem: str, batch: Batch, strategy: Strategy) -> tuple[list[list[Hypothesis]], list[int]]:
        """The outputs of each row of a prepared batch, and the tokens of the best."""
        spec = self.spec(problem)
        if isinstance(spec.targets, Label):
            outputs = self._classes(problem, batch, strategy.n_best if isinstance(strategy, BeamSearch) else 1)
            return outputs, [1] * len(outputs)
        limits, words = output_limits(spec, batch, self._hparams).numpy(), None
        trees = self._rules if is_tree(spec.targets) and self.well_formed_trees else None
        if trees:
            words = np.array([len(row) for row in self._words(batch)], np.int32)
            limits = np.maximum(limits, trees.shortest(words))
        ids, scores = self._search.decode(problem, batch, limits, strategy, trees, words)
        outputs = [
            [
                Hypothesis(self._vocabulary.decode(row), float(score))
                for place, (row, score) in enumerate(zip(rows, row_scores, strict=True))
                if not place or score > LOWEST / 10  # there may be fewer outputs than asked for
            ]
            for rows, row_scores in zip(ids, scores, strict=True)
        ]
        return outputs, (ids[:, 0] != PAD_ID).sum(axis=-1).tolist()

    def _classes(self, problem: str, batch: Batch, top: int) -> list[list[Hypothesis]]:
        """The `top` likeliest classes of each row, scored by log-probability."""
        targets = self.spec(problem).targets
        assert isinstance(targets, Label)
        log_probs = np.log(np.maximum(softmax(self._search.classify(problem, batch)), 1e-30))
        ranked = np.argsort(-log_probs, kind="stable")[:, :top]
        return [
            [Hypothesis(targets.classes[i], float(row[i])) for i in best] for row, best in zip(log_probs, ranked, strict=True)
        ]

    def warm_up(self, problem: str) -> None:
        """Decodes a tiny example, so that the first one of a user does not wait for tracing."""
        self.decode(problem, [tiny_example(self.spec(problem))])

    def _tree(self, sentence: str, words: Sequence[str], output: Hypothesis) -> Hypothesis:
        """A linearised tree over `words` as it is shown, and whether it is one."""
        good = well_formed(output.text, len(words))
        text = bracketed(typed_words(sentence, words), output.text) if self.well_formed_trees else output.text
        return Hypothesis(text, output.score, good)

    def _read_text(self, spec: ProblemSpec, raw: Raw) -> str:
        """A text as the model reads it; a sentence to be parsed is spelled as in a treebank."""
        text = normalize(str(raw), _normalization(spec))
        return treebank_spelling(text) if is_tree(spec.targets) else text

    def _words(self, batch: Batch) -> list[list[str]]:
        """The words of each sentence of a prepared batch: of one that was cut, those that are left."""
        return [self._vocabulary.decode(row).split() for row in np.asarray(batch["inputs"])]

    def _batches(self, spec: ProblemSpec, inputs: Sequence[Raw], batch_size: int) -> Iterator[tuple[list[int], Batch]]:
        """(places in `inputs`, prepared batch), inputs of like length together, the longest first."""
        order = sorted(range(len(inputs)), key=lambda row: len(inputs[row]), reverse=True)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            yield rows, self._prepare(spec, [inputs[row] for row in rows])

    def _prepare(self, spec: ProblemSpec, inputs: list[Raw]) -> Batch:
        if is_tree(spec.targets):
            inputs = [self._read_text(spec, raw) for raw in inputs]
        return pipeline.prepare_inputs(spec.inputs, inputs, self._hparams, self._vocabulary)


def _normalization(spec: ProblemSpec) -> str:
    return spec.inputs.normalization if isinstance(spec.inputs, Text) else "none"


def output_limits(spec: ProblemSpec, batch: Batch, hparams: HParams) -> tf.Tensor:
    """The most tokens int32 [B] an output may have, end included.

    Twice the input's tokens, or four times for a tree, or `TOKENS_PER_SECOND` of sound, and `SPARE_TOKENS` more; `CAPTION_TOKENS`
    for an image; never more than the hyperparameter max_length.
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


def bracketed(words: Sequence[str], linearised: str) -> str:
    """The tree over `words` in Penn bracketing on one line; `linearised` as it stands where it is no tree over them.

    Round brackets among the words, which would delimit nodes, are written as treebanks do, -LRB- and -RRB-.
    """
    tree = restore([word.replace("(", "-LRB-").replace(")", "-RRB-") for word in words], linearised)
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
