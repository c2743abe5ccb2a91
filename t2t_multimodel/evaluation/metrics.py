"""Scores of decoded outputs, by the names a problem's `metrics` use.

Every metric takes hypotheses [n], references [n][at least 1] and inputs [n] or None (the source texts, where the problem has
some), and returns its figures by the names they have in `metrics.jsonl`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest

import jiwer
from sacrebleu.metrics.bleu import BLEU

from t2t_multimodel.evaluation.cider import cider
from t2t_multimodel.evaluation.parsing import parse_f1
from t2t_multimodel.registry import Registry

Hypotheses = Sequence[str]
References = Sequence[Sequence[str]]
Inputs = Sequence[str] | None
Metric = Callable[[Hypotheses, References, Inputs], dict[str, float]]

metrics: Registry[Metric] = Registry("metric")


def score(metric: str, hypotheses: Hypotheses, references: References, inputs: Inputs = None) -> dict[str, float]:
    """The figures of the registered `metric`.

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
    return function(hypotheses, references, inputs)


def bleu(hypotheses: Hypotheses, references: References, inputs: Inputs = None) -> dict[str, float]:
    """Corpus BLEU of detokenised text as sacreBLEU computes it, in 0..100."""
    return {"bleu": _sacrebleu(hypotheses, references)[0]}


def bleu_signature(hypotheses: Hypotheses, references: References) -> str:
    """sacreBLEU's signature of the score that `bleu` gives: "nrefs:1|case:mixed|..."."""
    return _sacrebleu(hypotheses, references)[1]


def wer(hypotheses: Hypotheses, references: References, inputs: Inputs = None) -> dict[str, float]:
    """Word error rate: edits over words of each example's first reference, summed over the corpus.

    Without a single reference word it is the number of inserted words.
    """
    firsts = [alternatives[0] for alternatives in references]
    return {"wer": float(jiwer.process_words(firsts, list(hypotheses)).wer)}


def _sacrebleu(hypotheses: Hypotheses, references: References) -> tuple[float, str]:
    metric = BLEU(force=True)  # only silences the suspicion that the text is tokenised
    streams = list(zip_longest(*references))
    return float(metric.corpus_score(list(hypotheses), streams).score), str(metric.get_signature())


metrics.register("bleu", bleu)
metrics.register("wer", wer)
metrics.register("cider", cider)
metrics.register("parse_f1", parse_f1)
