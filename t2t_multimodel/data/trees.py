"""Parse trees in Penn bracketing, and the linearised form a model reads and writes.

`(S (NP (DT the) (NN dog)) (VP (VBZ barks)))` is linearised as `(S (NP DT NN )NP (VP VBZ )VP )S`: "(X" opens a constituent, ")X"
closes it, and each part-of-speech tag stands for one word of the sentence, in order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from t2t_multimodel.utils.errors import DataError

if TYPE_CHECKING:  # nltk takes half a second to import, which scores and commands that read no treebank need not pay
    from nltk.tree import Tree

MAX_DEPTH = 200
_TOKEN = re.compile(r"[()]|[^\s()]+")
# How treebanks spell what people type: patterns and replacements, applied in this order. Python's `re` and TensorFlow's RE2 agree
# on them. Text in this spelling is not changed, and no blank is added or removed.
SPELLING = (
    (r"\\([/*])", r"\1"),
    (r"([/*])", r"\\\1"),
    (r"\(", "-LRB-"),
    (r"\)", "-RRB-"),
    (r"\[", "-LSB-"),
    (r"\]", "-RSB-"),
    (r"\{", "-LCB-"),
    (r"\}", "-RCB-"),
    ("\u201c", "``"),
    ("\u201d", "''"),
    ("\u2018", "`"),
    ("\u2019", "'"),
    (r'(^| )"([^"]*)"', r"\1``\2''"),
    (r'(^| |-L[RSC]B-)"', r"\1``"),
    ('"', "''"),
)


class Span(NamedTuple):
    """A constituent over the words from `start` up to, but not including, `end`."""

    label: str
    start: int
    end: int


class MalformedTree(DataError):
    """A damaged tree; `line` is the number of the line with the fault."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def read_tree(text: str) -> Tree:
    """Returns the tree that `text`, one tree in Penn bracketing, describes, without cleaning it.

    Raises:
        DataError: `text` is not one tree whose every bracket holds either words or further brackets.
    """
    found = [(number, token) for number, line in enumerate(text.split("\n"), 1) for token in tokens(line)]
    try:
        return tree_of(found)
    except MalformedTree as error:
        raise DataError(damaged(text, str(error))) from None


def tokens(line: str) -> list[str]:
    """Returns the brackets and the words between them. A backslash is a letter like any other."""
    return _TOKEN.findall(line)


def tree_of(numbered: Sequence[tuple[int, str]]) -> Tree:
    """Returns the tree of a sequence of tokens, each given with the number of its line.

    nltk has a reader too, but which words it accepts depends on nltk's version.

    Raises:
        MalformedTree: the tokens are not one tree whose every bracket holds either words or further brackets.
    """
    from nltk.tree import Tree

    top = Tree("", [])
    open_nodes = [top]
    opened = False  # whether the previous token is an opening bracket, which a label may follow
    for line, token in numbered:
        if token == "(":
            if len(open_nodes) == 1 and len(top):
                raise MalformedTree(line, "a second tree begins behind it")
            if len(open_nodes) > MAX_DEPTH:
                raise MalformedTree(line, f"its brackets are more than {MAX_DEPTH} deep")
            open_nodes[-1].append(Tree("", []))
            open_nodes.append(open_nodes[-1][-1])
        elif len(open_nodes) == 1:
            raise MalformedTree(line, "a closing bracket too many" if token == ")" else f"{token!r} is outside of its brackets")
        elif token == ")":
            _check_node(open_nodes.pop(), line)
        elif opened:
            open_nodes[-1].set_label(token)
        else:
            open_nodes[-1].append(token)
        opened = token == "("
    if not len(top):
        raise MalformedTree(1, "there is no bracket")
    if len(open_nodes) > 1:
        raise MalformedTree(numbered[0][0], f"{len(open_nodes) - 1} of its brackets are not closed")
    return top[0]


def _check_node(node: Tree, line: int) -> None:
    """Raises a MalformedTree unless a closed bracket holds either words with a tag, or further brackets."""
    words = sum(isinstance(child, str) for child in node)
    if not len(node):
        raise MalformedTree(line, f"({node.label()} ) holds nothing")
    if words not in (0, len(node)):
        raise MalformedTree(line, f"({node.label()} ...) holds both words and brackets")
    if words and not node.label():
        raise MalformedTree(line, f"the word {node[0]!r} has no part-of-speech tag")


