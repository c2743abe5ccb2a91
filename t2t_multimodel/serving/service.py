"""Answers requests for the problems of a run: checks them and decodes them together."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, NamedTuple

import absl.logging
import numpy as np

from t2t_multimodel.data.normalization import normalize_spaces
from t2t_multimodel.data.readers.pictures.read import stored_picture
from t2t_multimodel.data.readers.sound.decode import decode_audio
from t2t_multimodel.decoding.files import changes_of, one_line, read_text
from t2t_multimodel.decoding.hypothesis import Prediction
from t2t_multimodel.decoding.inputs import Prepared, Raw, tiny_example
from t2t_multimodel.features import Audio, Image, Label, ProblemSpec
from t2t_multimodel.serving.batcher import Batcher, Closed, QueueFull
from t2t_multimodel.serving.limits import Limits
from t2t_multimodel.utils.errors import DataError

TOP_CLASSES = 5


class Output(NamedTuple):
    """One output for an input.

    Attributes:
        text, score, well_formed: see decoding.hypothesis.Hypothesis; `text` is on one line.
        probability: of a class; None for other outputs.
        words: the words of a class, see features.Label; None if there are none.
    """

    text: str
    score: float
    well_formed: bool | None
    probability: float | None
    words: str | None = None


@dataclasses.dataclass(frozen=True)
class Answer:
    """The answer to a request.

    Attributes:
        problem: the problem's name.
        outputs: the best first.
        experts: by expert of the encoder, its share in the input's gates; empty for a model without experts.
        notes: the changes and cuts that were made to read the input.
        batch_size: requests that were decoded together with this one, itself included.
        seconds: from the whole request to its answer.
    """

    problem: str
    outputs: list[Output]
    experts: list[float]
    notes: list[str]
    batch_size: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Returns the answer as the JSON API gives it; an output has only the keys that apply to it."""
        outputs = [
            {name: _rounded(value) for name, value in output._asdict().items() if value is not None} for output in self.outputs
        ]
        return {
            "problem": self.problem,
            "outputs": outputs,
            "experts": [_rounded(share) for share in self.experts],
            "notes": self.notes,
            "batch_size": self.batch_size,
            "seconds": _rounded(self.seconds),
        }


class Ready(NamedTuple):
    """A request's input, ready to be decoded.

    Attributes:
        prepared: the input as the model reads it.
        notes: the changes and cuts that were made to read it.
    """

    prepared: Prepared
    notes: list[str]


class _Decoded(NamedTuple):
    prediction: Prediction
    batch_size: int


