import pytest

from t2t_multimodel.evaluation.parsing import parse_f1

GOLD = "(S (NP DT NN )NP (VP VBZ (NP NN )NP )VP . )S"


def f1(hypothesis, gold=GOLD):
    return parse_f1([hypothesis], [[gold]])


def test_the_reference_itself_is_perfect():
    assert f1(GOLD) == {"parse_f1": 1.0, "well_formed": 1.0}


def test_label_and_span_must_both_agree():
    # of NP(0,2) VP(2,4) S(0,4), all but the mislabelled NP(3,4), 3 of the 4 reference brackets are found
    assert f1("(S (NP DT NN )NP (VP VBZ (PP NN )PP )VP . )S")["parse_f1"] == pytest.approx(3 / 4)
    # flat: 1 of 1 right, 1 of 4 found
    assert f1("(S DT NN VBZ NN . )S")["parse_f1"] == pytest.approx(2 * 1 / (1 + 4))


def test_repeated_brackets_count_as_often_as_the_reference_has_them():
    assert f1("(NP (NP NN )NP )NP", "(NP NN )NP")["parse_f1"] == pytest.approx(2 / 3)


def test_part_of_speech_tags_do_not_count():
    assert f1(GOLD.replace("DT", "PRP$"))["parse_f1"] == 1.0


def test_punctuation_is_outside_of_every_span():
    assert f1("(S (NP DT NN )NP (VP VBZ (NP NN . )NP )VP )S")["parse_f1"] == 1.0
    assert f1("(S (NP DT NN )NP (VP VBZ (NP NN )NP )VP (X . )X )S")["parse_f1"] == 1.0


def test_top_is_ignored_and_particles_are_adverbs():
    assert f1(f"(TOP {GOLD} )TOP")["parse_f1"] == 1.0
    assert f1("(VP VB (ADVP RP )ADVP )VP", "(VP VB (PRT RP )PRT )VP")["parse_f1"] == 1.0


@pytest.mark.parametrize("hypothesis", ["", "(S", GOLD[:-3], GOLD + " NN", "(S DT NN VBZ NN )S", "(S DT NN VBZ NN NN . )S"])
def test_what_is_no_tree_over_the_words_has_no_brackets(hypothesis):
    assert f1(hypothesis) == {"parse_f1": 0.0, "well_formed": 0.0}


def test_brackets_are_summed_over_the_corpus():
    # 4 + 0 right of 4 + 0 guessed, of 4 + 2 in the references
    figures = parse_f1([GOLD, ")"], [[GOLD], ["(NP (NP NN )NP NN )NP"]], ["a b c d .", "e f"])
    assert figures == {"parse_f1": pytest.approx(2 * 4 / (4 + 6)), "well_formed": 0.5}


def test_a_damaged_reference_is_named():
    with pytest.raises(ValueError, match="reference 1 is no well-formed"):
        parse_f1([GOLD, GOLD], [[GOLD], ["(S NN"]])
