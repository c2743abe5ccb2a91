"""The types of a metric: its texts, the Scoring that it is given, and the Scored that it returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

Hypotheses = Sequence[str]
References = Sequence[Sequence[str]]


class ScoredProblem(Protocol):
    """The attributes of a Problem or a ProblemSpec that its scores depend on."""

    @property
    def target_space(self) -> str: ...

    @property
    def bleu_tokenizer(self) -> str: ...

    @property
    def wer_ignores(self) -> tuple[str, ...]: ...


class Scoring(NamedTuple):
    """The settings by which outputs are compared with references.

    Attributes:
        target_space: the problem's command token, as "to_german", which may name the language.
        bleu_tokenizer: one of `features.BLEU_TOKENIZERS`; "" chooses by the language.
        wer_ignores: names in `features.WER_IGNORES`; word and character error rates ignore what they stand for.
    """

    target_space: str = ""
    bleu_tokenizer: str = ""
    wer_ignores: tuple[str, ...] = ()

    @classmethod
    def of(cls, problem: ScoredProblem) -> Scoring:
        """Returns the Scoring of a problem."""
        return cls(problem.target_space, problem.bleu_tokenizer, problem.wer_ignores)


class Scored(NamedTuple):
    """Scores of a split.

    Attributes:
        figures: the scores, by their names in metrics.jsonl.
        settings: how they were computed, by names in metrics.jsonl as "bleu_signature" and "wer_normalization".
        notes: lines for the user on figures that are easily misread.
    """

    figures: dict[str, float]
    settings: dict[str, str] = {}
    notes: tuple[str, ...] = ()
