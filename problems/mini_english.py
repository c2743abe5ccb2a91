"""English sentences of the mini world and their parse trees in the Penn Treebank's style."""

from __future__ import annotations

from .mini_language import PLURALS, Phrase, Sentence, punctuate

# (label, child, child, ...); a leaf is (part of speech, word).
Tree = tuple
_VERBS = {"is": ("is", "are"), "lies": ("lies", "lie"), "touches": ("touches", "touch")}


def tree(sentence: Sentence) -> Tree:
    """Returns the sentence's parse tree. The phrase of place attaches to the noun after "there is" and to the verb elsewhere."""
    frame, relation, phrases = sentence
    subject = phrases[0]
    if frame == "relative":
        return _relative(subject, phrases[1])
    where, who = _where(relation, phrases[1]), _noun_phrase(subject)
    if frame == "there":
        return ("S", ("NP", ("EX", "there")), ("VP", _verb("is", subject), ("NP", who, where)))
    if frame == "see":
        return ("S", ("NP", ("PRP", "I")), ("VP", ("VBP", "see"), who, where))
    if frame == "question":
        return ("SQ", _verb("is", subject), who, where)
    if frame == "lies":
        touches = ("VP", _verb("touches", subject), _noun_phrase(phrases[2]))
        return ("S", who, ("VP", ("VP", _verb("lies", subject), where), ("CC", "and"), touches))
    clause = ("S", who, ("VP", _verb("is", subject), where))
    if frame == "know":
        return ("S", ("NP", ("PRP", "I")), ("VP", ("VBP", "know"), ("SBAR", ("IN", "that"), clause)))
    return clause


def words(node: Tree) -> list[str]:
    """Returns the words of a tree, in order."""
    if isinstance(node[1], str):
        return [node[1]]
    return [word for child in node[1:] for word in words(child)]


def linearise(node: Tree) -> str:
    """Returns the tree without its words, like "(S (NP DT NN )NP (VP VBZ )VP )S"."""
    if isinstance(node[1], str):
        return node[0]
    return " ".join([f"({node[0]}", *map(linearise, node[1:]), f"){node[0]}"])


def english(sentence: Sentence) -> str:
    """Returns the sentence in English."""
    return punctuate(" ".join(words(tree(sentence))), sentence)


def _relative(subject: Phrase, other: Phrase) -> Tree:
    touches = ("VP", _verb("touches", subject), _noun_phrase(other))
    who = ("NP", _noun_phrase(subject, coloured=False), ("SBAR", ("WHNP", ("WDT", "that")), ("S", touches)))
    return ("S", who, ("VP", _verb("is", subject), ("ADJP", ("JJ", subject.thing.colour))))


def _noun_phrase(phrase: Phrase, coloured: bool = True) -> Tree:
    thing = phrase.thing
    noun = ("NNS", PLURALS[thing.shape]) if phrase.plural else ("NN", thing.shape)
    adjectives = [thing.size] * phrase.sized + [thing.colour] * coloured
    return ("NP", ("CD" if phrase.plural else "DT", phrase.determiner), *(("JJ", word) for word in adjectives), noun)


def _where(relation: str, phrase: Phrase) -> Tree:
    place = _noun_phrase(phrase)
    if relation in ("left", "right"):
        return ("ADVP", ("RB", relation), ("PP", ("IN", "of"), place))
    if relation == "next":
        return ("ADJP", ("JJ", "next"), ("PP", ("TO", "to"), place))
    return ("PP", ("IN", relation), place)


def _verb(name: str, subject: Phrase) -> Tree:
    return ("VBP" if subject.plural else "VBZ", _VERBS[name][subject.plural])
