"""The rules by which examples are left out of a train split (`--clean`).

They never apply to dev and test, so that scores remain comparable.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from t2t_multimodel.features import Text
from t2t_multimodel.problem import Example, Problem
from t2t_multimodel.registry import unknown

# The name of each rule, and the examples that it leaves out.
RULES = {
    "empty": "a text without a character",
    "encoding": "control or replacement characters, and UTF-8 that was read as Latin-1",
    "long": "a text of more than 2,000 characters or 500 tokens",
    "ratio": "a pair of sentences of which one has over 3 times the other's tokens, and over 10 more",
    "overlap": "an example that is in dev or test too, case and blanks aside",
    "duplicates": "an example that came before, case and blanks aside",
}
_MAX_CHARACTERS, _MAX_TOKENS = 2000, 500
_MAX_RATIO, _RATIO_SLACK = 3, 10
# Control and replacement characters, and the characters that UTF-8 letters and punctuation of two or three bytes become when they
# are read as Latin-1 or cp1252.
_WRONG_ENCODING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffd\ud800-\udfff]|[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac")


def rules_of(text: str) -> frozenset[str]:
    """Returns the rules for the value of a flag: `all`, `none`, or names with commas between them.

    Raises:
        ValueError: a name is unknown; the message names the most similar rule.
    """
    names = list(RULES) if text == "all" else [name.strip() for name in text.split(",") if name.strip() not in ("", "none")]
    wrong = [name for name in names if name not in RULES]
    if wrong:
        raise ValueError(f"{unknown('rule', wrong[0], list(RULES))}; or all, or none")
    return frozenset(names)


def broken_rule(problem: Problem, example: Example, rules: frozenset[str]) -> str:
    """The rule of `rules` by which the texts of a raw example leave it out, or ""."""
    sides = ((problem.inputs, example.get("inputs")), (problem.targets, example.get("targets")))
    texts = [text for feature, text in sides if isinstance(feature, Text) and isinstance(text, str)]
    if "empty" in rules and not all(map(str.strip, texts)):
        return "empty"
    if "encoding" in rules and any(map(_WRONG_ENCODING.search, texts)):
        return "encoding"
    if "long" in rules and max(map(len, texts), default=0) > _MAX_CHARACTERS:
        return "long"
    return ""


def broken_token_rule(problem: Problem, tokens: dict[str, int], rules: frozenset[str]) -> str:
    """Returns the first of `rules` that leaves out an example because of its numbers of tokens; "" if none does.

    Args:
        tokens: the number of tokens of each text, by "inputs" and "targets".
    """
    if "long" in rules and max(tokens.values(), default=0) > _MAX_TOKENS:
        return "long"
    plain = [count for key, count in tokens.items() if getattr(problem, key).format == "plain"]
    if "ratio" in rules and len(plain) == 2:
        shorter, longer = sorted(plain)
        if longer > _MAX_RATIO * shorter and longer > shorter + _RATIO_SLACK:
            return "ratio"
    return ""


def fingerprint(inputs: Any, targets: Any) -> int:
    """Returns 64 bits that identify an example's content; texts that differ only in case and blanks have the same fingerprint."""
    digest = hashlib.blake2b(digest_size=8)
    for value in (inputs, targets):
        content = value if isinstance(value, bytes) else " ".join(str(value).lower().split()).encode(errors="replace")
        digest.update(b"%d:" % len(content) + content)
    return int.from_bytes(digest.digest(), "little")
