"""Labelled bracket scores of linearised parse trees, by the rules of EVALB with its parameter file COLLINS.prm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from t2t_multimodel.data.trees import Span, spans

IGNORED_LABELS = frozenset({"TOP", "ROOT", "S1"})
PUNCTUATION_TAGS = frozenset({",", ":", "``", "''", "."})
EQUAL_LABELS = {"PRT": "ADVP"}


def parse_f1(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], inputs: Sequence[str] | None = None
) -> dict[str, float]:
    """Returns "parse_f1" and "well_formed".

    parse_f1 is the F1 of the corpus's labelled brackets, well_formed the fraction of hypotheses that are trees over their
    sentence's words. Words that the reference tags as punctuation do not count in a bracket's span. A hypothesis that is not
    well-formed, or has another number of words than the first reference, has no brackets. `inputs` is not used, since a
    reference has one tag per word.

    Raises:
        ValueError: a reference is not well-formed.
    """
    matched = guessed = right = well_formed = 0
    for i, (hypothesis, alternatives) in enumerate(zip(hypotheses, references, strict=True)):
        expected = spans(alternatives[0])
        if expected is None:
            raise ValueError(f"reference {i} is no well-formed linearised tree: {alternatives[0][:60]!r}")
        tags, constituents = expected
        found = spans(hypothesis)
        fits = found is not None and len(found[0]) == len(tags)
        gold = brackets(tags, constituents)
        ours = brackets(tags, found[1]) if found is not None and fits else Counter[Span]()
        matched += (gold & ours).total()
        guessed += ours.total()
        right += gold.total()
        well_formed += fits
    f1 = 2 * matched / (guessed + right) if guessed + right else 1.0
    return {"parse_f1": f1, "well_formed": well_formed / len(hypotheses)}


def brackets(tags: Sequence[str], constituents: Sequence[Span]) -> Counter[Span]:
    """Returns the brackets that EVALB counts: constituents with their spans over the words that are no punctuation."""
    position = [0]
    for tag in tags:
        position.append(position[-1] + (tag not in PUNCTUATION_TAGS))
    counted = (
        Span(EQUAL_LABELS.get(label, label), position[start], position[end])
        for label, start, end in constituents
        if label not in IGNORED_LABELS
    )
    return Counter(span for span in counted if span.start < span.end)
