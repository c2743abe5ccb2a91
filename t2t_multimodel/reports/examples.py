"""The examples in a report: pictures, sounds, sentences and trees of dev with the model's outputs, wrong ones first."""

from __future__ import annotations

import difflib
import random
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from t2t_multimodel.data.vocabulary import FILE_NAME, Vocabulary
from t2t_multimodel.decoding.dev_examples import as_text, dev_records, wav_file
from t2t_multimodel.decoding.predictor import bracketed
from t2t_multimodel.evaluation.outputs import Confusions, Decoded
from t2t_multimodel.features import Audio, Image, Label, ProblemSpec, Text, is_tree
from t2t_multimodel.problem import Problem
from t2t_multimodel.reports.attention_drawing import draw_attention, draw_grids
from t2t_multimodel.reports.page import Block, Card, Cards, Cell, Drawing, Fold, Heading, Marked, Paragraph, Picture, Table
from t2t_multimodel.reports.pictures import enlarged, spectrogram
from t2t_multimodel.reports.scored_run import Run
from t2t_multimodel.reports.tree_drawing import draw_tree

PICTURES, SOUNDS, SENTENCES, TREES = 4, 2, 4, 2
EXPLAINED = (
    "Examples of dev, picked at random, wrong ones first; outputs are decoded greedily. None of the inputs occurs in training."
)
LOOKS = (
    "The first examples of dev: how much each token of the output reads each position of the input, by the decoder's last "
    "attention. The darker, the more. A sound's positions go from its beginning to its end; a picture's are a grid per token."
)
NOTHING = "(nothing)"
_SEED = 3
_STRIP = (
    ("See", lambda p: isinstance(p.inputs, Image) and isinstance(p.targets, Text)),
    ("See", lambda p: isinstance(p.inputs, Image)),
    ("Hear", lambda p: isinstance(p.inputs, Audio)),
    ("Read", lambda p: isinstance(p.inputs, Text) and not is_tree(p.targets)),
    ("Parse", lambda p: is_tree(p.targets)),
)
T = TypeVar("T")


def what_it_does(problem: Problem | ProblemSpec, others: Mapping[str, ProblemSpec] | None = None) -> str:
    """Returns a sentence that describes the problem, as "Says in English what a picture shows.".

    Args:
        problem: the problem.
        others: the problems beside it, by name. A reversed translation then names the language that its forward one gives.
    """
    language = _language(problem)
    if isinstance(problem.targets, Label):
        thing = {"image": "a picture", "audio": "a recording"}.get(problem.inputs.kind, "a text")
        return f"Says to which of {len(problem.targets.classes)} classes {thing} belongs."
    if is_tree(problem.targets):
        return "Draws the parse tree of a sentence."
    if isinstance(problem.inputs, Image):
        return f"Says in {language} what a picture shows."
    if isinstance(problem.inputs, Audio):
        return f"Writes down in {language} what is said."
    forward = (others or {}).get(problem.name.removesuffix("_rev"))
    source = f"from {_language(forward)} " if forward and forward.name != problem.name else ""
    return f"Translates a sentence {source}into {language}."


def _language(problem: Problem | ProblemSpec) -> str:
    return problem.target_space.removeprefix("to_").replace("_", " ").capitalize()


def example_blocks(run: Run, data_dir: Path) -> tuple[list[Block], list[Block]]:
    """Returns the strip at the top of the page, with an example per kind of problem, and the sections, one per problem.

    Args:
        data_dir: the folder of the records, from which pictures and sounds are read, and of the vocabulary.
    """
    run = run._replace(decoded={problem.name: shown(problem, run.decoded[problem.name]) for problem in run.problems})
    cards = {problem.name: _cards(problem, run, data_dir) for problem in run.problems}
    strip: dict[str, Card] = {}
    for title, belongs in _STRIP:
        found = [card for problem in run.problems if belongs(problem) for card in cards[problem.name]]
        if found and title not in strip:
            best = max(found, key=lambda card: (bool(card.pictures), bool(card.right)))
            strip[title] = best._replace(title=title)
    sections: list[Block] = [Heading("What it says"), Paragraph(EXPLAINED)]
    for problem in run.problems:
        decoded = run.decoded[problem.name]
        right = sum(is_right(example) for example in decoded)
        sections += [Heading(problem.name, level=3), Paragraph(f"{what_it_does(problem)} {right} of {len(decoded)} are right.")]
        if isinstance(problem.inputs, Text) and not is_tree(problem.targets):
            sections.append(sentences(decoded))
        else:
            sections.append(Cards(cards[problem.name]))
        if isinstance(problem.targets, Label):
            sections.append(class_block(problem.targets, decoded))
        sections += attention_blocks(problem, run)
    return [Cards(list(strip.values()), strip=True)], sections