class Service:
    """Answers requests for the problems of a Predictor, several at a time.

    Args:
        decoder: a Predictor with the strategy of the service.
        step: the training step of its weights.
        limits: the largest request.
        max_batch, max_wait, max_waiting: see Batcher; `max_waiting` also bounds the requests that are read and checked.
    """

    def __init__(
        self,
        decoder: Any,
        step: int,
        limits: Limits | None = None,
        max_batch: int = 32,
        max_wait: float = 0.005,
        max_waiting: int = 128,
    ) -> None:
        self._decoder = decoder
        self.step = step
        self.limits = limits or Limits()
        self.problems = decoder.specs
        self._max_waiting = max_waiting
        self._places = threading.BoundedSemaphore(max_waiting)
        self._warm = threading.Event()
        self._batcher = Batcher(self._predict, max_batch, max_wait, max_waiting)

    @property
    def waiting(self) -> int:
        """Returns the number of inputs that wait to be decoded."""
        return self._batcher.waiting

    @property
    def status(self) -> str:
        """Returns "ok", or "warming up", when a request may wait for seconds."""
        return "ok" if self._warm.is_set() else "warming up"

    def warm_up_meanwhile(self) -> None:
        """Starts `warm_up` in a thread of its own; `close` ends it."""

        def work() -> None:
            try:
                self.warm_up()
            except Closed:
                pass
            except Exception:
                absl.logging.exception("warming up failed; requests are answered as far as they can be")

        threading.Thread(target=work, name="warm-up", daemon=True).start()

    def warm_up(self) -> None:
        """Decodes a tiny input of every problem, so that later requests do not wait for tracing."""
        for problem, spec in self.problems.items():
            for future in [self.submit(self._ready(problem, tiny_example(spec))) for _ in range(2)]:
                future.result()
        self._warm.set()

    def close(self) -> None:
        """Ends the batch that is being decoded; whoever waits gets an error."""
        self._batcher.close()

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Holds a place in the queue for one request, from before its body is read until its answer.

        Raises:
            QueueFull: there is none.
        """
        if not self._places.acquire(blocking=False):
            raise QueueFull(f"{self._max_waiting} requests are waiting already; try again in a moment")
        try:
            yield
        finally:
            self._places.release()

    def read(self, problem: str, content: bytes | str) -> Ready:
        """Returns a request's input, checked and prepared. It may be called in any thread.

        Raises:
            UnknownNameError: there is no such problem.
            TooLarge: a text is longer than the limit.
            DataError: the input is empty, damaged, of the wrong kind or larger than the limits.
        """
        return self._ready(problem, self._raw(problem, content))

    def submit(self, ready: Ready) -> Future[_Decoded]:
        """Returns the future decoding of an input from `read`; raises QueueFull and Closed as Batcher does."""
        return self._batcher.submit(ready.prepared)

    def answer(self, ready: Ready, decoded: _Decoded, start: float) -> Answer:
        """Returns the answer for an input and what it was decoded to; `start` is a `time.perf_counter`."""
        problem = ready.prepared.problem
        is_label = isinstance(self.problems[problem].targets, Label)
        outputs = [
            Output(
                one_line(found.text),
                found.score,
                found.well_formed,
                float(np.exp(found.score)) if is_label else None,
                found.words or None,
            )
            for found in decoded.prediction.outputs
        ]
        experts = list(decoded.prediction.experts)
        return Answer(problem, outputs, experts, ready.notes, decoded.batch_size, time.perf_counter() - start)

    def ask(self, problem: str, content: bytes | str, start: float | None = None) -> Answer:
        """Returns the answer to a whole request; raises the errors of `place`, `read` and `submit`."""
        start = time.perf_counter() if start is None else start
        with self.place():
            ready = self.read(problem, content)
            return self.answer(ready, self.submit(ready).result(), start)

    def _ready(self, problem: str, raw: Raw) -> Ready:
        cut = self._decoder.longest_input(problem, raw)
        notes = [*([f"cut to {cut}"] if cut else []), *changes_of(raw)]
        return Ready(self._decoder.prepare(problem, [raw]), notes)

    def _raw(self, problem: str, content: bytes | str) -> Raw:
        """Returns a request's input as the Predictor takes it: a text, a StoredPicture or a Sound."""
        feature = self._decoder.spec(problem).inputs
        if isinstance(feature, (Image, Audio)):
            if isinstance(content, str):
                raise DataError(f"{problem} takes the file of {_THING[feature.kind]}, got text")
            if isinstance(feature, Image):
                return stored_picture(content, "the picture", max_pixels=self.limits.pixels)
            return decode_audio(content, feature.sample_rate, "the sound", self.limits.seconds)
        text = read_text(content)
        if not normalize_spaces(text):
            raise DataError(f"{problem} takes a sentence, got none")
        self.limits.check_text(text)
        return text

    def _predict(self, inputs: list[Prepared]) -> list[_Decoded]:
        return [_Decoded(prediction, len(inputs)) for prediction in self._decoder.predict_prepared(inputs, TOP_CLASSES)]


_THING = {"image": "a picture", "audio": "a sound"}


def wanted(spec: ProblemSpec) -> str:
    """Returns what an input of the problem is, in words: "a sentence", "a picture", "a sound"."""
    return _THING.get(spec.inputs.kind, "a sentence")


def _rounded(value: Any) -> Any:
    return round(value, 5) if isinstance(value, float) else value
