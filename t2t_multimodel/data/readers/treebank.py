"""Reads files of trees in Penn bracketing and yields sentences and linearised trees."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence

from t2t_multimodel.data import trees
from t2t_multimodel.data.normalization import normalize_spaces
from t2t_multimodel.data.readers import archives
from t2t_multimodel.data.trees import MalformedTree
from t2t_multimodel.problem import Example
from t2t_multimodel.utils.errors import DataError

# Lines between trees to skip: comments, the copyright header of the Penn Treebank, and SGML tags.
_COMMENT = re.compile(r"\s*(#|%%|\*x\*|<[^()]*>\s*$)")
_SHOWN = 60

NumberedTokens = list[tuple[int, str]]


def examples(member: archives.Member) -> Iterator[Example]:
    """Yields sentences and their linearised trees, without function tags and traces, in the file's order.

    A tree begins at a line that begins with a bracket; its further lines are indented more than the file's first tree. A line may
    hold several trees. Comments, headers and tags between trees are skipped. A damaged tree, or other text between trees, is an
    error example that names its line.

    Raises:
        DataError: the file is damaged.
    """
    for block in _blocks(archives.lines(member)):
        found, errors = _read_block(block)
        for tree in found:
            try:
                with archives.error_context("the tree"):
                    words, linearised = trees.linearise(trees.clean(trees.tree_of(tree)))
                    words = list(map(_without_blanks, words))
            except DataError as error:
                errors.append((error.line if isinstance(error, MalformedTree) else tree[0][0], _damaged(tree, str(error))))
                continue
            yield {"inputs": " ".join(words), "targets": linearised, "origin": f"line {tree[0][0]} of {member.origin}"}
        for line, reason in errors:
            yield {"error": DataError(f"line {line} of {member.origin}: {reason}")}


def _without_blanks(word: str) -> str:
    """Returns a word without the blanks that would split it when the sentence is normalized.

    Raises:
        ValueError: nothing is left of the word.
    """
    left = normalize_spaces(word).replace(" ", "")
    if not left:
        raise ValueError(f"the word {word!r} consists of blanks")
    return left


def _blocks(lines: Iterable[bytes]) -> Iterator[list[tuple[int, bytes]]]:
    """Yields blocks of non-empty lines with their numbers.

    A block begins at a tree that is indented no more than the first tree.
    """
    indent, block = -1, list[tuple[int, bytes]]()
    for number, line in enumerate(lines, 1):
        line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        left = line.lstrip()
        if left.startswith(b"("):
            indent = len(line) - len(left) if indent < 0 else indent
            if len(line) - len(left) <= indent and block:
                yield block
                block = []
        if left:
            block.append((number, line))
    if block:
        yield block


def _read_block(block: Sequence[tuple[int, bytes]]) -> tuple[list[NumberedTokens], list[tuple[int, str]]]:
    """Returns the tokens of each tree in a block, and the lines and reasons of errors.

    An error within brackets makes the whole block unusable.
    """
    found, tree, errors, depth = list[NumberedTokens](), NumberedTokens(), list[tuple[int, str]](), 0
    for number, content in block:
        try:
            line = archives.decoded(content, "the tree")
        except DataError as error:
            errors.append((number, str(error)))
            if depth:
                return [], errors
            continue
        if not depth and _COMMENT.match(line):
            continue
        outside = []
        for token in trees.tokens(line):
            if not depth and token not in "()":
                outside.append(token)
                continue
            if not depth and (token == ")" or (found and found[-1][-1][0] != number)):
                reason = "a bracket is closed that was not opened" if token == ")" else "an indented line behind a whole tree"
                return [], [*errors, (number, _damaged(found[-1] if found else [(number, token)], reason))]
            tree.append((number, token))
            depth += {"(": 1, ")": -1}.get(token, 0)
            if not depth:
                found.append(tree)
                tree = []
        if outside:
            errors.append((number, f"{' '.join(outside)[:_SHOWN]!r} stands outside of a tree; a line of comment begins with #"))
    return ([*found, tree] if tree else found), errors


def _damaged(tree: NumberedTokens, reason: str) -> str:
    return trees.damaged(" ".join(token for _, token in tree), reason)