def clean(tree: Tree) -> Tree:
    """Returns a copy of a tree, cleaned as is usual for parsing.

    Removed are the empty outer bracket, function tags and indices (`NP-SBJ-1=2` becomes `NP`), alternative labels but for the
    first (`ADVP|PRT`), and traces together with constituents that they leave empty. `-LRB-` and similar labels stay. Several
    words under one tag become several leaves with that tag.

    Raises:
        DataError: no word is left.
    """
    from nltk.tree import Tree

    children = _clean_children(tree)
    if not children:
        raise DataError("it has no words, only traces")
    if len(children) == 1 and (not tree.label() or _is_leaf(tree)):
        return children[0]
    return Tree(_clean_label(tree.label()) or "TOP", children)


def linearise(tree: Tree) -> tuple[list[str], str]:
    """Returns the words and the linearised form of a tree that `clean` returned."""
    words: list[str] = []
    symbols: list[str] = []

    def visit(node: Tree) -> None:
        if _is_leaf(node):
            words.append(node[0])
            symbols.append(node.label())
            return
        symbols.append("(" + node.label())
        for child in node:
            visit(child)
        symbols.append(")" + node.label())

    visit(tree)
    return words, " ".join(symbols)


def treebank_spelling(sentence: str) -> str:
    """A sentence with single blanks as treebanks write it: brackets as -LRB- and the like, quotes as `` and '', \\/ and \\*."""
    for pattern, replacement in SPELLING:
        sentence = re.sub(pattern, replacement, sentence)
    return sentence


def typed_words(sentence: str, spelled: Sequence[str]) -> list[str]:
    """Returns the words of a tree as the user typed them in `sentence`.

    Args:
        sentence: the words as typed.
        spelled: the first words of `sentence` in a treebank's spelling. If the last one was cut off, it is returned as it is
            spelled.
    """
    pairs = zip(sentence.split(), treebank_spelling(sentence).split(), strict=True)
    words = [typed if own == word else word for (typed, own), word in zip(pairs, spelled, strict=False)]
    return [*words, *spelled[len(words) :]]


def restore(words: Sequence[str], linearised: str) -> Tree | None:
    """Returns the tree that `linearise` turns into `linearised`.

    None if `linearised` is no well-formed tree over exactly these words.
    """
    from nltk.tree import Tree

    if not well_formed(linearised, len(words)):
        return None
    remaining = iter(words)
    open_nodes = [Tree("", [])]
    for symbol in linearised.split():
        if symbol.startswith("("):
            open_nodes.append(Tree(symbol[1:], []))
        elif symbol.startswith(")"):
            closed = open_nodes.pop()
            open_nodes[-1].append(closed)
        else:
            open_nodes[-1].append(Tree(symbol, [next(remaining)]))
    return open_nodes[0][0]


def well_formed(linearised: str, num_words: int) -> bool:
    """Returns whether `linearised` is one tree over `num_words` words.

    It has one root, each bracket is closed by its own label, and no bracket is empty.
    """
    parsed = spans(linearised)
    return parsed is not None and len(parsed[0]) == num_words


def spans(linearised: str) -> tuple[list[str], list[Span]] | None:
    """Returns the part-of-speech tags and the constituents, innermost first, of a linearised tree.

    None if it is not well-formed.
    """
    tags: list[str] = []
    found: list[Span] = []
    open_brackets: list[tuple[str, int]] = []
    roots = 0
    for symbol in linearised.split():
        roots += not open_brackets
        if symbol.startswith("("):
            open_brackets.append((symbol[1:], len(tags)))
        elif not symbol.startswith(")"):
            tags.append(symbol)
        elif not open_brackets or not symbol[1:]:
            return None
        else:
            label, start = open_brackets.pop()
            if label != symbol[1:] or start == len(tags):
                return None
            found.append(Span(label, start, len(tags)))
    return (tags, found) if roots == 1 and not open_brackets else None


def _is_leaf(node: Tree) -> bool:
    return isinstance(node[0], str)


def _clean_label(label: str) -> str:
    return re.split(r"[-=|]", label, maxsplit=1)[0] or label


def _clean_children(node: Tree) -> list[Tree]:
    from nltk.tree import Tree

    if node.label() == "-NONE-":
        return []
    if _is_leaf(node):
        return [Tree(_clean_label(node.label()), [word]) for word in node]
    kept = []
    for child in node:
        grandchildren = _clean_children(child)
        if grandchildren and child.label() and not _is_leaf(child):
            kept.append(Tree(_clean_label(child.label()), grandchildren))
        else:
            kept += grandchildren
    return kept


def damaged(text: str, reason: str) -> str:
    """Returns the error message for a text that is no tree; it shows how the text begins."""
    beginning = text if len(text) <= 60 else text[:60] + "..."
    expected = "(S (NP (NN dogs)) (VP (VBP bark)))"
    return f"damaged tree {' '.join(beginning.split())!r}: {reason}; expected Penn bracketing as {expected}"
