"""BLEU, chrF and TER of detokenised text, as sacreBLEU computes them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from t2t_multimodel.evaluation.scored import Hypotheses, References, Scored, Scoring
from t2t_multimodel.evaluation.unspaced import missing_part, unspaced_tokenizer

_ORDER = 4  # BLEU's longest n-grams


def bleu(hypotheses: Hypotheses, references: References, scoring: Scoring) -> Scored:
    """Returns "bleu", corpus BLEU from 0 to 100, with sacreBLEU's signature.

    If fewer than half of the references have four tokens, sacreBLEU's effective order is used: n-gram orders that no output has
    do not count, so that outputs equal to their references score 100.
    """
    notes = []
    tokenizer = scoring.bleu_tokenizer or unspaced_tokenizer(scoring.target_space, _all(references)) or "13a"
    tokenizer = {"spm": "flores101"}.get(tokenizer, tokenizer)  # sacreBLEU's own meaning of its older name
    if lacking := missing_part(tokenizer):
        fallback = "13a" if tokenizer == "ko-mecab" else "char"
        notes.append(f"bleu: tokenizer {tokenizer} needs {lacking}; {fallback} is used")
        tokenizer = fallback
    metric = BLEU(tokenize=tokenizer, force=True)  # force only silences the suspicion that the text is tokenised
    long = sum(len(metric.tokenizer(alternatives[0]).split()) >= _ORDER for alternatives in references)
    metric.effective_order = 2 * long < len(references)
    found = _corpus_score(metric, hypotheses, references)
    value = float(found.score)
    if value == 0:
        notes.append(f"bleu is 0: {_why_zero(found.counts, found.totals)}")
    return Scored({"bleu": value}, {"bleu_signature": str(metric.get_signature())}, tuple(notes))


def chrf(hypotheses: Hypotheses, references: References, scoring: Scoring) -> Scored:
    """Returns "chrf", corpus chrF2 (character 6-grams, no words) from 0 to 100, with sacreBLEU's signature."""
    metric = CHRF()
    value = float(_corpus_score(metric, hypotheses, references).score)
    return Scored({"chrf": value}, {"chrf_signature": str(metric.get_signature())})


def ter(hypotheses: Hypotheses, references: References, scoring: Scoring) -> Scored:
    """Returns "ter", corpus TER: edits per 100 reference words, lower is better, with sacreBLEU's signature.

    In languages without blanks between words, each character is a word.
    """
    unspaced = unspaced_tokenizer(scoring.target_space, _all(references)) != ""
    metric = TER(normalized=unspaced, asian_support=unspaced)
    value = float(_corpus_score(metric, hypotheses, references).score)
    return Scored({"ter": value}, {"ter_signature": str(metric.get_signature())})


def _all(references: References) -> Iterator[str]:
    return itertools.chain.from_iterable(references)


def _corpus_score(metric: Metric, hypotheses: Hypotheses, references: References) -> Any:
    return metric.corpus_score(list(hypotheses), list(itertools.zip_longest(*references)))


def _why_zero(matches: list[int], totals: list[int]) -> str:
    if not any(totals):
        return "every output is empty"
    if not any(matches):
        return "outputs and references share no token"
    order = next(n for n, total in enumerate(totals, 1) if total == 0)
    return f"no output has {order} tokens or more, most references have; chrf is the score for such outputs"
