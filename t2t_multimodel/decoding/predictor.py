"""Predicts texts, labels and trees for raw inputs."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.data import pipeline
from t2t_multimodel.data.normalization import normalize
from t2t_multimodel.data.readers.pictures.read import StoredPicture
from t2t_multimodel.data.readers.sound.decode import Sound, as_sound
from t2t_multimodel.data.trees import restore, treebank_spelling, typed_words, well_formed
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.decoding import forced
from t2t_multimodel.decoding.constraints import WellFormedTrees
from t2t_multimodel.decoding.forced import PairScore
from t2t_multimodel.decoding.hypothesis import Hypothesis, Prediction
from t2t_multimodel.decoding.search import Search
from t2t_multimodel.decoding.strategies import BeamSearch, Greedy, Strategy
from t2t_multimodel.features import Audio, Batch, Image, Label, ProblemSpec, Text, is_tree
from t2t_multimodel.model_protocol import DecodableModel
from t2t_multimodel.registry import unknown
from t2t_multimodel.utils.constants import EOS_ID, LOWEST, PAD_ID
from t2t_multimodel.utils.errors import UnknownNameError

CAPTION_TOKENS = 64
TOKENS_PER_SECOND = 20
SPARE_TOKENS = 20

Raw = str | bytes | StoredPicture | Sound
# Called with the number of inputs that have been decoded since the last call.
Progress = Callable[[int], Any]


class Predictor:
    """Decodes inputs of every problem that a model has learned.

    Args:
        model: a MultiModel with its weights.
        specs: its problems.
        vocabulary: the vocabulary of its training.
        hparams: the hyperparameters of its run.
        search: finds output ids and class logits; None means Search(model).
        strategy: the strategy of the search; None means Greedy(). The attribute may be set at any time.
        well_formed_trees: True gives parse trees in Penn bracketing that are trees over exactly the input's words, whatever the
            model prefers. False gives linearised trees as the model writes them. The attribute may be set at any time.

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
        self._model = model
        self._vocabulary = vocabulary
        self._hparams = hparams
        self._search = search or Search(model)
        self.well_formed_trees = well_formed_trees
        rules = WellFormedTrees(vocabulary.symbols, vocabulary.size)
        self._rules = rules if rules.possible else None

    def spec(self, problem: str) -> ProblemSpec:
        """Returns the problem's spec."""
        if problem not in self.specs:
            raise UnknownNameError(unknown("problem", problem, list(self.specs)))
        return self.specs[problem]

    def decode(self, problem: str, inputs: Sequence[Raw], batch_size: int = 32, progress: Progress | None = None) -> list[str]:
        """Returns the best output for each input, in order: a text, the name of a class, or a tree (see `well_formed_trees`)."""
        return [prediction.outputs[0].text for prediction in self.predict(problem, inputs, batch_size, progress)]

    def predict(
        self,
        problem: str,
        inputs: Sequence[Raw],
        batch_size: int = 32,
        progress: Progress | None = None,
        strategy: Strategy | None = None,
        experts: bool = False,
        token_scores: bool = False,
        attention: bool = False,
    ) -> list[Prediction]:
        """Returns a Prediction for each input, in order, with the n_best outputs of the strategy.

        Args:
            problem: the problem's name.
            inputs: raw inputs.
            batch_size: inputs that are decoded together.
            progress: called after each batch.
            strategy: used in place of the Predictor's own.
            experts: whether predictions say which experts the encoder used, for which it encodes each input once more.
            token_scores: whether hypotheses that are texts or trees have the log-probabilities of their tokens, for which each
                batch of outputs goes through the model once more.
            attention: the same, and where the model looks.
        """
        spec = self.spec(problem)
        found: dict[int, Prediction] = {}
        for rows, batch in self._batches(spec, inputs, batch_size):
            start = time.perf_counter()
            batch_outputs, tokens = self._batch_outputs(problem, batch, strategy or self.strategy, token_scores, attention)
            seconds = (time.perf_counter() - start) / len(rows)
            if is_tree(spec.targets):
                sentences = [normalize(str(inputs[row]), _normalization(spec)) for row in rows]
                batch_outputs = [
                    [self._tree(sentence, words, output) for output in outputs]
                    for sentence, words, outputs in zip(sentences, self._words(batch), batch_outputs, strict=True)
                ]
            read = self._read_tokens(spec, batch) if attention else [[]] * len(rows)
            used = self._search.expert_shares(problem, batch).tolist() if experts else [()] * len(rows)
            for row, outputs, count, shares, source in zip(rows, batch_outputs, tokens, used, read, strict=True):
                found[row] = Prediction(outputs, count, seconds, tuple(shares), source)
            if progress:
                progress(len(rows))
        return [found[row] for row in range(len(inputs))]

    def classify(self, problem: str, inputs: Sequence[Raw], top: int = 5, batch_size: int = 32) -> list[list[tuple[str, float]]]:
        """Returns the `top` likeliest classes of each input with their probabilities, the likeliest first.

        Raises:
            ValueError: the problem's targets are not labels.
        """
        spec = self.spec(problem)
        if not isinstance(spec.targets, Label):
            raise ValueError(f"{problem} gives {spec.targets.kind}, no classes")
        found: list[list[tuple[str, float]]] = [[] for _ in inputs]
        for rows, batch in self._batches(spec, inputs, batch_size):
            for row, outputs in zip(rows, self._classes(problem, batch, top), strict=True):
                found[row] = [(output.text, float(np.exp(output.score))) for output in outputs]
        return found

    def score_pairs(
        self,
        problem: str,
        inputs: Sequence[Raw],
        targets: Sequence[str],
        batch_size: int = 32,
        progress: Progress | None = None,
        attention: bool = False,
    ) -> list[PairScore]:
        """Returns the log-probability of a given output for each input, in order.

        Args:
            problem: the problem's name.
            inputs: raw inputs.
            targets: as many texts, linearised trees, or names of classes.
            batch_size: pairs that are scored together.
            progress: called after each batch.
            attention: whether scores of texts say where the model looks.

        Raises:
            DataError: a target is no class of the problem.
        """
        spec = self.spec(problem)
        found: dict[int, PairScore] = {}
        for rows, batch in self._batches(spec, inputs, batch_size):
            chosen = [targets[row] for row in rows]
            if isinstance(spec.targets, Label):
                ids = forced.class_ids(spec.targets, chosen)
                scores = forced.class_scores(self._search.classify(problem, batch), ids)
            else:
                texts = [[ids] for ids in self._text_ids(spec, chosen)]
                scores = [row for (row,) in forced.text_scores(self._model, problem, batch, texts, self._vocabulary, attention)]
            found |= dict(zip(rows, scores, strict=True))
            if progress:
                progress(len(rows))
        return [found[row] for row in range(len(inputs))]

    def _text_ids(self, spec: ProblemSpec, targets: Sequence[str]) -> list[list[int]]:
        assert isinstance(spec.targets, Text)
        normalized = [normalize(text, spec.targets.normalization) for text in targets]
        return [[*self._vocabulary.encode_feature(spec.targets, text), EOS_ID] for text in normalized]

    def decode_batch(self, problem: str, batch: Batch) -> list[str]:
        """Returns the best output for each row of a prepared batch: a text, a class's name, or a linearised tree."""
        return [outputs[0].text for outputs in self._batch_outputs(problem, batch, self.strategy)[0]]

    def explain_batch(self, problem: str, batch: Batch) -> list[Prediction]:
        """Returns the texts for each row of a prepared batch, with token scores and where the model looks."""
        found = self._batch_outputs(problem, batch, self.strategy, attention=True)
        sources = self._read_tokens(self.spec(problem), batch)
        return [Prediction(outputs, count, 0.0, (), source) for outputs, count, source in zip(*found, sources, strict=True)]

    def longest_input(self, problem: str, raw: Raw) -> str:
        """Returns in words what is kept of an input longer than the model was trained on, or "" if nothing is cut."""
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

    def _batch_outputs(
        self, problem: str, batch: Batch, strategy: Strategy, token_scores: bool = False, attention: bool = False
    ) -> tuple[list[list[Hypothesis]], list[int]]:
        """Returns the outputs of each row of a prepared batch, and the number of tokens in each row's best output."""
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
        pairs: Sequence[Sequence[PairScore | None]] = [[None] * len(row) for row in ids]
        if token_scores or attention:
            texts = [[[i for i in output if i != PAD_ID] for output in row] for row in ids.tolist()]
            pairs = forced.text_scores(self._model, problem, batch, texts, self._vocabulary, attention)
        outputs = [
            [
                Hypothesis(self._vocabulary.decode(row, with_symbols=is_tree(spec.targets)), float(score), pair=pair)
                for rank, (row, score, pair) in enumerate(zip(rows, row_scores, row_pairs, strict=True))
                if not rank or score > LOWEST / 10  # fewer than n_best outputs may exist
            ]
            for rows, row_scores, row_pairs in zip(ids, scores, pairs, strict=True)
        ]
        return outputs, (ids[:, 0] != PAD_ID).sum(axis=-1).tolist()

    def _classes(self, problem: str, batch: Batch, top: int) -> list[list[Hypothesis]]:
        """Returns the `top` likeliest classes of each row; their scores are log-probabilities."""
        targets = self.spec(problem).targets
        assert isinstance(targets, Label)
        log_probs = np.log(np.maximum(softmax(self._search.classify(problem, batch)), 1e-30))
        ranked = np.argsort(-log_probs, kind="stable")[:, :top]
        words = targets.words or ("",) * len(targets.classes)
        return [
            [Hypothesis(targets.classes[i], float(row[i]), words=words[i]) for i in best]
            for row, best in zip(log_probs, ranked, strict=True)
        ]

    def warm_up(self, problem: str) -> None:
        """Decodes a tiny example, so that the first input of a user does not wait for tracing."""
        self.decode(problem, [tiny_example(self.spec(problem))])

    def _tree(self, sentence: str, words: Sequence[str], output: Hypothesis) -> Hypothesis:
        """Returns the linearised tree `output` over `words` as it is shown, and whether it is well-formed."""
        good = well_formed(output.text, len(words))
        text = bracketed(typed_words(sentence, words), output.text) if self.well_formed_trees else output.text
        return output._replace(text=text, well_formed=good)

    def _read_text(self, spec: ProblemSpec, raw: Raw) -> str:
        """Returns a text as the model reads it; a sentence to parse is spelled as in a treebank."""
        text = normalize(str(raw), _normalization(spec))
        return treebank_spelling(text) if is_tree(spec.targets) else text

    def _words(self, batch: Batch) -> list[list[str]]:
        """Returns the words of each sentence of a prepared batch; a sentence that was cut has its remaining words."""
        return [self._vocabulary.decode(row).split() for row in np.asarray(batch["inputs"])]

    def _read_tokens(self, spec: ProblemSpec, batch: Batch) -> list[list[str]]:
        """Returns the tokens of each text of a prepared batch; [] for each picture or sound."""
        if not isinstance(spec.inputs, Text):
            return [[]] * len(batch["inputs"])
        rows = np.asarray(batch["inputs"]).tolist()
        return [forced.pieces([i for i in row if i != PAD_ID], self._vocabulary) for row in rows]

    def _batches(self, spec: ProblemSpec, inputs: Sequence[Raw], batch_size: int) -> Iterator[tuple[list[int], Batch]]:
        """Yields (indices into `inputs`, prepared batch), with inputs of similar length together, the longest first."""
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


def bracketed(words: Sequence[str], linearised: str) -> str:
    """Returns the tree over `words` in Penn bracketing on one line, or `linearised` itself if it is no tree over them.

    Round brackets in the words become -LRB- and -RRB-, as in treebanks, since brackets delimit nodes.
    """
    tree = restore([word.replace("(", "-LRB-").replace(")", "-RRB-") for word in words], linearised)
    return linearised if tree is None else tree.pformat(margin=sys.maxsize)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns the softmax of `logits` over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


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
