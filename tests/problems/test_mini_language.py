"""Sentences written by hand in three languages against the grammars."""

import numpy as np
import pytest

from t2t_multimodel.problems import mini_english
from t2t_multimodel.problems.mini_french import french
from t2t_multimodel.problems.mini_german import german
from t2t_multimodel.problems.mini_language import Phrase, Sentence, caption, draw_sentence
from t2t_multimodel.problems.mini_spanish import spanish
from t2t_multimodel.problems.mini_world import Placed, Scene, Thing


def sentence(frame, relation, *phrases):
    """Phrases as "the big red circle", "two red circle" (always in the singular)."""
    found = []
    for text in phrases:
        determiner, *size, colour, shape = text.split()
        found.append(Phrase(Thing(size[0] if size else "big", colour, shape), determiner, bool(size)))
    return Sentence(frame, relation, tuple(found))


CASES = [
    (
        sentence("is", "above", "the big red circle", "the small blue square"),
        "The big red circle is above the small blue square.",
        "Der große rote Kreis ist über dem kleinen blauen Quadrat.",
        "Le grand cercle rouge est au-dessus du petit carré bleu.",
        "(S (NP DT JJ JJ NN )NP (VP VBZ (PP IN (NP DT JJ JJ NN )NP )PP )VP )S",
    ),
    (
        sentence("is", "left", "a small white cross", "the green line"),
        "A small white cross is left of the green line.",
        "Ein kleines weißes Kreuz ist links von der grünen Linie.",
        "Une petite croix blanche est à gauche de la ligne verte.",
        "(S (NP DT JJ JJ NN )NP (VP VBZ (ADVP RB (PP IN (NP DT JJ NN )NP )PP )ADVP )VP )S",
    ),
    (
        sentence("is", "right", "two purple star", "the yellow star"),
        "Two purple stars are right of the yellow star.",
        "Zwei violette Sterne sind rechts vom gelben Stern.",
        "Deux étoiles violettes sont à droite de l'étoile jaune.",
        "(S (NP CD JJ NNS )NP (VP VBP (ADVP RB (PP IN (NP DT JJ NN )NP )PP )ADVP )VP )S",
    ),
    (
        sentence("there", "next", "a small green star", "two big white circle"),
        "There is a small green star next to two big white circles.",
        "Neben zwei großen weißen Kreisen ist ein kleiner grüner Stern.",
        "Il y a une petite étoile verte à côté de deux grands cercles blancs.",
        "(S (NP EX )NP (VP VBZ (NP (NP DT JJ JJ NN )NP (ADJP JJ (PP TO (NP CD JJ JJ NNS )NP )PP )ADJP )NP )VP )S",
    ),
    (
        sentence("there", "right", "two red cross", "a blue line"),
        "There are two red crosses right of a blue line.",
        "Rechts von einer blauen Linie sind zwei rote Kreuze.",
        "Il y a deux croix rouges à droite d'une ligne bleue.",
        "(S (NP EX )NP (VP VBP (NP (NP CD JJ NNS )NP (ADVP RB (PP IN (NP DT JJ NN )NP )PP )ADVP )NP )VP )S",
    ),
    (
        sentence("lies", "left", "the blue triangle", "the big red circle", "the white star"),
        "The blue triangle lies left of the big red circle and touches the white star.",
        "Das blaue Dreieck liegt links vom großen roten Kreis und berührt den weißen Stern.",
        "Le triangle bleu se trouve à gauche du grand cercle rouge et touche l'étoile blanche.",
        "(S (NP DT JJ NN )NP (VP (VP VBZ (ADVP RB (PP IN "
        "(NP DT JJ JJ NN )NP )PP )ADVP )VP CC (VP VBZ (NP DT JJ NN )NP )VP )VP )S",
    ),
    (
        sentence("lies", "below", "two small yellow line", "a green cross", "a purple square"),
        "Two small yellow lines lie below a green cross and touch a purple square.",
        "Zwei kleine gelbe Linien liegen unter einem grünen Kreuz und berühren ein violettes Quadrat.",
        "Deux petites lignes jaunes se trouvent au-dessous d'une croix verte et touchent un carré violet.",
        "(S (NP CD JJ JJ NNS )NP (VP (VP VBP (PP IN (NP DT JJ NN )NP )PP )VP CC (VP VBP (NP DT JJ NN )NP )VP )VP )S",
    ),
    (
        sentence("see", "below", "a big red circle", "the small yellow triangle"),
        "I see a big red circle below the small yellow triangle.",
        "Ich sehe einen großen roten Kreis unter dem kleinen gelben Dreieck.",
        "Je vois un grand cercle rouge au-dessous du petit triangle jaune.",
        "(S (NP PRP )NP (VP VBP (NP DT JJ JJ NN )NP (PP IN (NP DT JJ JJ NN )NP )PP )VP )S",
    ),
    (
        sentence("know", "next", "a green square", "the big purple line"),
        "I know that a green square is next to the big purple line.",
        "Ich weiß, dass ein grünes Quadrat neben der großen violetten Linie ist.",
        "Je sais qu'un carré vert est à côté de la grande ligne violette.",
        "(S (NP PRP )NP (VP VBP (SBAR IN (S (NP DT JJ NN )NP (VP VBZ (ADJP JJ "
        "(PP TO (NP DT JJ JJ NN )NP )PP )ADJP )VP )S )SBAR )VP )S",
    ),
    (
        sentence("relative", "", "the small white cross", "the blue star"),
        "The small cross that touches the blue star is white.",
        "Das kleine Kreuz, das den blauen Stern berührt, ist weiß.",
        "La petite croix qui touche l'étoile bleue est blanche.",
        "(S (NP (NP DT JJ NN )NP (SBAR (WHNP WDT )WHNP (S (VP VBZ "
        "(NP DT JJ NN )NP )VP )S )SBAR )NP (VP VBZ (ADJP JJ )ADJP )VP )S",
    ),
    (
        sentence("relative", "", "two green line", "a small red square"),
        "Two lines that touch a small red square are green.",
        "Zwei Linien, die ein kleines rotes Quadrat berühren, sind grün.",
        "Deux lignes qui touchent un petit carré rouge sont vertes.",
        "(S (NP (NP CD NNS )NP (SBAR (WHNP WDT )WHNP (S (VP VBP "
        "(NP DT JJ JJ NN )NP )VP )S )SBAR )NP (VP VBP (ADJP JJ )ADJP )VP )S",
    ),
    (
        sentence("question", "above", "a white line", "a big yellow circle"),
        "Is a white line above a big yellow circle?",
        "Ist eine weiße Linie über einem großen gelben Kreis?",
        "Est-ce qu'une ligne blanche est au-dessus d'un grand cercle jaune ?",
        "(SQ VBZ (NP DT JJ NN )NP (PP IN (NP DT JJ JJ NN )NP )PP )SQ",
    ),
]


