"""The interface of a model in training, decoding and reports; MultiModel implements it and documents it in full.

A tensor is a Keras tensor of any backend. Letters in shapes: B inputs, S source length, T target length, D depth, V vocabulary
size, W rows per input, R = B * W rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from t2t_multimodel.config import ModelConfig
from t2t_multimodel.features import Batch, ProblemSpec, ProblemSwitch

Tensor = Any
Variable = Any  # a Keras variable


class EncodedInput(Protocol):
    """An encoded input: states [B, S, D] and mask float32 [B, S]."""

    @property
    def states(self) -> Tensor: ...
    @property
    def mask(self) -> Tensor: ...


class RoutedInput(EncodedInput, Protocol):
    """An encoded input as `encode` returns it.

    `shape` is (height, width) of positions that are a grid, row by row, otherwise None; `routing` is the routing of the encoder's
    experts, or None for a model without experts.
    """

    @property
    def shape(self) -> tuple[Any, Any] | None: ...

    @property
    def routing(self) -> Any: ...


class BatchLoss(Protocol):
    """The parts of a batch's loss: the sum and the weight that divides it, float32 scalars, and the experts' routings."""

    @property
    def total(self) -> Tensor: ...
    @property
    def weight(self) -> Tensor: ...
    @property
    def routings(self) -> Sequence[Any]: ...


class DecodableModel(Protocol):
    """The methods of a model that decoding uses."""

    @property
    def specs(self) -> Mapping[str, ProblemSpec]:
        """Returns the problems' specs by name."""

    @property
    def config(self) -> ModelConfig:
        """Returns the hyperparameters of the network."""

    @property
    def mel_bins(self) -> int:
        """Returns the number of frequency bins of a spectrogram."""

    def space_index(self, problem: str) -> int:
        """Returns the index of the problem's target space among the model's target spaces."""

    def encode(
        self, inputs: Tensor, inputs_length: Tensor | None = None, problem: str | None = None, training: bool = False
    ) -> RoutedInput:
        """Returns `inputs`, as in a batch, encoded; `inputs_length` is only read for sound."""

    def precompute(self, encoded: EncodedInput) -> Any:
        """Returns the tensors that every `step` reads, for B encoded inputs."""

    def init_cache(self, sentences: Tensor, length: Tensor, width: int = 1) -> Any:
        """Returns the state before the first step, for B = `sentences`, W = `width` and T = `length`, the most tokens per row."""

    def step(
        self,
        tokens: Tensor,
        position: Tensor,
        state: Any,
        constants: Any,
        problem: str | None = None,
        space: Tensor | None = None,
        write: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, Any]:
        """Returns logits float32 [R, V] at `position`, after the previous `tokens` int32 [R], and the next state.

        space is the index of a target space, int32 [] or one per row, int32 [R]; None is that of `problem`.
        write(cache, rows, values) overwrites the rows int32 [m] of a cache in `state` with `values` [m, ...] and returns the
        cache. None is for XLA: caches are copied, and all shapes are known.
        """

    def reorder_beams(self, state: Any, parents: Tensor, position: Tensor) -> Any:
        """Returns the state in which row w of each input continues row `parents[:, w]`, int32 [B, W], after `position`."""

    def classify(self, encoded: EncodedInput, problem: str | None = None, training: bool = False) -> Tensor:
        """Returns logits float32 [B, classes]."""

    def decode(self, encoded: EncodedInput, targets: Tensor, problem: str | None = None) -> Tensor:
        """Returns logits float32 [B, T, V], where position t reads the targets [B, T] before t."""

    def decode_with_attention(
        self, encoded: EncodedInput, targets: Tensor, problem: str | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Returns the logits of `decode`, and float32 [B, T, S], the weights with which target positions read the source."""

    def logits(self, batch: Batch, problem: str | ProblemSwitch, space: Tensor | None = None) -> Tensor:
        """Returns the logits without dropout and noise, float32 [B, T, V] or [B, classes]."""


class Model(DecodableModel, Protocol):
    """The methods of a model that training and reports use as well."""

    @property
    def vocab_size(self) -> int:
        """Returns the vocabulary size V."""

    @property
    def commands(self) -> Mapping[str, Any]:
        """Returns the layers of the command tokens, by target space."""

    @property
    def nets(self) -> Mapping[str, Any]:
        """Returns the modality nets, by name."""

    @property
    def variables(self) -> Sequence[Variable]:
        """Returns all variables."""

    @property
    def trainable_variables(self) -> Sequence[Variable]:
        """Returns the weights."""

    @property
    def non_trainable_variables(self) -> Sequence[Variable]:
        """Returns the states of noise and dropout."""

    def loss_terms(
        self,
        batch: Batch,
        problem: str | ProblemSwitch,
        training: bool = True,
        label_smoothing: float = 0.0,
        space: Tensor | None = None,
        rows: tuple[Tensor, ...] | None = None,
        lengths: Any = None,
        static: bool = False,
    ) -> BatchLoss:
        """Returns the parts of a batch's loss; see MultiModel.loss_terms."""

    def real_lengths(self, batch: Batch, problem: str | ProblemSwitch) -> Any:
        """Returns the lengths of a batch without the padding of fixed shapes."""

    def balance_loss(self, routings: Sequence[Any]) -> Tensor:
        """Returns the sum of the experts' importance and load losses, a float32 scalar."""

    def trace_key(self, problem: str) -> tuple[str, ...]:
        """Returns a key that is equal for problems that differ in their command token alone."""

    def trace_group(self, problem: str) -> tuple[str, ...]:
        """Returns the problems that one traced function can serve with `problem`, one per trace key."""

    def input_variables(self, problem: str) -> Sequence[Variable]:
        """Returns the weights that only read the problem's input."""

    def count_params(self) -> int:
        """Returns the number of weights."""

    def save(self, filepath: Path) -> None:
        """Writes the network as a .keras file."""
