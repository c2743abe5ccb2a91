"""The built-in problems, "mini8": eight problems about a small world of coloured shapes. Nothing is downloaded.

Two more problems can be added to a model that has learned mini8 (`mm-trainer --warm_start`): "mini_defr" translates between two
languages that the model knows, "mini_enes" into one that it does not.

All examples come from a fixed seed. Each input has one right answer. The dev splits ask for things that training never shows (see
`mini_world`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from t2t_multimodel.features import Audio, Image, Label, Text
from t2t_multimodel.problem import Example, Problem, groups, problems

from . import mini_english
from .mini_french import french
from .mini_german import german
from .mini_language import Sentence, caption, draw_sentence, draw_spoken
from .mini_media import SAMPLE_RATE, render, speak
from .mini_spanish import spanish
from .mini_world import PIXELS, SHAPES, draw_lined_up, draw_scattered, generator

_TRAIN_EXAMPLES = {
    "mini_class": 6000,
    "mini_caption": 16000,
    "mini_speech": 4000,
    "mini_parse": 6000,
    "mini_ende": 8000,
    "mini_enfr": 8000,
    "mini_defr": 8000,
    "mini_enes": 8000,
}
_DEV_EXAMPLES = 300
_SOURCE = "made by this project's own generator from a fixed seed; no licence needed"


def _classes(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields pictures and the shape of the one big thing in each."""
    rng = generator("mini_class", split)
    for _, shape in zip(range(_size("mini_class", split)), itertools.cycle(SHAPES), strict=False):
        yield {"inputs": render(draw_scattered(rng, split, shape), rng), "targets": shape}


def _captions(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields pictures and their English captions."""
    rng = generator("mini_caption", split)
    for _ in range(_size("mini_caption", split)):
        scene = draw_lined_up(rng, split)
        yield {"inputs": render(scene, rng), "targets": caption(scene)}


def _speech(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields spoken English phrases and their texts."""
    rng = generator("mini_speech", split)
    for _ in range(_size("mini_speech", split)):
        text = draw_spoken(rng, split)
        yield {"inputs": speak(text, rng), "targets": text}


def _trees(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields English sentences and their parse trees."""
    for sentence in _sentences("mini_parse", split):
        tree = mini_english.tree(sentence)
        yield {"inputs": " ".join(mini_english.words(tree)), "targets": mini_english.linearise(tree)}


def _translations(
    name: str, say: Callable[[Sentence], str], read: Callable[[Sentence], str] = mini_english.english
) -> Callable[[str, Path], Iterable[Example]]:
    def generate(split: str, tmp_dir: Path) -> Iterator[Example]:
        """Yields sentences and their translations."""
        for sentence in _sentences(name, split):
            yield {"inputs": read(sentence), "targets": say(sentence)}

    return generate


def _sentences(problem: str, split: str) -> Iterator[Sentence]:
    """Yields different sentences, as many as the split has examples."""
    rng = generator(problem, split)
    seen: set[str] = set()
    while len(seen) < _size(problem, split):
        sentence = draw_sentence(rng, split)
        text = mini_english.english(sentence)
        if text not in seen:
            seen.add(text)
            yield sentence


def _size(problem: str, split: str) -> int:
    return _TRAIN_EXAMPLES[problem] if split == "train" else _DEV_EXAMPLES


_PICTURE = Image(height=PIXELS, width=PIXELS)
_CLASS = Problem("mini_class", _PICTURE, Label(SHAPES, "mini_shapes"), "to_class", _classes, source=_SOURCE)
_CAPTION = Problem("mini_caption", _PICTURE, Text(), "to_english", _captions, ("cider",), source=_SOURCE)
_SPEECH = Problem("mini_speech", Audio(SAMPLE_RATE), Text(), "to_english", _speech, ("wer",), source=_SOURCE)
_PARSE = Problem("mini_parse", Text(), Text("tree"), "to_parse_tree", _trees, ("parse_f1",), source=_SOURCE)
_ENDE = Problem("mini_ende", Text(), Text(), "to_german", _translations("mini_ende", german), ("bleu",), source=_SOURCE)
_ENFR = Problem("mini_enfr", Text(), Text(), "to_french", _translations("mini_enfr", french), ("bleu",), source=_SOURCE)
_DEFR = Problem("mini_defr", Text(), Text(), "to_french", _translations("mini_defr", french, german), ("bleu",), source=_SOURCE)
_ENES = Problem("mini_enes", Text(), Text(), "to_spanish", _translations("mini_enes", spanish), ("bleu",), source=_SOURCE)
_ALL = (_CLASS, _CAPTION, _SPEECH, _PARSE, _ENDE, _ENDE.reverse("to_english"), _ENFR, _ENFR.reverse("to_english"))

for _problem in (*_ALL, _DEFR, _ENES):
    problems.register(_problem.name, _problem)
groups.register("mini8", tuple(problem.name for problem in _ALL))
