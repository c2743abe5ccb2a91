"""A trained model for use from Python: `t2t_multimodel.load(output_dir)`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from t2t_multimodel.data.normalization import normalize_spaces
from t2t_multimodel.data.readers.pictures import read as pictures
from t2t_multimodel.data.readers.sound.decode import decode_audio
from t2t_multimodel.data.readers.sound.decode import from_array as sound_from_array
from t2t_multimodel.decoding.files import read_raw, read_text
from t2t_multimodel.decoding.hypothesis import Prediction
from t2t_multimodel.decoding.inputs import Raw
from t2t_multimodel.decoding.interactive import describe
from t2t_multimodel.decoding.predictor import Predictor
from t2t_multimodel.decoding.search import Search
from t2t_multimodel.decoding.strategies import BeamSearch, Greedy, Strategy
from t2t_multimodel.evaluation.outputs import checked_reference
from t2t_multimodel.features import Audio, Feature, Image, Label, ProblemSpec, Text, is_tree
from t2t_multimodel.runs.run_config import open_run

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    # One input of `decode`: a text, a path, a file's bytes, a Pillow image, or an array of pixels or samples.
    Input = str | Path | bytes | Picture | np.ndarray


T = TypeVar("T")
TAKEN = {
    "text": "text",
    "image": "the path or the bytes of an image, a PIL.Image, or uint8 [H, W, C]",
    "audio": "the path or the bytes of a sound file, int16 [samples], or floats [samples]",
}


def open_predictor(
    output_dir: Path | str, strategy: Strategy | None = None, well_formed_trees: bool = True, xla: bool = False
) -> tuple[Predictor, int]:
    """Returns a Predictor with the newest weights of `output_dir`, and their step.

    Args:
        output_dir: a run's folder.
        strategy, well_formed_trees: see Predictor.
        xla: see `compiled` in decoding.search.Search.

    Raises:
        DataError: no run, no checkpoint, or one that does not fit.
    """
    config, vocabulary, model, step = open_run(output_dir)
    search = Search(model, compiled=xla)
    return Predictor(model, config.problems, vocabulary, config.hparams, search, strategy, well_formed_trees), step


class LoadedModel:
    """A trained model, ready to decode; `load` makes it.

    Every method takes one input or a list of inputs, and returns one output or a list. `problem` may be omitted if the model has
    only one problem of the method's kind.

    Args:
        decoder: a Predictor.
        step: the training step of the weights.
    """

    def __init__(self, decoder: Predictor, step: int) -> None:
        self._decoder = decoder
        self.step = step
        self.problems = decoder.specs

    def decode(self, problem: str, inputs: Input | Sequence[Input], batch_size: int = 32) -> Any:
        """Returns the best output for each input.

        Args:
            problem: the problem's name.
            inputs: a sentence; an image: a path, the bytes of a file, a PIL.Image, or uint8 [H, W, C]; a sound: a path, the bytes
                of a file, or int16 [samples] or floats [samples] from -1 to 1 at the problem's sample rate; or a list of these.
            batch_size: inputs that are decoded together.

        Returns:
            A str for one input, a list of str for a list. The output for a sentence without words is "".

        Raises:
            UnknownNameError: there is no such problem.
            DataError: a file is missing or damaged.
            ValueError: an input is of a kind that the problem does not take.
        """
        predictions = self._predict(problem, inputs, batch_size)
        found = [prediction.outputs[0].text if prediction.outputs else "" for prediction in predictions]
        return found[0] if _is_one(inputs) else found

    def n_best(
        self,
        problem: str,
        inputs: Input | Sequence[Input],
        batch_size: int = 32,
        n: int | None = None,
        token_scores: bool = False,
        attention: bool = False,
    ) -> Any:
        """Returns a list of Hypothesis(text, score, well_formed, words, pair) for each input, the best first.

        Args:
            problem: as in `decode`.
            inputs: as in `decode`.
            batch_size: as in `decode`.
            n: the most outputs per input; a narrower beam is widened. None means the `n_best` given to `load`, or one output per
                beam if that was 1.
            token_scores: whether texts and trees have `pair`, a PairScore with the log-probabilities of their tokens.
            attention: the same, with where the model looks: pair.attention.weights, float32 [tokens, positions of the input].

        Raises:
            ValueError: n is below 1, or as in `decode`.
            UnknownNameError: as in `decode`.
            DataError: as in `decode`.
        """
        predictions = self._predict(problem, inputs, batch_size, self._n_best_strategy(n), token_scores, attention)
        found = [prediction.outputs for prediction in predictions]
        return found[0] if _is_one(inputs) else found

    def log_probs(
        self,
        problem: str,
        inputs: Input | Sequence[Input],
        targets: str | Sequence[str],
        batch_size: int = 32,
        attention: bool = False,
    ) -> Any:
        """Returns the log-probability of a given output for each input: PairScore(log_prob, token_log_probs, tokens, attention).

        Args:
            problem: as in `decode`.
            inputs: as in `decode`.
            targets: an output for one input, or one per input: texts, names of classes, or trees in Penn bracketing or
                linearised.
            batch_size: pairs that are scored together.
            attention: whether the scores of texts say where the model looks, as in `n_best`.

        Raises:
            DataError: a target is empty, no class of the problem or no tree; or as in `decode`.
            ValueError: there are not as many targets as inputs, or as in `decode`.
            UnknownNameError: as in `decode`.
        """
        raw_inputs, given = self._read(problem, inputs), [targets] if isinstance(targets, str) else list(targets)
        if len(given) != len(raw_inputs):
            raise ValueError(f"each input needs a target; got {len(raw_inputs)} inputs and {len(given)} targets")
        spec = self.problems[problem]
        wanted = [checked_reference(spec, normalize_spaces(text), f"target {i}") for i, text in enumerate(given, 1)]
        found = self._decoder.score_pairs(problem, raw_inputs, wanted, batch_size, attention=attention)
        return found[0] if _is_one(inputs) else found

    def translate(self, inputs: str | Sequence[str], problem: str | None = None) -> Any:
        """Returns translations (str) of sentences; see `decode`."""
        return self.decode(problem or self._only("translation", Text, Text), inputs)

    def parse(self, inputs: str | Sequence[str], problem: str | None = None) -> Any:
        """Returns bracketed parse trees (str) of sentences; see `decode`."""
        return self.decode(problem or self._only("parsing", Text, Text, tree=True), inputs)

    def caption(self, inputs: Input | Sequence[Input], problem: str | None = None) -> Any:
        """Returns captions (str) of images; see `decode`."""
        return self.decode(problem or self._only("captioning", Image, Text), inputs)

    def transcribe(self, inputs: Input | Sequence[Input], problem: str | None = None) -> Any:
        """Returns transcripts (str) of sounds; see `decode`."""
        return self.decode(problem or self._only("speech recognition", Audio, Text), inputs)

    def classify(self, inputs: Input | Sequence[Input], problem: str | None = None, top: int = 5) -> Any:
        """Returns the `top` likeliest classes of each input, [(name, probability), ...], the likeliest first; see `decode`."""
        problem = problem or self._only("classification", object, Label)
        nothing: list[tuple[str, float]] = []
        found = self._with_words(self._read(problem, inputs), lambda raw: self._decoder.classify(problem, raw, top), nothing)
        return found[0] if _is_one(inputs) else found

    def experts(self, problem: str, inputs: Input | Sequence[Input], batch_size: int = 32) -> Any:
        """Returns the share of each of the encoder's experts in the gates of each input, float32 [experts]; see `decode`.

        A row sums to 1. It is empty for a model without experts, and for a sentence without words.
        """
        found = [np.array(each.experts, np.float32) for each in self._predict(problem, inputs, batch_size)]
        return found[0] if _is_one(inputs) else found

    def class_words(self, problem: str | None = None) -> dict[str, str]:
        """Returns what the names of a problem's classes mean, as "Border collie" for "n02106166".

        It is empty if the classes have no words of their own. Errors are those of `classify`.
        """
        targets = self._decoder.spec(problem or self._only("classification", object, Label)).targets
        return dict(zip(targets.classes, targets.words, strict=False)) if isinstance(targets, Label) else {}

    def __repr__(self) -> str:
        return f"<LoadedModel at step {self.step:,}: {'; '.join(map(describe, self.problems.values()))}>"

    def _predict(
        self,
        problem: str,
        inputs: Any,
        batch_size: int,
        strategy: Strategy | None = None,
        token_scores: bool = False,
        attention: bool = False,
    ) -> list[Prediction]:
        def predict(raw_inputs: list[Raw]) -> list[Prediction]:
            return self._decoder.predict(
                problem, raw_inputs, batch_size, strategy=strategy, token_scores=token_scores, attention=attention
            )

        return self._with_words(self._read(problem, inputs), predict, Prediction([], 0, 0.0))

    def _n_best_strategy(self, n: int | None) -> Strategy:
        if n is not None and n < 1:
            raise ValueError(f"n must be 1 or more, got {n}")
        own = self._decoder.strategy
        if not isinstance(own, BeamSearch):
            return own if n is None or n == 1 else BeamSearch(n, n_best=n)
        n = n or (own.n_best if own.n_best > 1 else own.size)
        return dataclasses.replace(own, size=max(own.size, n), n_best=n)

    @staticmethod
    def _with_words(raw_inputs: list[Raw], predict: Callable[[list[Raw]], list[T]], nothing: T) -> list[T]:
        """Returns the results of `predict` in order, with `nothing` for texts without words, which it does not get."""
        has_words = [bool(normalize_spaces(raw)) if isinstance(raw, str) else True for raw in raw_inputs]
        found = iter(predict([raw for raw, there in zip(raw_inputs, has_words, strict=True) if there]))
        return [next(found) if there else nothing for there in has_words]

    def _read(self, problem: str, inputs: Any) -> list[Raw]:
        feature = self._decoder.spec(problem).inputs
        if not _is_one(inputs) and not isinstance(inputs, Iterable):
            raise _not_taken(feature, inputs)
        given = [inputs] if _is_one(inputs) else list(inputs)
        return [_raw(feature, each, f"input {i} of {len(given)}") for i, each in enumerate(given, 1)]

    def _only(self, what: str, inputs: type, targets: type, tree: bool = False) -> str:
        names = [spec.name for spec in self.problems.values() if _is_of(spec, inputs, targets, tree)]
        if len(names) != 1:
            raise ValueError(f"this model has {len(names)} problems of {what}; name one of: {', '.join(names or self.problems)}")
        return names[0]


def load(
    output_dir: Path | str,
    beam_size: int = 4,
    alpha: float = 0.6,
    n_best: int = 1,
    well_formed_trees: bool = True,
    xla: bool = False,
) -> LoadedModel:
    """Loads the newest checkpoint of `output_dir` and warms the model up for each of its problems.

    Args:
        output_dir: a run's folder, written by mm-trainer.
        beam_size: the number of beams; 1 decodes greedily.
        alpha: the exponent of the length penalty; see decoding.strategies.BeamSearch.
        n_best: the number of outputs per input.
        well_formed_trees: True gives parse trees in Penn bracketing that are trees over exactly the input's words. False gives
            linearised trees as the model writes them.
        xla: whether XLA compiles the loop over tokens, which takes seconds at first and pays off for thousands of inputs.

    Raises:
        DataError: no run, no checkpoint, or one that does not fit.
    """
    strategy = Greedy() if beam_size == 1 else BeamSearch(beam_size, alpha, n_best)
    decoder, step = open_predictor(output_dir, strategy, well_formed_trees, xla)
    for problem in decoder.specs:
        decoder.warm_up(problem)
    return LoadedModel(decoder, step)


def _is_one(inputs: Any) -> bool:
    if isinstance(inputs, np.ndarray):
        return inputs.dtype.kind not in "OUS"  # an array of texts or objects is a list of inputs
    return isinstance(inputs, (str, Path, bytes)) or _is_picture(inputs)


def _is_picture(value: Any) -> bool:
    """Returns whether `value` is a Pillow image. It can be one only if Pillow has been imported."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)


