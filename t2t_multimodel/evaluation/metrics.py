"""Scores of decoded outputs, by the names a problem's `metrics` use.

A registered metric takes hypotheses [n], references [n][at least 1] and inputs [n] or None (the source texts, where the problem
has some), and returns its figures by the names they have in `metrics.jsonl`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from t2t_multimodel.evaluation import error_rates, translation
from t2t_multimodel.evaluation.cider import cider
from t2t_multimodel.evaluation.parsing import parse_f1
from t2t_multimodel.evaluation.scored import Hypotheses, References, Scored, Scoring
from t2t_multimodel.evaluation.unspaced import unspaced_tokenizer
from t2t_multimodel.registry import Registry

Inputs = Sequence[str] | None
Metric = Callable[[Hypotheses, References, Inputs], dict[str, float]]

metrics: Registry[Metric] = Registry("metric")


@dataclasses.dataclass(frozen=True)
class TextMetric:
    """A metric that depends on the problem's scoring too; called as any other, it uses the default one."""

    function: Callable[[Hypotheses, References, Scoring], Scored]

    def __call__(self, hypotheses: Hypotheses, references: References, inputs: Inputs = None) -> dict[str, float]:
        return self.function(hypotheses, references, Scoring()).figures


def score(
    metric: str, hypotheses: Hypotheses, references: References, inputs: Inputs = None, scoring: Scoring | None = None
) -> dict[str, float]:
    """The figures of the registered `metric`; raises what `scored` does."""
    return scored(metric, hypotheses, references, inputs, scoring).figures


def scored(
    metric: str, hypotheses: Hypotheses, references: References, inputs: Inputs = None, scoring: Scoring | None = None
) -> Scored:
    """The figures of the registered `metric`, how they were computed, and notes on them.

    Args:
        scoring: tokenizer, normalisation and language; None is the default one.

    Raises:
        UnknownNameError: no metric has this name.
        ValueError: nothing to score, lists of different lengths, or an example without a reference.
    """
    function = metrics.get(metric)
    if not hypotheses:
        raise ValueError(f"{metric} needs at least one hypothesis, got none")
    if len(references) != len(hypotheses) or (inputs is not None and len(inputs) != len(hypotheses)):
        counts = f"{len(hypotheses)} hypotheses, {len(references)} references, {'no' if inputs is None else len(inputs)} inputs"
        raise ValueError(f"{metric} needs the references and inputs of each hypothesis, got {counts}")
    for i, alternatives in enumerate(references):
        if not alternatives or isinstance(alternatives, str):
            raise ValueError(f"{metric} needs a list of at least one reference for each hypothesis, got {alternatives!r} for {i}")
    if isinstance(function, TextMetric):
        return function.function(hypotheses, references, scoring or Scoring())
    return Scored(function(hypotheses, references, inputs))


def with_companions(names: Sequence[str], references: References, target_space: str = "") -> list[str]:
    """`names`, chrF behind BLEU, and behind WER the character error rate where the language has no blanks between words."""
    found: dict[str, None] = {}
    for name in names:
        found[name] = None
        if name == "bleu":
            found["chrf"] = None
        elif name == "wer" and unspaced_tokenizer(target_space, (alternatives[0] for alternatives in references)):
            found["cer"] = None
    return list(found)


def bleu_signature(hypotheses: Hypotheses, references: References, scoring: Scoring | None = None) -> str:
    """sacreBLEU's signature of the BLEU that `score` gives: "nrefs:1|case:mixed|..."."""
    return scored("bleu", hypotheses, references, None, scoring).settings["bleu_signature"]


metrics.register("bleu", TextMetric(translation.bleu))
metrics.register("chrf", TextMetric(translation.chrf))
metrics.register("ter", TextMetric(translation.ter))
metrics.register("wer", TextMetric(error_rates.wer))
metrics.register("cer", TextMetric(error_rates.cer))
metrics.register("cider", cider)
metrics.register("parse_f1", parse_f1)
