"""Sentences of the mini world: their meaning, drawn at random, and the English texts of captions and speech.

`mini_english`, `mini_german`, `mini_french` and `mini_spanish` write a `Sentence` in their language. Within each language
different meanings give different sentences, so that every translation has one right answer in either direction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .mini_world import HELD_OUT, Scene, Thing, draw_things, pick

FRAMES = ("is", "there", "lies", "see", "know", "relative", "question")
RELATIONS = ("above", "below", "left", "right", "next")
PLURALS = {shape: f"{shape}s" for shape in ("circle", "square", "triangle", "star", "line")} | {"cross": "crosses"}
_FRAME_WEIGHTS = (0.18, 0.16, 0.10, 0.14, 0.14, 0.14, 0.14)
_SPOKEN = (
    "a {one}",
    "two {many}",
    "find the {one}",
    "hide the {one}",
    "show me a {one}",
    "where is the {one}",
    "take two {many}",
    "the {shape} is {size} and {colour}",
    "{one} and {other}",
)


class Phrase(NamedTuple):
    """The mention of a thing. `determiner` is "the", "a" or "two"; `sized` says whether its size is mentioned."""

    thing: Thing
    determiner: str
    sized: bool

    @property
    def plural(self) -> bool:
        """Returns whether the phrase is plural."""
        return self.determiner == "two"


class Sentence(NamedTuple):
    """The meaning of a sentence: its frame, its relation ("" for the frame "relative"), and its two or three things."""

    frame: str
    relation: str
    phrases: tuple[Phrase, ...]


def draw_sentence(rng: np.random.Generator, split: str) -> Sentence:
    """Returns a random sentence; in "dev" it mentions a held-out thing with its size and colour."""
    frame = pick(rng, FRAMES, _FRAME_WEIGHTS)
    things = draw_things(rng, split, 3 if frame == "lies" else 2)
    sized = 0.3 if frame == "lies" else 0.7
    subject = (0.0, 0.75, 0.25) if frame == "there" else (0.6, 0.2, 0.2)
    weights = (subject, (0.7, 0.2, 0.1), (0.7, 0.2, 0.1))
    phrases = tuple(
        Phrase(thing, pick(rng, ("the", "a", "two"), weights[i]), thing in HELD_OUT or bool(rng.random() < sized))
        for i, thing in enumerate(things)
    )
    return Sentence(frame, "" if frame == "relative" else pick(rng, RELATIONS), phrases)


def punctuate(text: str, sentence: Sentence, question_mark: str = "?") -> str:
    """Returns the text with a capital letter at its start and a full stop or `question_mark` at its end."""
    return text[0].upper() + text[1:] + (question_mark if sentence.frame == "question" else ".")


def caption(scene: Scene) -> str:
    """Returns the one right caption of a lined-up scene: its things from left to right, or from top to bottom."""
    names = [f"a {' '.join(placed.thing)}" for placed in scene.placed]
    if len(names) == 3:
        return f"from left to right {' then '.join(names)}"
    return (" above " if scene.arrangement == "column" else " left of ").join(names)


def draw_spoken(rng: np.random.Generator, split: str) -> str:
    """Returns a random English phrase of four to six words."""
    thing = draw_things(rng, split, 1)[0]
    other = draw_things(rng, "train", 1)[0]
    return pick(rng, _SPOKEN).format(
        one=" ".join(thing),
        many=f"{thing.size} {thing.colour} {PLURALS[thing.shape]}",
        other=f"{other.colour} {other.shape}",
        **thing._asdict(),
    )
