"""French sentences of the mini world: agreement, sizes before and colours after the noun, elision, contraction."""

from __future__ import annotations

from .mini_language import Phrase, Sentence, punctuate

# Gender (0 masculine, 1 feminine), singular, plural.
_NOUNS = {
    "circle": (0, "cercle", "cercles"),
    "square": (0, "carré", "carrés"),
    "triangle": (0, "triangle", "triangles"),
    "cross": (1, "croix", "croix"),
    "star": (1, "étoile", "étoiles"),
    "line": (1, "ligne", "lignes"),
}
# Masculine, feminine; the plural adds an s.
_ADJECTIVES = {
    "big": ("grand", "grande"),
    "small": ("petit", "petite"),
    "red": ("rouge", "rouge"),
    "green": ("vert", "verte"),
    "blue": ("bleu", "bleue"),
    "yellow": ("jaune", "jaune"),
    "white": ("blanc", "blanche"),
    "purple": ("violet", "violette"),
}
_ARTICLES = {"the": ("le", "la"), "a": ("un", "une"), "two": ("deux", "deux")}
_WHERE = {"above": "au-dessus", "below": "au-dessous", "left": "à gauche", "right": "à droite", "next": "à côté"}
_VERBS = {"is": ("est", "sont"), "lies": ("se trouve", "se trouvent"), "touches": ("touche", "touchent")}


def french(sentence: Sentence) -> str:
    """Returns the sentence in French."""
    return punctuate(_clause(sentence), sentence, question_mark=" ?")


def _clause(sentence: Sentence) -> str:
    frame, relation, phrases = sentence
    subject = phrases[0]
    who, be = _noun_phrase(subject), _verb("is", subject)
    if frame == "relative":
        touched = f"{_verb('touches', subject)} {_noun_phrase(phrases[1])}"
        return f"{_noun_phrase(subject, coloured=False)} qui {touched} {be} {_agree(subject.thing.colour, subject)}"
    where = f"{_WHERE[relation]} {_of(_noun_phrase(phrases[1]))}"
    if frame == "there":
        return f"il y a {who} {where}"
    if frame == "see":
        return f"je vois {who} {where}"
    if frame == "question":
        return f"est-ce {_that(who)} {be} {where}"
    if frame == "lies":
        return f"{who} {_verb('lies', subject)} {where} et {_verb('touches', subject)} {_noun_phrase(phrases[2])}"
    if frame == "know":
        return f"je sais {_that(who)} {be} {where}"
    return f"{who} {be} {where}"


def _noun_phrase(phrase: Phrase, coloured: bool = True) -> str:
    thing = phrase.thing
    gender, singular, plural = _NOUNS[thing.shape]
    size = [_agree(thing.size, phrase)] * phrase.sized
    colour = [_agree(thing.colour, phrase)] * coloured
    rest = " ".join([*size, plural if phrase.plural else singular, *colour])
    if phrase.determiner == "the" and rest.startswith("é"):
        return f"l'{rest}"
    return f"{_ARTICLES[phrase.determiner][gender]} {rest}"


def _agree(adjective: str, phrase: Phrase) -> str:
    return _ADJECTIVES[adjective][_NOUNS[phrase.thing.shape][0]] + "s" * phrase.plural


def _of(noun_phrase: str) -> str:
    if noun_phrase.startswith("le "):
        return f"du {noun_phrase.removeprefix('le ')}"
    return f"d'{noun_phrase}" if noun_phrase.startswith("un") else f"de {noun_phrase}"


def _that(noun_phrase: str) -> str:
    return f"qu'{noun_phrase}" if noun_phrase.startswith("un") else f"que {noun_phrase}"


def _verb(name: str, subject: Phrase) -> str:
    return _VERBS[name][subject.plural]
