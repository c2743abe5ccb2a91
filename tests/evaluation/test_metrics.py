import pytest
import sacrebleu
from sacrebleu.metrics.bleu import BLEU

from t2t_multimodel.data.problem_file.schema import METRICS
from t2t_multimodel.evaluation.error_rates import IGNORED
from t2t_multimodel.evaluation.metrics import bleu_signature, metrics, score, scored, with_companions
from t2t_multimodel.evaluation.scored import Scoring
from t2t_multimodel.evaluation.unspaced import missing_part
from t2t_multimodel.features import BLEU_TOKENIZERS, WER_IGNORES
from t2t_multimodel.utils.errors import UnknownNameError
from t2t_multimodel.utils.units import UNITS

HYPOTHESES = ["Two dogs run over the wet grass.", "A man is cooking , he smiles."]
FIRST = ["Two dogs run across the wet grass.", "A man is cooking, and he smiles."]
SECOND = ["Two wet dogs are running over the grass.", "A smiling man cooks."]


def test_every_metric_of_a_problem_is_registered():
    assert metrics.names() == ["bleu", "cer", "chrf", "cider", "parse_f1", "ter", "wer"]


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


SHORT = ["small green square"] * 20
CHINESE = ["我喜欢学习中文。", "今天天气很好，我们去公园。"]
JAPANESE = ["私は学生です。", "今日はいい天気ですね。"]
THAI = ["สวัสดีครับทุกคน", "ขอบคุณมากครับ"]


def each(texts):
    return [[text] for text in texts]


@pytest.mark.parametrize(
    ("texts", "target_space", "signature"),
    [
        (SHORT, "to_english", "eff:yes|tok:13a"),
        (CHINESE, "to_chinese", "eff:no|tok:zh"),
        (CHINESE, "to_whatever", "eff:no|tok:zh"),
        (JAPANESE, "", "eff:no|tok:char" if missing_part("ja-mecab") else "eff:no|tok:ja-mecab"),
        (THAI, "", "eff:no|tok:char"),
        (FIRST, "to_english", "eff:no|tok:13a"),
    ],
)
def test_a_perfect_result_scores_100_in_any_language(texts, target_space, signature):
    found = scored("bleu", texts, each(texts), None, Scoring(target_space))
    assert found.figures["bleu"] == pytest.approx(100)
    assert signature in found.settings["bleu_signature"]
    assert score("chrf", texts, each(texts))["chrf"] == pytest.approx(100)
    assert texts is SHORT or score("cider", texts, each(texts))["cider"] == pytest.approx(10)


def test_a_problem_chooses_its_tokenizer():
    found = scored("bleu", FIRST, each(FIRST), None, Scoring("to_english", "char"))
    assert "tok:char" in found.settings["bleu_signature"]
    missing = scored("bleu", FIRST, each(FIRST), None, Scoring("", "flores200"))
    assert ["flores200" in note for note in missing.notes] == ([True] if missing_part("flores200") else [])


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        (["a b"], "no output has 3 tokens or more"),
        ([""], "every output is empty"),
        (["x"], "share no token"),
    ],
)
def test_a_bleu_of_0_says_why(outputs, reason):
    found = scored("bleu", outputs, [["a b c d e"]])
    assert found.figures["bleu"] == 0
    assert [reason in note for note in found.notes] == [True]


def test_ter_and_chrf_are_sacrebleus():
    references = list(zip(FIRST, SECOND, strict=True))
    assert score("chrf", HYPOTHESES, references)["chrf"] == sacrebleu.corpus_chrf(HYPOTHESES, [FIRST, SECOND]).score
    assert score("ter", HYPOTHESES, references)["ter"] == sacrebleu.corpus_ter(HYPOTHESES, [FIRST, SECOND]).score


@pytest.mark.parametrize(
    ("output", "reference", "ignores", "expected"),
    [
        ("HE SAID <NOISE> HELLO", "HE SAID HELLO", (), 1 / 3),
        ("HE SAID <NOISE> HELLO", "HE SAID HELLO", ("wsj",), 0),
        ("HE SAID HELLO", "*HE* SAID <SPOKEN_NOISE> HEL:LO <UNK>", ("wsj",), 0),
        ("THE HOLDER", "THE -HOLDER", ("wsj",), 0),
        ("he said", "he [laughter] said <unk>", ("noises",), 0),
        ("HE SAID HELLO", "He said hello.", ("case",), 1 / 3),
        ("HE SAID HELLO", "He said hello.", ("case", "punctuation"), 0),
    ],
)
def test_wer_ignores_what_the_problem_says(output, reference, ignores, expected):
    assert score("wer", [output], [[reference]], None, Scoring("", "", ignores))["wer"] == pytest.approx(expected)


def test_wer_says_its_normalisation_and_what_case_costs():
    found = scored("wer", ["HE SAID HELLO"], [["He said hello."]])
    assert found.settings == {"wer_normalization": "ignored: nothing"}
    [note] = found.notes
    assert 'wer 1 (100.0%) counts case and punctuation; without it is 0 (0.0%): wer_ignores = ["case", "punctuation"]' in note
    found = scored("wer", ["a"], [["a"]], None, Scoring("", "", ("punctuation", "case")))
    assert (found.settings, found.notes) == ({"wer_normalization": "ignored: case; punctuation"}, ())


def test_cer_is_jiwers_and_stands_beside_wer_where_there_are_no_blanks():
    assert score("cer", ["abcx"], [["abcd"]])["cer"] == 0.25
    assert with_companions(("wer",), each(CHINESE)) == ["wer", "cer"]
    assert with_companions(("wer", "bleu"), each(FIRST)) == ["wer", "bleu", "chrf"]
    assert with_companions(("wer",), each(FIRST), "to_thai") == ["wer", "cer"]
    assert "cer is the rate to read" in scored("wer", THAI, each(THAI)).notes[0]


def test_all_that_problems_may_name_exists():
    assert set(BLEU_TOKENIZERS) <= set(BLEU.TOKENIZERS)
    assert set(WER_IGNORES) == set(IGNORED)
    assert set(METRICS) == set(metrics.names()) <= set(UNITS)
