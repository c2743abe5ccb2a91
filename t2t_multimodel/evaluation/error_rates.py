"""Word and character error rates by jiwer, of text that is normalised as the problem's `wer_ignores` says."""

from __future__ import annotations

from typing import Any

import jiwer

from t2t_multimodel.evaluation.scored import Hypotheses, References, Scored, Scoring
from t2t_multimodel.evaluation.unspaced import unspaced_tokenizer

# What Kaldi's egs/wsj/s5/local/wer_output_filter removes from or corrects in both transcripts.
_WSJ = {
    "(?i)<(spoken_)?noise>|<unk>": " ",
    "[:/*]": "",
    "-HOLDER": "HOLDER",
    "COMPAIGN": "CAMPAIGN",
    "APPROACHES-": "APPROACHES",
    "RESEACHERS": "RESEARCHERS",
}
# By the names that `wer_ignores` uses, in the order of application: a description for the scores' settings, and the
# transformation.
IGNORED: dict[str, tuple[str, Any]] = {
    "wsj": ("noises, : / * and misspellings as in Kaldi's filters for WSJ", jiwer.SubstituteRegexes(_WSJ)),
    "noises": ("words in <> and []", jiwer.RemoveKaldiNonWords()),
    "case": ("case", jiwer.ToLowerCase()),
    "punctuation": ("punctuation", jiwer.RemovePunctuation()),
}
_WORTH_SAYING = 0.01


def wer(hypotheses: Hypotheses, references: References, scoring: Scoring) -> Scored:
    """Returns "wer", the word error rate: the edits of the corpus over the words of each example's first reference.

    0 is best; values above 1 are possible. If the references have no word at all, it is the number of inserted words.
    """
    value = _wer(hypotheses, references, scoring.wer_ignores)
    settings = {"wer_normalization": _normalization(scoring.wer_ignores)}
    notes = []
    missing = [name for name in ("case", "punctuation") if name not in scoring.wer_ignores]
    if missing and value - (looser := _wer(hypotheses, references, (*scoring.wer_ignores, *missing))) >= _WORTH_SAYING:
        wanted = ", ".join(f'"{name}"' for name in IGNORED if name in {*scoring.wer_ignores, *missing})
        notes.append(
            f"wer {value:.4g} ({value:.1%}) counts {' and '.join(missing)}; without it is {looser:.4g} ({looser:.1%}): "
            f"wer_ignores = [{wanted}] of the problem leaves them out"
        )
    if unspaced_tokenizer(scoring.target_space, (alternatives[0] for alternatives in references)):
        notes.append("wer: this language has no blanks between words, so that a word is a whole phrase; cer is the rate to read")
    return Scored({"wer": value}, settings, tuple(notes))


def cer(hypotheses: Hypotheses, references: References, scoring: Scoring) -> Scored:
    """Returns "cer", the character error rate: the corpus's edits over the characters, blanks too, of the first references."""
    firsts, outputs = _normalized(hypotheses, references, scoring.wer_ignores)
    value = float(jiwer.process_characters(firsts, outputs).cer)
    return Scored({"cer": value}, {"cer_normalization": _normalization(scoring.wer_ignores)})


def _wer(hypotheses: Hypotheses, references: References, ignores: tuple[str, ...]) -> float:
    return float(jiwer.process_words(*_normalized(hypotheses, references, ignores)).wer)


def _normalized(hypotheses: Hypotheses, references: References, ignores: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Returns the first references and the hypotheses, both without what `ignores` names."""
    steps = [transform for name, (_, transform) in IGNORED.items() if name in ignores]
    change = jiwer.Compose([*steps, jiwer.RemoveMultipleSpaces(), jiwer.Strip()])
    return change([alternatives[0] for alternatives in references]), change(list(hypotheses))


def _normalization(ignores: tuple[str, ...]) -> str:
    return f"ignored: {'; '.join(words for name, (words, _) in IGNORED.items() if name in ignores) or 'nothing'}"
