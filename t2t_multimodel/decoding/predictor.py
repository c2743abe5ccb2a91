"""Predicts texts, labels and trees for raw inputs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from t2t_multimodel.config import HParams
from t2t_multimodel.data.normalization import normalize
from t2t_multimodel.data.trees import restore, typed_words, well_formed
from t2t_multimodel.data.vocabulary import Vocabulary
from t2t_multimodel.decoding import forced
from t2t_multimodel.decoding.constraints import WellFormedTrees
from t2t_multimodel.decoding.forced import PairScore
from t2t_multimodel.decoding.hypothesis import Hypothesis, Prediction
from t2t_multimodel.decoding.inputs import Preparation, Prepared, Raw, join_prepared, output_limits, tiny_example
from t2t_multimodel.decoding.search import Part, Search
from t2t_multimodel.decoding.strategies import BeamSearch, Greedy, Strategy
from t2t_multimodel.features import Batch, Label, ProblemSpec, Text, is_tree
from t2t_multimodel.model_protocol import DecodableModel
from t2t_multimodel.registry import unknown
from t2t_multimodel.utils.constants import EOS_ID, LOWEST, PAD_ID
from t2t_multimodel.utils.errors import UnknownNameError

# Called with the number of inputs that have been decoded since the last call.
Progress = Callable[[int], Any]


class _Found(NamedTuple):
    """What was found for B inputs: by input its outputs, the best one's number of tokens, and its experts' shares [B, E]."""

    outputs: list[list[Hypothesis]]
    tokens: list[int]
    experts: np.ndarray


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
        self._preparation = Preparation(self.specs, vocabulary, hparams)
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
            token_scores: whether hypotheses that are texts or trees have the log-probabilities of their tokens, for which each
                batch of outputs goes through the model once more.
            attention: the same, and where the model looks.
        """
        found: dict[int, Prediction] = {}
        for rows, prepared in self._batches(self.spec(problem), inputs, batch_size):
            (predictions,) = self._predict_parts([prepared], strategy or self.strategy, 0, token_scores, attention)
            found |= dict(zip(rows, predictions, strict=True))
            if progress:
                progress(len(rows))
        return [found[row] for row in range(len(inputs))]

    def prepare(self, problem: str, inputs: Sequence[Raw]) -> Prepared:
        """Returns raw inputs as `predict_prepared` takes them; it may be called in any thread."""
        return self._preparation.prepare(self.spec(problem).name, inputs)

    def predict_prepared(self, inputs: Sequence[Prepared], classes: int = 0) -> list[Prediction]:
        """Returns a Prediction for each prepared input, in order. Inputs of several problems are decoded together.

        Args:
            inputs: from `prepare`, one input each.
            classes: the most classes that an input gets; 0 means as many as the strategy has outputs.
        """
        of_problem: dict[str, list[int]] = {}
        for number, prepared in enumerate(inputs):
            of_problem.setdefault(prepared.problem, []).append(number)
        parts = [join_prepared([inputs[number] for number in numbers]) for numbers in of_problem.values()]
        found: dict[int, Prediction] = {}
        for numbers, predictions in zip(of_problem.values(), self._predict_parts(parts, self.strategy, classes), strict=True):
            found |= dict(zip(numbers, predictions, strict=True))
        return [found[number] for number in range(len(inputs))]

    def _predict_parts(
        self,
        parts: Sequence[Prepared],
        strategy: Strategy,
        classes: int = 0,
        token_scores: bool = False,
        attention: bool = False,
    ) -> list[list[Prediction]]:
        """Returns the Predictions of each part's inputs; arguments as in `predict` and `predict_prepared`."""
        start = time.perf_counter()
        top = classes or (strategy.n_best if isinstance(strategy, BeamSearch) else 1)
        is_label = [isinstance(self.spec(part.problem).targets, Label) for part in parts]
        texts = [part for part, label in zip(parts, is_label, strict=True) if not label]
        decoded = iter(self._texts(texts, strategy, token_scores, attention))
        found = [
            self._classes(part.problem, part.batch, top) if label else next(decoded)
            for part, label in zip(parts, is_label, strict=True)
        ]
        seconds = (time.perf_counter() - start) / sum(len(part.sentences) for part in parts)
        return [self._predictions(part, each, seconds, attention) for part, each in zip(parts, found, strict=True)]

    def _predictions(self, part: Prepared, found: _Found, seconds: float, attention: bool) -> list[Prediction]:
        spec, outputs = self.spec(part.problem), found.outputs
        if is_tree(spec.targets):
            words = self._words(part.batch)
            outputs = [
                [self._tree(sentence, own, output) for output in each]
                for sentence, own, each in zip(part.sentences, words, outputs, strict=True)
            ]
        read = self._read_tokens(spec, part.batch) if attention else [[]] * len(outputs)
        rows = zip(outputs, found.tokens, found.experts.tolist(), read, strict=True)
        return [Prediction(each, count, seconds, tuple(shares), source) for each, count, shares, source in rows]

    def classify(self, problem: str, inputs: Sequence[Raw], top: int = 5, batch_size: int = 32) -> list[list[tuple[str, float]]]:
        """Returns the `top` likeliest classes of each input with their probabilities, the likeliest first.

        Raises:
            ValueError: the problem's targets are not labels.
        """
        spec = self.spec(problem)
        if not isinstance(spec.targets, Label):
            raise ValueError(f"{problem} gives {spec.targets.kind}, no classes")
        found: list[list[tuple[str, float]]] = [[] for _ in inputs]
        for rows, prepared in self._batches(spec, inputs, batch_size):
            for row, outputs in zip(rows, self._classes(problem, prepared.batch, top).outputs, strict=True):
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
        for rows, (_, batch, _) in self._batches(spec, inputs, batch_size):
            chosen = [targets[row] for row in rows]
            if isinstance(spec.targets, Label):
                ids = forced.class_ids(spec.targets, chosen)
                scores = forced.class_scores(self._search.classify(problem, batch).logits, ids)
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
        found = self._batch_outputs(problem, batch)
        return [outputs[0].text for outputs in found.outputs]

    def explain_batch(self, problem: str, batch: Batch) -> list[Prediction]:
        """Returns the texts for each row of a prepared batch, with token scores and where the model looks."""
        found = self._batch_outputs(problem, batch, attention=True)
        rows = zip(found.outputs, found.tokens, self._read_tokens(self.spec(problem), batch), strict=True)
        return [Prediction(outputs, count, 0.0, (), source) for outputs, count, source in rows]

    def _batch_outputs(self, problem: str, batch: Batch, attention: bool = False) -> _Found:
        """Returns the outputs for a prepared batch; trees are linearised."""
        if isinstance(self.spec(problem).targets, Label):
            return self._classes(problem, batch, 1)
        return self._texts([Prepared(problem, batch, [""] * len(batch["inputs"]))], self.strategy, attention=attention)[0]

    def longest_input(self, problem: str, raw: Raw) -> str:
        """Returns in words what is kept of an input longer than the model was trained on, or "" if nothing is cut."""
        return self._preparation.longest_input(self.spec(problem).name, raw)

    def _texts(
        self, parts: Sequence[Prepared], strategy: Strategy, token_scores: bool = False, attention: bool = False
    ) -> list[_Found]:
        """Returns the texts, or linearised trees, for the inputs of each part."""
        if not parts:
            return []
        asked = [self._part(part) for part in parts]
        trees = self._rules if any(part.words is not None for part in asked) else None
        decoded = self._search.decode_parts(asked, strategy, trees)
        return [
            self._text_outputs(part, ids, scores, experts, token_scores, attention)
            for part, ((ids, scores), experts) in zip(parts, decoded, strict=True)
        ]

    def _part(self, part: Prepared) -> Part:
        """Returns what the search needs to know of prepared inputs."""
        spec = self.spec(part.problem)
        limits = output_limits(spec, part.batch, self._hparams).numpy()
        if not (self._rules and is_tree(spec.targets) and self.well_formed_trees):
            return Part(part.problem, part.batch, limits)
        words = np.array([len(row) for row in self._words(part.batch)], np.int32)
        return Part(part.problem, part.batch, np.maximum(limits, self._rules.shortest(words)), words)

    def _text_outputs(
        self, part: Prepared, ids: np.ndarray, scores: np.ndarray, experts: np.ndarray, token_scores: bool, attention: bool
    ) -> _Found:
        symbols = is_tree(self.spec(part.problem).targets)
        pairs: Sequence[Sequence[PairScore | None]] = [[None] * len(row) for row in ids]
        if token_scores or attention:
            texts = [[[i for i in output if i != PAD_ID] for output in row] for row in ids.tolist()]
            pairs = forced.text_scores(self._model, part.problem, part.batch, texts, self._vocabulary, attention)
        outputs = [
            [
                Hypothesis(self._vocabulary.decode(row, with_symbols=symbols), float(score), pair=pair)
                for rank, (row, score, pair) in enumerate(zip(rows, row_scores, row_pairs, strict=True))
                if not rank or score > LOWEST / 10  # fewer than n_best outputs may exist
            ]
            for rows, row_scores, row_pairs in zip(ids, scores, pairs, strict=True)
        ]
        return _Found(outputs, (ids[:, 0] != PAD_ID).sum(axis=-1).tolist(), experts)

    def _classes(self, problem: str, batch: Batch, top: int) -> _Found:
        """Returns the `top` likeliest classes of each row; their scores are log-probabilities."""
        targets = self.spec(problem).targets
        assert isinstance(targets, Label)
        classified = self._search.classify(problem, batch)
        log_probs = np.log(np.maximum(softmax(classified.logits), 1e-30))
        ranked = np.argsort(-log_probs, kind="stable")[:, :top]
        words = targets.words or ("",) * len(targets.classes)
        outputs = [
            [Hypothesis(targets.classes[i], float(row[i]), words=words[i]) for i in best]
            for row, best in zip(log_probs, ranked, strict=True)
        ]
        return _Found(outputs, [1] * len(outputs), classified.experts)

    def warm_up(self, problem: str) -> None:
        """Decodes a tiny example, so that the first input of a user does not wait for tracing."""
        self.decode(problem, [tiny_example(self.spec(problem))])

    def _tree(self, sentence: str, words: Sequence[str], output: Hypothesis) -> Hypothesis:
        """Returns the linearised tree `output` over `words` as it is shown, and whether it is well-formed."""
        good = well_formed(output.text, len(words))
        text = bracketed(typed_words(sentence, words), output.text) if self.well_formed_trees else output.text
        return output._replace(text=text, well_formed=good)

    def _words(self, batch: Batch) -> list[list[str]]:
        """Returns the words of each sentence of a prepared batch; a sentence that was cut has its remaining words."""
        return [self._vocabulary.decode(row).split() for row in np.asarray(batch["inputs"])]

    def _read_tokens(self, spec: ProblemSpec, batch: Batch) -> list[list[str]]:
        """Returns the tokens of each text of a prepared batch; [] for each picture or sound."""
        if not isinstance(spec.inputs, Text):
            return [[]] * len(batch["inputs"])
        rows = np.asarray(batch["inputs"]).tolist()
        return [forced.pieces([i for i in row if i != PAD_ID], self._vocabulary) for row in rows]

    def _batches(self, spec: ProblemSpec, inputs: Sequence[Raw], batch_size: int) -> Iterator[tuple[list[int], Prepared]]:
        """Yields (indices into `inputs`, the prepared inputs), with inputs of similar length together, the longest first."""
        order = sorted(range(len(inputs)), key=lambda row: len(inputs[row]), reverse=True)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            yield rows, self.prepare(spec.name, [inputs[row] for row in rows])


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