@pytest.mark.parametrize(("meaning", "english", "german_text", "french_text", "tree"), CASES, ids=[case[1] for case in CASES])
def test_hand_written_sentences(meaning, english, german_text, french_text, tree):
    assert mini_english.english(meaning) == english
    assert german(meaning) == german_text
    assert french(meaning) == french_text
    assert mini_english.linearise(mini_english.tree(meaning)) == tree


SPANISH = [
    "El círculo rojo grande está encima del cuadrado azul pequeño.",
    "Una cruz blanca pequeña está a la izquierda de la línea verde.",
    "Dos estrellas moradas están a la derecha de la estrella amarilla.",
    "Hay una estrella verde pequeña al lado de dos círculos blancos grandes.",
    "Hay dos cruces rojas a la derecha de una línea azul.",
    "El triángulo azul se encuentra a la izquierda del círculo rojo grande y toca la estrella blanca.",
    "Dos líneas amarillas pequeñas se encuentran debajo de una cruz verde y tocan un cuadrado morado.",
    "Veo un círculo rojo grande debajo del triángulo amarillo pequeño.",
    "Sé que un cuadrado verde está al lado de la línea morada grande.",
    "La cruz pequeña que toca la estrella azul es blanca.",
    "Dos líneas que tocan un cuadrado rojo pequeño son verdes.",
    "¿Está una línea blanca encima de un círculo amarillo grande?",
]


@pytest.mark.parametrize(("case", "text"), list(zip(CASES, SPANISH, strict=True)), ids=[case[1] for case in CASES])
def test_the_same_sentences_in_spanish(case, text):
    assert spanish(case[0]) == text


def test_blue_things_are_azules():
    assert spanish(sentence("see", "below", "two blue square", "two big blue cross")) == (
        "Veo dos cuadrados azules debajo de dos cruces azules grandes."
    )


def test_trees_are_balanced_and_have_one_tag_per_word():
    rng = np.random.default_rng(0)
    for _ in range(300):
        meaning = draw_sentence(rng, "train")
        tree = mini_english.tree(meaning)
        words, open_brackets = mini_english.words(tree), []
        tags = 0
        for token in mini_english.linearise(tree).split():
            if token.startswith("("):
                open_brackets.append(token[1:])
            elif token.startswith(")"):
                assert open_brackets.pop() == token[1:]
            else:
                tags += 1
        assert not open_brackets and tags == len(words)
        assert " ".join(words).lower() == mini_english.english(meaning)[:-1].lower()


@pytest.mark.parametrize(
    ("arrangement", "count", "expected"),
    [
        ("row", 1, "a big red circle"),
        ("row", 2, "a big red circle left of a small blue line"),
        ("column", 2, "a big red circle above a small blue line"),
        ("row", 3, "from left to right a big red circle then a small blue line then a big white cross"),
    ],
)
def test_captions(arrangement, count, expected):
    things = (Thing("big", "red", "circle"), Thing("small", "blue", "line"), Thing("big", "white", "cross"))
    assert caption(Scene(tuple(Placed(thing, 0, 0, 1) for thing in things[:count]), arrangement)) == expected