def _is_of(spec: ProblemSpec, inputs: type, targets: type, tree: bool) -> bool:
    return isinstance(spec.inputs, inputs) and isinstance(spec.targets, targets) and is_tree(spec.targets) == tree


def _raw(feature: Feature, value: Any, name: str) -> Raw:
    """Returns a user's input as a Predictor takes it.

    Raises:
        DataError: a file is missing or damaged.
        ValueError: the problem takes no inputs of this kind.
    """
    if isinstance(feature, Text):
        if not isinstance(value, (str, bytes)):
            raise _not_taken(feature, value)
        return read_text(value)
    if isinstance(value, (str, Path)):
        return read_raw(feature, str(value))
    if isinstance(value, bytes):
        return decode_audio(value, feature.sample_rate, name) if isinstance(feature, Audio) else value
    if isinstance(feature, Image):
        if _is_picture(value):
            return pictures.of_image(value, name)
        if isinstance(value, np.ndarray) and pictures.are_pixels(value):
            return pictures.of_array(value, name)
    if isinstance(value, np.ndarray) and value.ndim == 1 and (value.dtype.kind == "f" or value.dtype == np.int16):
        return sound_from_array(value, name)
    raise _not_taken(feature, value)


def _not_taken(feature: Feature, value: Any) -> ValueError:
    is_array = isinstance(value, np.ndarray)
    got = f"{value.dtype} {list(value.shape)}" if is_array else f"{type(value).__name__} {str(value)[:40]!r}"
    return ValueError(f"the problem takes {TAKEN[feature.kind]}, got {got}")
