"""Spanish sentences of the mini world: agreement, colours and sizes after the noun, contraction, ser and estar."""

from __future__ import annotations

from .mini_language import Phrase, Sentence, punctuate

# Gender (0 masculine, 1 feminine), singular, plural.
_NOUNS = {
    "circle": (0, "círculo", "círculos"),
    "square": (0, "cuadrado", "cuadrados"),
    "triangle": (0, "triángulo", "triángulos"),
    "cross": (1, "cruz", "cruces"),
    "star": (1, "estrella", "estrellas"),
    "line": (1, "línea", "líneas"),
}
# Masculine, feminine; the plural adds an s, or es after a consonant.
_ADJECTIVES = {
    "big": ("grande", "grande"),
    "small": ("pequeño", "pequeña"),
    "red": ("rojo", "roja"),
    "green": ("verde", "verde"),
    "blue": ("azul", "azul"),
    "yellow": ("amarillo", "amarilla"),
    "white": ("blanco", "blanca"),
    "purple": ("morado", "morada"),
}
_ARTICLES = {"the": ("el", "la"), "a": ("un", "una"), "two": ("dos", "dos")}
_WHERE = {"above": "encima", "below": "debajo", "left": "a la izquierda", "right": "a la derecha", "next": "al lado"}
_VERBS = {
    "is": ("es", "son"),
    "stands": ("está", "están"),
    "lies": ("se encuentra", "se encuentran"),
    "touches": ("toca", "tocan"),
}


def spanish(sentence: Sentence) -> str:
    """Returns the sentence in Spanish."""
    return ("¿" if sentence.frame == "question" else "") + punctuate(_clause(sentence), sentence)


def _clause(sentence: Sentence) -> str:
    frame, relation, phrases = sentence
    subject = phrases[0]
    who = _noun_phrase(subject)
    if frame == "relative":
        touched = f"{_verb('touches', subject)} {_noun_phrase(phrases[1])}"
        colour = _agree(subject.thing.colour, subject)
        return f"{_noun_phrase(subject, coloured=False)} que {touched} {_verb('is', subject)} {colour}"
    where, stands = f"{_WHERE[relation]} {_of(_noun_phrase(phrases[1]))}", _verb("stands", subject)
    if frame == "there":
        return f"hay {who} {where}"
    if frame == "see":
        return f"veo {who} {where}"
    if frame == "question":
        return f"{stands} {who} {where}"
    if frame == "lies":
        return f"{who} {_verb('lies', subject)} {where} y {_verb('touches', subject)} {_noun_phrase(phrases[2])}"
    if frame == "know":
        return f"sé que {who} {stands} {where}"
    return f"{who} {stands} {where}"


def _noun_phrase(phrase: Phrase, coloured: bool = True) -> str:
    thing = phrase.thing
    gender, singular, plural = _NOUNS[thing.shape]
    adjectives = [thing.colour] * coloured + [thing.size] * phrase.sized
    noun = plural if phrase.plural else singular
    return " ".join([_ARTICLES[phrase.determiner][gender], noun, *(_agree(word, phrase) for word in adjectives)])


def _agree(adjective: str, phrase: Phrase) -> str:
    word = _ADJECTIVES[adjective][_NOUNS[phrase.thing.shape][0]]
    if not phrase.plural:
        return word
    return word + ("s" if word[-1] in "aeo" else "es")


def _of(noun_phrase: str) -> str:
    return f"del {noun_phrase.removeprefix('el ')}" if noun_phrase.startswith("el ") else f"de {noun_phrase}"


def _verb(name: str, subject: Phrase) -> str:
    return _VERBS[name][subject.plural]