def shown(problem: Problem, decoded: list[Decoded]) -> list[Decoded]:
    """Returns examples with their classes as people read them, see features.Label; other examples as they are."""
    label = problem.targets
    if not isinstance(label, Label) or not label.words:
        return decoded
    return [row._replace(references=list(map(label.shown, row.references)), output=label.shown(row.output)) for row in decoded]


def class_block(label: Label, decoded: list[Decoded]) -> Fold:
    """Returns a fold with the accuracy of each class and the confusion matrix."""
    confusions = Confusions.of(decoded)
    tables = [
        Table(tuple(header), rows, anybodys=True) for header, *rows in (confusions.accuracies(label.shown), confusions.matrix())
    ]
    return Fold("Accuracy per class, and which classes are given in place of which", tables)


def attention_blocks(problem: Problem, run: Run) -> list[Block]:
    """Returns a fold with drawings of where the model looks; [] if `score_run` wrote none."""
    drawings: list[Block] = []
    for i, row in enumerate(run.attention[problem.name]):
        shape = row["attention_shape"]
        svg = (
            draw_grids(row["attention"], row["tokens"], shape[1])
            if shape
            else draw_attention(row["attention"], row["tokens"], row["input_tokens"])
        )
        drawings.append(Drawing(f"{problem.name}-attention-{i}", svg, f"where {problem.name} looks, example {i}"))
    return [Fold("Where it looks", [Paragraph(LOOKS), *drawings])] if drawings else []


def _cards(problem: Problem, run: Run, data_dir: Path) -> list[Card]:
    if isinstance(problem.inputs, Image):
        return picture_cards(problem, run, data_dir)
    if isinstance(problem.inputs, Audio):
        return sound_cards(problem, run, data_dir)
    return tree_cards(problem, run) if is_tree(problem.targets) else text_cards(run.decoded[problem.name])


def picture_cards(problem: Problem, run: Run, data_dir: Path) -> list[Card]:
    """Returns cards of pictures of dev with their decoded captions or classes.

    The decoded examples of pictures are in the order of the records.
    """
    decoded = run.decoded[problem.name]
    raws = [content for content, _ in islice(dev_records(problem, data_dir), len(decoded))]
    cards = []
    for i, (raw, example) in enumerate(wrong_first(list(zip(raws, decoded, strict=True)), PICTURES, lambda pair: pair[1])):
        picture = Picture(f"{problem.name}-{i}", enlarged(raw), f"{problem.name}, example {i}")
        cards.append(Card((picture,), answers(example), right=is_right(example)))
    return cards


def sound_cards(problem: Problem, run: Run, data_dir: Path) -> list[Card]:
    """Returns cards of dev's sounds with the decoded words, and with spectrograms of those that can be told from others.

    Evaluation groups sounds by length, so a sound is found by its text. An example whose text several recordings have is shown
    without sound, behind the others.
    """
    assert isinstance(problem.inputs, Audio)
    vocabulary = Vocabulary.load(data_dir / FILE_NAME)
    heard = [(as_text(problem.targets, targets, vocabulary), pcm) for pcm, targets in dev_records(problem, data_dir)]
    times = Counter(text for text, _ in heard)
    sounds = {text: np.frombuffer(pcm, "<i2") for text, pcm in heard if times[text] == 1}
    decoded = run.decoded[problem.name]
    known = [example for example in decoded if example.references[0] in sounds]
    cards = []
    for i, example in enumerate(wrong_first(known, SOUNDS, lambda example: example)):
        samples, name = sounds[example.references[0]], f"{problem.name}-{i}"
        picture = Picture(name, spectrogram(samples, problem.inputs.sample_rate), f"spectrogram of {problem.name} {i}")
        wav = wav_file(samples, problem.inputs.sample_rate)
        cards.append(Card((picture,), answers(example), wav, right=is_right(example), name=name))
    silent = [example for example in decoded if example.references[0] not in sounds]
    for example in wrong_first(silent, SOUNDS - len(cards), lambda example: example):
        lines = [*answers(example), ("sound", "not shown: several recordings have this text")]
        cards.append(Card((), lines, right=is_right(example)))
    return cards


