"""Drawings of trees have every word and bracket in its place, and mark those that differ from the reference."""

import re
import xml.etree.ElementTree as ElementTree

from t2t_multimodel.reports.tree_drawing import draw_tree

WORDS = ["the", "dog", "saw", "a<b"]
TREE = "(S (NP DT NN )NP (VP VBD (NP NN )NP )VP )S"
SVG = "{http://www.w3.org/2000/svg}"


def labels(svg):
    """Returns (text, x, y, whether it is marked) of every label."""
    texts = ElementTree.fromstring(svg).iter(f"{SVG}text")
    return [(each.text, float(each.get("x")), float(each.get("y")), each.get("class") == "bad") for each in texts]


def test_words_stand_side_by_side_under_their_constituents():
    found = labels(draw_tree(WORDS, TREE))
    bottom = max(y for _, _, y, _ in found)
    words = [(text, x) for text, x, y, _ in found if y == bottom]
    assert [text for text, _ in sorted(words, key=lambda word: word[1])] == WORDS
    places = {text: (x, y) for text, x, y, _ in found}
    assert places["S"][1] < places["VP"][1] < places["VBD"][1] < bottom
    assert places["VBD"][0] == dict(words)["saw"]
    assert not any(wrong for *_, wrong in found)


def test_every_label_but_the_root_hangs_on_a_line():
    svg = draw_tree(WORDS, TREE)
    assert len(re.findall("<line", svg)) == len(labels(svg)) - 1


def test_what_the_right_tree_lacks_stands_out():
    other = "(S (NP DT NN )NP (VP VBZ (PP NN )PP )VP )S"
    assert {text for text, _, _, wrong in labels(draw_tree(WORDS, other, TREE)) if wrong} == {"VBZ", "PP"}


def test_no_tree_is_no_drawing():
    assert draw_tree(WORDS[:3], TREE) is None
    assert draw_tree(WORDS, "(S DT", TREE) is None
