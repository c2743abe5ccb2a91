"""The eight problems, and two more, as a whole: what is generated, and that dev asks for what training never shows."""

import functools
import io
import itertools
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image as PillowImage

import t2t_multimodel
import t2t_multimodel.problems  # noqa: F401  (registers them)
from t2t_multimodel.problem import problems, resolve
from t2t_multimodel.problems import mini_world
from t2t_multimodel.problems.mini_language import draw_sentence, draw_spoken
from t2t_multimodel.problems.mini_world import COLOURS, HELD_OUT, SHAPES, SIZES, Thing, draw_lined_up, draw_scattered

_TEXT = ("mini_parse", "mini_ende", "mini_enfr", "mini_enes")
_ENGLISH = (*_TEXT, "mini_speech", "mini_caption")
_SIZED = re.compile(r"\b(big|small) (red|green|blue|yellow|white|purple) (circle|square|triangle|cross|star|line)(?:e?s)?\b")
_RELATIVE = re.compile(r"\b(big|small) (circle|square|triangle|cross|star|line)(?:e?s)? that .* (?:is|are) (\w+)")
_PREDICATE = re.compile(r"the (\w+) is (big|small) and (\w+)")


def generate(name, split, count=None):
    return list(itertools.islice(problems.get(name).generate(split, Path()), count))


@functools.cache
def examples(name, split, count=None):
    """What `generate` returns, made once."""
    return generate(name, split, count)


def english(name, split):
    """The English texts of a problem: all of the text problems', 300 of the others'."""
    if name in _TEXT:
        return [example["inputs"] for example in examples(name, split)]
    return [example["targets"] for example in examples(name, split, 300)]


def things_of(text):
    """The things that an English text names in full, found without the project's own grammar."""
    found = {Thing(*match) for match in _SIZED.findall(text)}
    found |= {Thing(size, colour, shape) for size, shape, colour in _RELATIVE.findall(text)}
    return found | {Thing(size, colour, shape) for shape, size, colour in _PREDICATE.findall(text)}


def test_the_group_holds_the_eight_problems():
    names = "mini_class mini_caption mini_speech mini_parse mini_ende mini_ende_rev mini_enfr mini_enfr_rev"
    assert [problem.name for problem in resolve("mini8")] == names.split()


def test_reversed_problems_read_the_forward_ones_records():
    assert problems.get("mini_ende_rev").records_name == "mini_ende"
    assert problems.get("mini_enfr_rev").target_space == "to_english"


def test_every_pair_of_attributes_is_in_training():
    seen = {thing for thing in itertools.starmap(Thing, itertools.product(SIZES, COLOURS, SHAPES)) if thing not in HELD_OUT}
    assert {(t.size, t.colour) for t in seen} == set(itertools.product(SIZES, COLOURS))
    assert {(t.size, t.shape) for t in seen} == set(itertools.product(SIZES, SHAPES))
    assert {(t.colour, t.shape) for t in seen} == set(itertools.product(COLOURS, SHAPES))


@pytest.mark.parametrize("name", _ENGLISH)
def test_train_names_no_held_out_thing_and_every_dev_text_names_one(name):
    assert not set().union(*map(things_of, english(name, "train"))) & HELD_OUT
    assert all(things_of(text) & HELD_OUT for text in english(name, "dev"))
    assert not set(english(name, "train")) & set(english(name, "dev"))


@pytest.mark.parametrize("draw", [draw_lined_up, lambda rng, split: draw_scattered(rng, split, "star")])
def test_pictures_show_held_out_things_in_dev_only(draw):
    rng = np.random.default_rng(0)
    scenes = {split: [{placed.thing for placed in draw(rng, split).placed} for _ in range(300)] for split in ("train", "dev")}
    assert not any(scene & HELD_OUT for scene in scenes["train"])
    assert all(scene & HELD_OUT for scene in scenes["dev"])


@pytest.mark.parametrize("name", _TEXT)
def test_every_word_of_dev_is_in_train(name):
    words = [{word for e in examples(name, split) for text in e.values() for word in text.split()} for split in ("train", "dev")]
    assert words[1] <= words[0]


@pytest.mark.parametrize("name", _TEXT)
def test_text_examples_are_all_different(name):
    assert len(set(english(name, "train"))) == len(english(name, "train")) >= 6000
    assert len(set(english(name, "dev"))) == 300


@pytest.mark.parametrize("name", ["mini_ende", "mini_enfr", "mini_defr", "mini_enes"])
def test_translation_has_one_right_answer_in_each_direction(name):
    both = examples(name, "train") + examples(name, "dev")
    assert len({e["targets"] for e in both}) == len({e["inputs"] for e in both}) == len(both)


@pytest.mark.parametrize("split", ["train", "dev"])
def test_classes_are_balanced(split):
    counts = Counter(example["targets"] for example in generate("mini_class", split, 300))
    assert set(counts) == set(SHAPES) and max(counts.values()) <= 0.2 * 300


@pytest.mark.parametrize("name", [problem.name for problem in resolve("mini8") if not problem.reversed])
def test_generation_repeats_itself_exactly(name):
    assert generate(name, "train", 20) == generate(name, "train", 20) != generate(name, "dev", 20)


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="no split 'test'; there are: train, dev"):
        generate("mini_ende", "test", 1)


def test_pictures_are_pngs_of_the_declared_size():
    for name in ("mini_class", "mini_caption"):
        picture = PillowImage.open(io.BytesIO(generate(name, "dev", 1)[0]["inputs"]))
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (mini_world.PIXELS, mini_world.PIXELS))


def test_things_lie_inside_the_picture_and_apart():
    rng = np.random.default_rng(1)
    for draw in [lambda: draw_lined_up(rng, "train")] * 300 + [lambda: draw_scattered(rng, "train", "star")] * 100:
        placed = draw().placed
        assert all(p.radius <= p.x <= 48 - p.radius and p.radius <= p.y <= 48 - p.radius for p in placed)
        assert all(np.hypot(a.x - b.x, a.y - b.y) > a.radius + b.radius for a, b in itertools.combinations(placed, 2))


def test_speech_is_short_8_khz_mono_and_differs_between_speakers():
    wave, rate = soundfile.read(io.BytesIO(generate("mini_speech", "dev", 1)[0]["inputs"]))
    assert rate == 8000 and wave.ndim == 1 and 0.3 < len(wave) / rate < 1.4 and 0.1 < np.abs(wave).max() < 1
    rng = np.random.default_rng(0)
    assert t2t_multimodel.problems.mini_media.speak("a", rng) != t2t_multimodel.problems.mini_media.speak("a", rng)


def test_spoken_phrases_have_four_to_six_words():
    rng = np.random.default_rng(0)
    assert {len(draw_spoken(rng, "train").split()) for _ in range(200)} == {4, 5, 6}


def test_sentences_use_every_frame():
    rng = np.random.default_rng(0)
    assert len({draw_sentence(rng, "dev").frame for _ in range(200)}) == 7


def run_python(code):
    root = Path(t2t_multimodel.__file__).parents[1]
    return subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)


def test_the_bare_name_is_refused():
    if not (Path(t2t_multimodel.__file__).parents[1] / "problems").is_dir():
        pytest.skip("not a checkout")
    assert "import it as t2t_multimodel.problems" in run_python("import problems.mini").stderr


def test_registering_needs_no_tensorflow():
    done = run_python("import sys, t2t_multimodel.problems; print('tensorflow' in sys.modules, 'keras' in sys.modules)")
    assert done.stdout.split() == ["False", "False"], done.stderr
