"""The registry of metrics of decoded outputs, by the names that a problem's `metrics` use.

A metric is a function of hypotheses (n texts), references (n lists of at least one text) and inputs (n source texts, or None if
inputs are no text). It returns its figures by the names that they have in `metrics.jsonl`.
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
    """A metric that depends on the problem's Scoring too. Called as a function, it uses the default Scoring."""

    function: Callable[[Hypotheses, References, Scoring], Scored]

    def __call__(self, hypotheses: Hypotheses, references: References, inputs: Inputs = None) -> dict[str, float]:
        return self.function(hypotheses, references, Scoring()).figures


def score(
    metric: str, hypotheses: Hypotheses, references: References, inputs: Inputs = None, scoring: Scoring | None = None
) -> dict[str, float]:
    """Returns the figures of the registered `metric` by name; raises what `scored` raises."""
    return scored(metric, hypotheses, references, inputs, scoring).figures


def scored(
    metric: str, hypotheses: Hypotheses, references: References, inputs: Inputs = None, scoring: Scoring | None = None
) -> Scored:
    """Returns the figures of the registered `metric`, how they were computed, and notes on them.

    Args:
        scoring: the problem's tokenizer, normalisation and language; None is the default Scoring.

    Raises:
        UnknownNameError: no metric has this name.
        ValueError: there are no hypotheses, the lists differ in length, or an example has no reference.
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
    """Returns `names` with chrF added after BLEU, and after WER the CER if the language has no blanks between words."""
    found: dict[str, None] = {}
    for name in names:
        found[name] = None
        if name == "bleu":
            found["chrf"] = None
        elif name == "wer" and unspaced_tokenizer(target_space, (alternatives[0] for alternatives in references)):
            found["cer"] = None
    return list(found)


def bleu_signature(hypotheses: Hypotheses, references: References, scoring: Scoring | None = None) -> str:
    """Returns sacreBLEU's signature of the BLEU that `score` computes: "nrefs:1|case:mixed|..."."""
    return scored("bleu", hypotheses, references, None, scoring).settings["bleu_signature"]


metrics.register("bleu", TextMetric(translation.bleu))
metrics.register("chrf", TextMetric(translation.chrf))
metrics.register("ter", TextMetric(translation.ter))
metrics.register("wer", TextMetric(error_rates.wer))
metrics.register("cer", TextMetric(error_rates.cer))
metrics.register("cider", cider)
metrics.register("parse_f1", parse_f1)
