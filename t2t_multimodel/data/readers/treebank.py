"""Files of trees in Penn bracketing: sentences and linearised trees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from t2t_multimodel.data import trees
from t2t_multimodel.data.normalization import normalize_spaces
from t2t_multimodel.data.readers import archives
from t2t_multimodel.problem import Example
from t2t_multimodel.utils.errors import DataError


def examples(member: archives.Member) -> Iterator[Example]:
    """Sentences and their linearised trees, without function tags and traces, in the file's order.

    A tree begins where a line begins with a bracket; its further lines are indented. A damaged tree is an error example.

    Raises:
        DataError: the file is damaged.
    """
    for number, content in _split(archives.lines(member)):
        try:
            with archives.error_context("the tree"):
                words, linearised = trees.linearise(trees.clean(trees.read_tree(archives.decoded(content, "the tree"))))
                words = list(map(_without_blanks, words))
        except DataError as error:
            yield {"error": DataError(f"line {number} of {member.origin}: {error}")}
            continue
        yield {"inputs": " ".join(words), "targets": linearised, "origin": f"line {number} of {member.origin}"}


def _without_blanks(word: str) -> str:
    """A word that stays one when the sentence is normalized; ValueError if nothing is left of it."""
    left = normalize_spaces(word).replace(" ", "")
    if not left:
        raise ValueError(f"the word {word!r} consists of blanks")
    return left


def _split(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each tree and its first line's number."""
    start, tree = 0, list[bytes]()
    for number, line in enumerate(lines, 1):
        if line.startswith(b"(") and tree:
            yield start, b"\n".join(tree)
            tree = []
        if line.strip():
            start = start if tree else number
            tree.append(line)
    if tree:
        yield start, b"\n".join(tree)
