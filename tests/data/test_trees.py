import pytest

from t2t_multimodel.data.trees import (
    Span,
    clean,
    linearise,
    read_tree,
    restore,
    spans,
    treebank_spelling,
    typed_words,
    well_formed,
)
from t2t_multimodel.utils.errors import DataError

TREE = "(S (NP (DT the) (NN dog)) (VP (VBZ barks)))"
LINEARISED = "(S (NP DT NN )NP (VP VBZ )VP )S"


def cleaned(text: str) -> str:
    return clean(read_tree(text)).pformat(margin=10_000)


def test_linearised_form_and_back():
    tree = read_tree(TREE)
    assert linearise(tree) == (["the", "dog", "barks"], LINEARISED)
    assert restore(["the", "dog", "barks"], LINEARISED) == tree


def test_spans_are_innermost_first():
    assert spans(LINEARISED) == (["DT", "NN", "VBZ"], [Span("NP", 0, 2), Span("VP", 2, 3), Span("S", 0, 3)])


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (f"( {TREE} )", TREE),
        ("( (S (NP (NN a))) (S (NP (NN b))))", "(TOP (S (NP (NN a))) (S (NP (NN b))))"),
        (f"( ( {TREE} ) )", TREE),
        ("(S (NP-SBJ-1=2 (PRP$ my) (NNS cats)) (ADVP|PRT (RB so)))", "(S (NP (PRP$ my) (NNS cats)) (ADVP (RB so)))"),
        ("( (S (NP-SBJ (-NONE- *)) (VP (VB go) (SBAR (-NONE- 0) (S (-NONE- *T*-1))))))", "(S (VP (VB go)))"),
        ("(NP (-LRB- -LRB-) (NN x) (-RRB- -RRB-))", "(NP (-LRB- -LRB-) (NN x) (-RRB- -RRB-))"),
        ("(NP (NN Xpd TTD) (NNS mice))", "(NP (NN Xpd) (NN TTD) (NNS mice))"),
        ("( (NN dog) )", "(NN dog)"),
        ("(NN dog)", "(NN dog)"),
    ],
)
def test_clean_prepares_a_tree_for_parsing(raw, expected):
    assert cleaned(raw) == expected
    tree = clean(read_tree(raw))
    assert restore(*linearise(tree)) == tree
    assert clean(tree) == tree


@pytest.mark.parametrize(
    "text",
    ["", "(S (NP (NN dog))", "(S (NN a)))", "(S (NN a)) (S (NN b))", "no tree", "(S (NP ) (VB go))", "(S and (NN a))", "( a )"],
)
def test_a_damaged_tree_is_named(text):
    with pytest.raises(DataError, match="damaged tree"):
        read_tree(text)


def test_a_tree_of_traces_only_is_damaged():
    with pytest.raises(DataError, match="only traces"):
        clean(read_tree("( (NP (-NONE- *)) )"))


def test_the_message_shows_the_beginning_of_a_long_text():
    with pytest.raises(DataError, match=r"'\(S \(NN first\) .*\.\.\.'"):
        read_tree("(S (NN first) " + "(NN word) " * 50)


@pytest.mark.parametrize(
    "linearised",
    [
        "",
        "(S",
        ")S",
        "(S NN )NP",
        "(S )S",
        "(S NN )S (S NN )S",
        "NN NN",
        "(S NN )S )S",
        "( NN )",
        "(S (NP )NP NN NN )S",
        "(S NN )S NN",
    ],
)
def test_what_is_no_tree_is_not_restored(linearised):
    assert spans(linearised) is None
    assert restore(["a", "b"], linearised) is None


@pytest.mark.parametrize("words", [["the", "dog"], ["the", "dog", "barks", "loudly"]])
def test_a_tree_over_other_words_is_not_restored(words):
    assert restore(words, LINEARISED) is None
    assert not well_formed(LINEARISED, len(words))


@pytest.mark.parametrize(
    ("typed", "spelled"),
    [
        ("the dog ( big ) [x] {y}", "the dog -LRB- big -RRB- -LSB-x-RSB- -LCB-y-RCB-"),
        ('he said " go " and "stay" .', "he said `` go '' and ``stay'' ."),
        ('("yes") 5" " x', "-LRB-``yes''-RRB- 5'' `` x"),
        ("\u201cyes\u201d don\u2019t", "``yes'' don't"),
        ("1/2 * 3", "1\\/2 \\* 3"),
        ("C:\\ : ; ` '", "C:\\ : ; ` '"),
    ],
)
def test_sentences_are_spelled_as_in_treebanks(typed, spelled):
    assert treebank_spelling(typed) == spelled
    assert treebank_spelling(spelled) == spelled
    assert typed_words(typed, spelled.split()) == typed.split()
    assert typed_words(typed, [*spelled.split()[:2], "cu"]) == [*typed.split()[:2], "cu"]


def test_words_may_hold_brackets_and_spaces():
    words = ["(the", "big dog", "barks)"]
    assert restore(words, LINEARISED).leaves() == words
