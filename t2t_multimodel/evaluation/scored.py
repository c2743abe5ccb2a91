"""What a metric is told of a problem, and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

Hypotheses = Sequence[str]
References = Sequence[Sequence[str]]


class ScoredProblem(Protocol):
    """The part of a problem that its scores depend on; a Problem and a ProblemSpec have it."""

    @property
    def target_space(self) -> str: ...

    @property
    def bleu_tokenizer(self) -> str: ...

    @property
    def wer_ignores(self) -> tuple[str, ...]: ...


class Scoring(NamedTuple):
    """How outputs are compared with references.

    Attributes:
        target_space: the problem's command token, as "to_german"; it may name a language without blanks between words.
        bleu_tokenizer: one of `features.BLEU_TOKENIZERS`; "" chooses by the language.
        wer_ignores: what word and character error rates leave out, of `features.WER_IGNORES`.
    """

    target_space: str = ""
    bleu_tokenizer: str = ""
    wer_ignores: tuple[str, ...] = ()

    @classmethod
    def of(cls, problem: ScoredProblem) -> Scoring:
        """The scoring that a problem asks for."""
        return cls(problem.target_space, problem.bleu_tokenizer, problem.wer_ignores)


class Scored(NamedTuple):
    """Scores of a split.

    Attributes:
        figures: by their names in metrics.jsonl.
        settings: how they were computed, by their names in metrics.jsonl: "bleu_signature", "wer_normalization".
        notes: lines for the user on what a figure does not mean.
    """

    figures: dict[str, float]
    settings: dict[str, str] = {}
    notes: tuple[str, ...] = ()
