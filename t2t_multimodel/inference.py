"""A trained model for use from Python: `t2t_multimodel.load(output_dir)`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from t2t_multimodel.data.readers.sound.decode import decode_audio
from t2t_multimodel.data.readers.sound.decode import from_array as sound_from_array
from t2t_multimodel.decoding.files import read_raw
from t2t_multimodel.decoding.predictor import Prediction, Predictor, Raw
from t2t_multimodel.decoding.search import Search
from t2t_multimodel.decoding.strategies import BeamSearch, Greedy, Strategy
from t2t_multimodel.features import Audio, Feature, Image, Label, ProblemSpec, Text, is_tree
from t2t_multimodel.runs.run_config import open_run

# What `decode` takes for one input: text, a path, a file's bytes, or an array (pixels [H, W, C], samples [N]).
Input = str | Path | bytes | np.ndarray


def open_predictor(
    output_dir: Path | str, strategy: Strategy | None = None, well_formed_trees: bool = False, xla: bool = False
) -> tuple[Predictor, int]:
    """A Predictor with the newest weights of `output_dir`, and their step. Raises DataError where there are none.

    `xla`: see decoding.search.Search's `compiled`.
    """
    config, vocabulary, model, step = open_run(output_dir)
    search = Search(model, compiled=xla)
    return Predictor(model, config.problems, vocabulary, config.hparams, search, strategy, well_formed_trees), step


class LoadedModel:
    """A trained model, loaded once and warm.

    Every method takes one input or a list of them, and gives one output or a list. `problem` may be left out where the model has
    one problem of the kind alone.

    Args:
        decoder: finds the outputs.
        step: of the checkpoint.
    """

    def __init__(self, decoder: Predictor, step: int) -> None:
        self._decoder = decoder
        self.step = step
        self.problems = decoder.specs

    def decode(self, problem: str, inputs: Input | Sequence[Input], batch_size: int = 32) -> Any:
        """The best output for each input.

        Args:
            problem: its name.
            inputs: sentences, or images (a path, the bytes of a file, uint8 [H, W, C]) or sounds (a path, the bytes of a file,
                int16 [samples], or floats [samples] between -1 and 1, at the problem's sample rate).
            batch_size: inputs decoded together.

        Raises:
            UnknownNameError: there is no such problem.
            DataError: a file is missing or damaged.
        """
        found = [answer.outputs[0].text for answer in self._answers(problem, inputs, batch_size)]
        return found[0] if _is_one(inputs) else found

    def n_best(self, problem: str, inputs: Input | Sequence[Input], batch_size: int = 32) -> Any:
        """As `decode`, with a list of Hypothesis(text, score) for each input: as many as the strategy given to `load` finds."""
        found = [answer.outputs for answer in self._answers(problem, inputs, batch_size)]
        return found[0] if _is_one(inputs) else found

    def translate(self, inputs: str | Sequence[str], problem: str | None = None) -> Any:
        """Text to text."""
        return self.decode(problem or self._only("translation", Text, Text), inputs)

    def parse(self, inputs: str | Sequence[str], problem: str | None = None) -> Any:
        """Sentences to bracketed trees."""
        return self.decode(problem or self._only("parsing", Text, Text, tree=True), inputs)

    def caption(self, inputs: Input | Sequence[Input], problem: str | None = None) -> Any:
        """Images to text."""
        return self.decode(problem or self._only("captioning", Image, Text), inputs)

    def transcribe(self, inputs: Input | Sequence[Input], problem: str | None = None) -> Any:
        """Sounds to text."""
        return self.decode(problem or self._only("speech recognition", Audio, Text), inputs)

    def classify(self, inputs: Input | Sequence[Input], problem: str | None = None, top: int = 5) -> Any:
        """Inputs to the `top` likeliest classes, [(name, probability), ...] each."""
        problem = problem or self._only("classification", object, Label)
        found = self._decoder.classify(problem, self._raws(problem, inputs), top)
        return found[0] if _is_one(inputs) else found

    def _answers(self, problem: str, inputs: Any, batch_size: int) -> list[Prediction]:
        return self._decoder.answers(problem, self._raws(problem, inputs), batch_size)

    def _raws(self, problem: str, inputs: Any) -> list[Raw]:
        feature = self._decoder.spec(problem).inputs
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
    well_formed_trees: bool = False,
    xla: bool = False,
) -> LoadedModel:
    """Loads the newest checkpoint of `output_dir` and warms it up for each of its problems.

    Args:
        output_dir: as mm-trainer left it.
        beam_size, alpha, n_best: of the search, see decoding.strategies.Beam; a beam_size of 1 is greedy.
        well_formed_trees: parse trees are always trees over exactly the input's words.
        xla: compile the loop over tokens, for seconds at first: worth it for thousands of inputs.

    Raises:
        DataError: no run, no checkpoint, or one that does not fit.
    """
    strategy = Greedy() if beam_size == 1 else BeamSearch(beam_size, alpha, n_best)
    decoder, step = open_predictor(output_dir, strategy, well_formed_trees, xla)
    for problem in decoder.specs:
        decoder.warm_up(problem)
    return LoadedModel(decoder, step)


def _is_one(inputs: Any) -> bool:
    return isinstance(inputs, (str, Path, bytes, np.ndarray))


def _is_of(spec: ProblemSpec, inputs: type, targets: type, tree: bool) -> bool:
    return isinstance(spec.inputs, inputs) and isinstance(spec.targets, targets) and is_tree(spec.targets) == tree


def _raw(feature: Feature, value: Any, name: str) -> Raw:
    """What a Predictor takes, of what a user has."""
    if isinstance(value, np.ndarray):
        return _from_array(feature, value, name)
    if isinstance(value, bytes):
        return decode_audio(value, feature.sample_rate, name) if isinstance(feature, Audio) else value
    return read_raw(feature, str(value))


def _from_array(feature: Feature, array: np.ndarray, name: str) -> Raw:
    """Samples, or pixels as the file they might have come from."""
    if isinstance(feature, Audio) and array.ndim == 1 and (array.dtype.kind == "f" or array.dtype == np.int16):
        return sound_from_array(array, name)
    file = io.BytesIO()
    if isinstance(feature, Image) and array.dtype == np.uint8 and array.ndim in (2, 3):
        from PIL import Image as Picture

        Picture.fromarray(array.squeeze()).save(file, "PNG")
    else:
        kinds = {"image": "uint8 [H, W, C]", "audio": "int16 [samples] or floats [samples]"}
        wanted = kinds.get(feature.kind, "no array, but text")
        raise ValueError(f"the problem takes {wanted}, got {array.dtype} {list(array.shape)}")
    return file.getvalue()
