"""The model as training, decoding and whatever reports on it use it; MultiModel is one.

A tensor is a keras tensor of any backend. Letters in shapes: B inputs, S source length, T target length, D depth, V pieces of the
vocabulary, W rows per input, R = B * W rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from t2t_multimodel.config import ModelConfig
from t2t_multimodel.features import Batch, ProblemSpec, ProblemSwitch

Tensor = Any
Variable = Any  # a Keras variable


class EncodedInput(Protocol):
    """What a model made of an input: states [B, S, D] and mask [B, S]."""

    @property
    def states(self) -> Tensor: ...
    @property
    def mask(self) -> Tensor: ...


class BatchLoss(Protocol):
    """A batch's loss in parts: the sum, float32 scalar, the weight to divide it by, and the routings of its experts."""

    @property
    def total(self) -> Tensor: ...
    @property
    def weight(self) -> Tensor: ...
    @property
    def routings(self) -> Sequence[Any]: ...


class DecodableModel(Protocol):
    """What decoding asks of a model."""

    @property
    def specs(self) -> Mapping[str, ProblemSpec]:
        """The problems by name."""

    @property
    def config(self) -> ModelConfig:
        """The hyperparameters of the network."""

    @property
    def mel_bins(self) -> int:
        """The bins of a spectrogram."""

    def space_index(self, problem: str) -> int:
        """Returns the place of the problem's target space among those of the model."""

    def encode(
        self, inputs: Tensor, inputs_length: Tensor | None = None, problem: str | None = None, training: bool = False
    ) -> EncodedInput:
        """Reads `inputs` and the length of sound, as in a batch."""

    def precompute(self, encoded: EncodedInput) -> Any:
        """Returns what every `step` reads of the weights and of B encoded inputs."""

    def init_cache(self, sentences: Tensor, length: Tensor, width: int = 1) -> Any:
        """Returns the state before the first of at most `length` tokens, of `width` rows for each of `sentences` inputs."""

    def step(
        self,
        tokens: Tensor,
        position: Tensor,
        state: Any,
        constants: Any,
        problem: str | None = None,
        space: Tensor | None = None,
    ) -> tuple[Tensor, Any]:
        """Returns logits float32 [R, V] behind `tokens` int32 [R], and the next state."""

    def reorder_beams(self, state: Any, parents: Tensor, position: Tensor) -> Any:
        """Returns the state after `position`, when row w of an input continues its row `parents[:, w]`, int32 [B, W]."""

    def classify(self, encoded: EncodedInput, problem: str | None = None, training: bool = False) -> Tensor:
        """Returns logits float32 [B, classes]."""


class Model(DecodableModel, Protocol):
    """What training asks of a model besides."""

    @property
    def vocab_size(self) -> int:
        """The pieces of the vocabulary."""

    @property
    def commands(self) -> Mapping[str, Any]:
        """The layers of the command tokens, by target space."""

    @property
    def nets(self) -> Mapping[str, Any]:
        """The modality nets, by name."""

    @property
    def variables(self) -> Sequence[Variable]:
        """All variables."""

    @property
    def trainable_variables(self) -> Sequence[Variable]:
        """The weights."""

    @property
    def non_trainable_variables(self) -> Sequence[Variable]:
        """The states of noise and dropout."""

    def loss_terms(
        self,
        batch: Batch,
        problem: str | ProblemSwitch,
        training: bool = True,
        label_smoothing: float = 0.0,
        space: Tensor | None = None,
        rows: tuple[Tensor, ...] | None = None,
        static: bool = False,
    ) -> BatchLoss:
        """Returns the loss of a batch; see MultiModel.loss_terms."""

    def balance_loss(self, routings: Sequence[Any]) -> Tensor:
        """Returns the experts' importance and load losses, float32 scalar."""

    def logits(self, batch: Batch, problem: str | ProblemSwitch, space: Tensor | None = None) -> Tensor:
        """Returns logits outside training: float32 [B, T, V] or [B, classes]."""

    def trace_key(self, problem: str) -> tuple[str, ...]:
        """Returns a key that is equal for problems which differ in their command token alone."""

    def trace_group(self, problem: str) -> tuple[str, ...]:
        """Returns the problems that one traced function can serve with `problem`, one per trace key."""

    def input_variables(self, problem: str) -> Sequence[Variable]:
        """Returns the weights that read the problem's input and nothing else."""

    def count_params(self) -> int:
        """Returns the number of weights."""

    def save(self, filepath: Path) -> None:
        """Writes the network as a .keras file."""