def tree_cards(problem: Problem, run: Run) -> list[Card]:
    """Returns cards that draw decoded trees, and the reference where it differs. An output that is no tree is shown as text."""
    cards = []
    for i, example in enumerate(wrong_first(run.decoded[problem.name], TREES, lambda example: example)):
        words, right = example.inputs.split(), is_right(example)
        drawings, lines = [], [("input", example.inputs)]
        texts = [("model", example.output)] + [("reference", example.references[0])] * (not right)
        for side, linearised in texts:
            svg = draw_tree(words, linearised, example.references[0])
            if svg:
                drawings.append(Drawing(f"{problem.name}-{i}-{side}", svg, f"tree of {problem.name} {i}, {side}"))
            lines.append((f"{side} ({verdict(example)})" if side == "model" else side, bracketed(words, linearised) or NOTHING))
        cards.append(Card(drawings, lines, right=right))
    return cards


def text_cards(decoded: list[Decoded]) -> list[Card]:
    """Returns cards of sentences for the strip at the top of the page."""
    return [
        Card((), [("input", example.inputs), *answers(example)], right=is_right(example))
        for example in wrong_first(decoded, SENTENCES, lambda example: example)
    ]


def sentences(decoded: list[Decoded]) -> Table:
    """Returns a table of a few inputs, outputs and references. Words that the output or the reference lacks are marked."""
    chosen = wrong_first(decoded, SENTENCES, lambda example: example)
    rows = [(example.inputs, *marked(example), verdict(example)) for example in chosen]
    return Table(("input", "model", "reference", "verdict"), rows)


def answers(example: Decoded) -> list[tuple[str, Cell]]:
    """Returns the lines of a card: the model's output with its verdict, and the reference if the output is wrong."""
    output, reference = marked(example)
    lines: list[tuple[str, Cell]] = [(f"model ({verdict(example)})", output)]
    return lines if is_right(example) else [*lines, ("reference", reference)]


def marked(example: Decoded) -> tuple[Cell, Cell]:
    """Returns the output and the reference nearest to it, each with the words marked that the other lacks."""
    words = example.output.split()
    compared = [
        (difflib.SequenceMatcher(None, words, wanted, autojunk=False), wanted) for wanted in map(str.split, example.references)
    ]
    matcher, reference = max(compared, key=lambda pair: pair[0].ratio())
    same = matcher.get_matching_blocks()
    ours = {place for block in same for place in range(block.a, block.a + block.size)}
    theirs = {place for block in same for place in range(block.b, block.b + block.size)}
    output = Marked([(word, place not in ours) for place, word in enumerate(words)])
    return output if words else NOTHING, Marked([(word, place not in theirs) for place, word in enumerate(reference)])


def verdict(example: Decoded) -> str:
    """ "right" if the output is one of the references, else "wrong"."""
    return "right" if is_right(example) else "wrong"


def is_right(example: Decoded) -> bool:
    """Whether the output is one of the references."""
    return example.output in example.references


def wrong_first(items: list[T], count: int, example_of: Callable[[T], Decoded]) -> list[T]:
    """Returns at most `count` of `items`: wrong ones first, about half of the count, then right ones.

    The choice is random with a fixed seed, so that it is the same each time.
    """
    wrong = [item for item in items if not is_right(example_of(item))]
    right = [item for item in items if is_right(example_of(item))]
    of_wrong = min(len(wrong), max(count // 2, count - len(right)))
    return sample(wrong, of_wrong) + sample(right, count - of_wrong)


def sample(items: list[T], count: int) -> list[T]:
    """Returns at most `count` of `items` in their order, chosen at random with a fixed seed."""
    places = random.Random(_SEED).sample(range(len(items)), min(count, len(items)))
    return [items[place] for place in sorted(places)]
