import pytest
import sacrebleu

from t2t_multimodel.evaluation.metrics import bleu_signature, metrics, score
from t2t_multimodel.utils.errors import UnknownNameError

HYPOTHESES = ["Two dogs run over the wet grass.", "A man is cooking , he smiles."]
FIRST = ["Two dogs run across the wet grass.", "A man is cooking, and he smiles."]
SECOND = ["Two wet dogs are running over the grass.", "A smiling man cooks."]


def test_every_metric_of_a_problem_is_registered():
    assert metrics.names() == ["bleu", "cider", "parse_f1", "wer"]


def test_bleu_is_sacrebleus():
    expected = sacrebleu.corpus_bleu(HYPOTHESES, [FIRST, SECOND]).score
    assert score("bleu", HYPOTHESES, list(zip(FIRST, SECOND, strict=True))) == {"bleu": expected}
    assert score("bleu", FIRST, [[text] for text in FIRST])["bleu"] == pytest.approx(100)


def test_bleu_takes_a_varying_number_of_references_and_says_so():
    references = [[FIRST[0], SECOND[0]], [FIRST[1]]]
    expected = sacrebleu.corpus_bleu(HYPOTHESES, [FIRST, [SECOND[0], None]]).score
    assert score("bleu", HYPOTHESES, references) == {"bleu": expected}
    assert bleu_signature(HYPOTHESES, references).startswith("nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:")


@pytest.mark.parametrize(
    ("hypotheses", "references", "expected"),
    [
        (["one two three", "four"], ["one too three", "four five"], 2 / 5),
        (["one  two "], ["one two"], 0.0),
        ([""], ["one two"], 1.0),
        (["one two", "three"], ["", "three"], 2.0),
        ([""], [""], 0.0),
        (["one two"], [""], 2.0),
    ],
)
def test_wer_counts_edits_over_the_corpus(hypotheses, references, expected):
    assert score("wer", hypotheses, [[text] for text in references]) == {"wer": pytest.approx(expected)}


def test_unknown_metric_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean bleu"):
        score("blue", ["a"], [["a"]])


@pytest.mark.parametrize(
    ("hypotheses", "references", "inputs", "message"),
    [
        ([], [], None, "at least one hypothesis"),
        (["a", "b"], [["a"]], None, "2 hypotheses, 1 references, no inputs"),
        (["a"], [["a"]], ["x", "y"], "1 hypotheses, 1 references, 2 inputs"),
        (["a"], [[]], None, "at least one reference"),
        (["a"], ["a"], None, "a list of at least one reference"),
    ],
)
def test_what_cannot_be_scored_is_refused(hypotheses, references, inputs, message):
    with pytest.raises(ValueError, match=message):
        score("bleu", hypotheses, references, inputs)
