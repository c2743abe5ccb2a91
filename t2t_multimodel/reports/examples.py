"""Decoded dev examples for a report: pictures, sounds and sentences beside the right answers."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TypeVar

from t2t_multimodel.data.readers.sound.decode import decode_audio
from t2t_multimodel.decoding.predictor import bracketed
from t2t_multimodel.features import Audio, Image, Text, is_tree
from t2t_multimodel.problem import Problem
from t2t_multimodel.reports.page import Block, Card, Cards, Heading, Paragraph, Picture, Table
from t2t_multimodel.reports.pictures import enlarged, spectrogram
from t2t_multimodel.reports.scored_run import Run
from t2t_multimodel.runs.scoring import Decoded

PICTURES, SOUNDS, SENTENCES = 4, 2, 4
SENTENCES_TEXT = "Examples of dev, picked at random; outputs are decoded greedily. None of the inputs occurs in training."
_SEED = 3
T = TypeVar("T")


def example_blocks(run: Run, tmp_dir: Path) -> list[Block]:
    """A section for pictures, one for speech, one for each problem between texts; examples are picked at random from dev."""
    cards = {
        kind: [card for p in run.problems if isinstance(p.inputs, kind) for card in make(p, run, tmp_dir)] for kind, make in _MAKE
    }
    blocks: list[Block] = []
    for kind, title in ((Image, "Pictures"), (Audio, "Speech")):
        if cards[kind]:
            blocks += [Heading(title), Cards(cards[kind])]
    blocks += [Heading("Sentences"), Paragraph(SENTENCES_TEXT)]
    for problem in run.problems:
        if isinstance(problem.inputs, Text):
            blocks += [Heading(problem.name, level=3), sentences(problem, run.decoded[problem.name])]
    return blocks


def picture_cards(problem: Problem, run: Run, tmp_dir: Path) -> list[Card]:
    """Pictures of dev with their decoded captions or classes. Evaluation keeps the order of pictures."""
    decoded = run.decoded[problem.name]
    inputs = list(islice(problem.generate("dev", tmp_dir), len(decoded)))
    chosen = sample(list(zip(inputs, decoded, strict=True)), PICTURES)
    return [
        Card(Picture(f"{problem.name}-{i}", enlarged(raw["inputs"]), f"{problem.name}, example {i}"), answers(example))
        for i, (raw, example) in enumerate(chosen)
    ]


def sound_cards(problem: Problem, run: Run, tmp_dir: Path) -> list[Card]:
    """Spectrograms of dev with the decoded words. Sounds are found by their text; those whose text occurs twice are left out."""
    assert isinstance(problem.inputs, Audio)
    inputs = list(problem.generate("dev", tmp_dir))
    times = Counter(raw["targets"] for raw in inputs)
    sounds = {raw["targets"]: raw["inputs"] for raw in inputs if times[raw["targets"]] == 1}
    chosen = sample([example for example in run.decoded[problem.name] if example.references[0] in sounds], SOUNDS)
    cards = []
    for i, example in enumerate(chosen):
        wav = sounds[example.references[0]]
        samples = decode_audio(wav, problem.inputs.sample_rate, f"{problem.name} {i}").samples
        picture = Picture(
            f"{problem.name}-{i}", spectrogram(samples, problem.inputs.sample_rate), f"spectrogram of {problem.name} {i}"
        )
        cards.append(Card(picture, answers(example), wav))
    return cards


def sentences(problem: Problem, decoded: list[Decoded]) -> Table:
    """Input, output and right answer of a few examples; trees in brackets, with their words."""
    rows = []
    for example in sample(decoded, SENTENCES):
        texts = [example.output, example.references[0]]
        if is_tree(problem.targets):
            texts = [bracketed(example.inputs.split(), text) for text in texts]
        rows.append((example.inputs, *texts, verdict(example)))
    return Table(("input", "model", "reference", ""), rows)


def answers(example: Decoded) -> list[tuple[str, str]]:
    """What the model said, what is right, and whether they agree."""
    return [(f"model ({verdict(example)})", example.output or "(nothing)"), ("reference", example.references[0])]


def verdict(example: Decoded) -> str:
    """ "right" if the output is one of the references, else "wrong"."""
    return "right" if example.output in example.references else "wrong"


def sample(items: list[T], count: int) -> list[T]:
    """At most `count` of `items` in their order, picked at random but the same each time."""
    places = random.Random(_SEED).sample(range(len(items)), min(count, len(items)))
    return [items[place] for place in sorted(places)]


_MAKE = ((Image, picture_cards), (Audio, sound_cards))
