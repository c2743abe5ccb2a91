"""German sentences of the mini world: three genders, three cases, weak, mixed and strong adjective endings."""

from __future__ import annotations

from .mini_language import Phrase, Sentence, punctuate

# Gender, singular, plural, dative plural.
_NOUNS = {
    "circle": ("m", "Kreis", "Kreise", "Kreisen"),
    "square": ("n", "Quadrat", "Quadrate", "Quadraten"),
    "triangle": ("n", "Dreieck", "Dreiecke", "Dreiecken"),
    "cross": ("n", "Kreuz", "Kreuze", "Kreuzen"),
    "star": ("m", "Stern", "Sterne", "Sternen"),
    "line": ("f", "Linie", "Linien", "Linien"),
}
_ADJECTIVES = {
    "big": "groß",
    "small": "klein",
    "red": "rot",
    "green": "grün",
    "blue": "blau",
    "yellow": "gelb",
    "white": "weiß",
    "purple": "violett",
}
# By case, then gender: the article and the ending of the adjectives after it.
_ARTICLES: dict[str, dict[str, dict[str, tuple[str, str]]]] = {
    "the": {
        "nominative": {"m": ("der", "e"), "n": ("das", "e"), "f": ("die", "e")},
        "accusative": {"m": ("den", "en"), "n": ("das", "e"), "f": ("die", "e")},
        "dative": {"m": ("dem", "en"), "n": ("dem", "en"), "f": ("der", "en")},
    },
    "a": {
        "nominative": {"m": ("ein", "er"), "n": ("ein", "es"), "f": ("eine", "e")},
        "accusative": {"m": ("einen", "en"), "n": ("ein", "es"), "f": ("eine", "e")},
        "dative": {"m": ("einem", "en"), "n": ("einem", "en"), "f": ("einer", "en")},
    },
}
_WHERE = {"above": "über", "below": "unter", "left": "links von", "right": "rechts von", "next": "neben"}
_VERBS = {"is": ("ist", "sind"), "lies": ("liegt", "liegen"), "touches": ("berührt", "berühren")}
_RELATIVE_PRONOUNS = {"m": "der", "n": "das", "f": "die"}


def german(sentence: Sentence) -> str:
    """Returns the sentence in German. "There is" begins with the phrase of place; a subordinate clause ends with its verb."""
    return punctuate(_clause(sentence), sentence)


def _clause(sentence: Sentence) -> str:
    frame, relation, phrases = sentence
    subject = phrases[0]
    who, be = _noun_phrase(subject, "nominative"), _verb("is", subject)
    if frame == "relative":
        return _relative(subject, phrases[1])
    where = _where(relation, phrases[1])
    if frame == "there":
        return f"{where} {be} {who}"
    if frame == "see":
        return f"ich sehe {_noun_phrase(subject, 'accusative')} {where}"
    if frame == "question":
        return f"{be} {who} {where}"
    if frame == "lies":
        other = _noun_phrase(phrases[2], "accusative")
        return f"{who} {_verb('lies', subject)} {where} und {_verb('touches', subject)} {other}"
    if frame == "know":
        return f"ich weiß, dass {who} {where} {be}"
    return f"{who} {be} {where}"


def _relative(subject: Phrase, other: Phrase) -> str:
    who, touched = _noun_phrase(subject, "nominative", coloured=False), _noun_phrase(other, "accusative")
    pronoun = "die" if subject.plural else _RELATIVE_PRONOUNS[_NOUNS[subject.thing.shape][0]]
    colour = _ADJECTIVES[subject.thing.colour]
    return f"{who}, {pronoun} {touched} {_verb('touches', subject)}, {_verb('is', subject)} {colour}"


def _noun_phrase(phrase: Phrase, case: str, coloured: bool = True) -> str:
    thing = phrase.thing
    gender, singular, plural, dative_plural = _NOUNS[thing.shape]
    if phrase.plural:
        article, ending, noun = ("zwei", "en", dative_plural) if case == "dative" else ("zwei", "e", plural)
    else:
        (article, ending), noun = _ARTICLES[phrase.determiner][case][gender], singular
    adjectives = [thing.size] * phrase.sized + [thing.colour] * coloured
    return " ".join([article, *(_ADJECTIVES[word] + ending for word in adjectives), noun])


def _where(relation: str, phrase: Phrase) -> str:
    return f"{_WHERE[relation]} {_noun_phrase(phrase, 'dative')}".replace("von dem ", "vom ")


def _verb(name: str, subject: Phrase) -> str:
    return _VERBS[name][subject.plural]
