"""CIDEr-D (Vedantam, Zitnick and Parikh 2015, arXiv 1411.5726, section 6): the consensus of a caption with its references.

n-grams are weighted by tf-idf. A document is the set of all references of one image of the scored corpus, so that the figures of
different corpora do not compare. As in the authors' code, term frequencies are counts, which are clipped to the reference's.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from t2t_multimodel.evaluation.unspaced import UNSPACED

MAX_ORDER = 4
SIGMA = 6.0
SCALE = 10.0
_LETTER = rf"(?:(?!{UNSPACED})[^\W_])"
_WORD = re.compile(rf"{UNSPACED}|{_LETTER}+(?:['’-]{_LETTER}+)*")

NGram = tuple[str, ...]


def cider(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], inputs: Sequence[str] | None = None
) -> dict[str, float]:
    """Returns "cider", the mean CIDEr-D over the corpus, from 0 to 10.

    It is 0 for a corpus of one image, since an n-gram that is in every document has no weight.
    """
    tokenised = [[tokenise(reference) for reference in alternatives] for alternatives in references]
    idf = _inverse_document_frequencies(tokenised)
    no_document = math.log(len(references))
    total = 0.0
    for hypothesis, alternatives in zip(hypotheses, tokenised, strict=True):
        candidate = tokenise(hypothesis)
        total += sum(_similarity(candidate, words, idf, no_document) for words in alternatives) / len(alternatives)
    return {"cider": SCALE * total / len(hypotheses)}


def tokenise(text: str) -> list[str]:
    """Returns the words of `text` in lower case, without punctuation except hyphens and apostrophes inside a word.

    In scripts without blanks between words, each character is a word.
    """
    return _WORD.findall(text.lower())


def _ngrams(words: list[str], order: int) -> Counter[NGram]:
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def _inverse_document_frequencies(references: list[list[list[str]]]) -> dict[NGram, float]:
    documents: Counter[NGram] = Counter()
    for alternatives in references:
        documents.update({ngram for words in alternatives for n in range(1, MAX_ORDER + 1) for ngram in _ngrams(words, n)})
    return {ngram: math.log(len(references) / count) for ngram, count in documents.items()}


def _similarity(candidate: list[str], reference: list[str], idf: dict[NGram, float], no_document: float) -> float:
    """Returns equation 6 without its scale: the mean over orders of the clipped cosine, times the penalty for the length."""
    penalty = math.exp(-((len(candidate) - len(reference)) ** 2) / (2 * SIGMA**2))
    total = 0.0
    for order in range(1, MAX_ORDER + 1):
        ours = {ngram: count * idf.get(ngram, no_document) for ngram, count in _ngrams(candidate, order).items()}
        theirs = {ngram: count * idf[ngram] for ngram, count in _ngrams(reference, order).items()}
        norms = math.hypot(*ours.values()) * math.hypot(*theirs.values())
        if norms > 0:
            total += sum(min(weight, theirs.get(ngram, 0.0)) * theirs.get(ngram, 0.0) for ngram, weight in ours.items()) / norms
    return penalty * total / MAX_ORDER
