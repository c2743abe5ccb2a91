"""The vocabulary decodes exactly the text that it encoded, and ordinary text never gets the ids of symbols."""

import io

import pytest
import sentencepiece

from t2t_multimodel.data.vocabulary import Vocabulary, train_vocabulary
from t2t_multimodel.data.vocabulary_text import alphabet, sentences
from t2t_multimodel.features import Text
from t2t_multimodel.utils.constants import EOS_ID, PAD_ID
from t2t_multimodel.utils.errors import DataError

SYMBOLS = ["(S", ")S", "(NP", ")NP", "NN", ",", "''", '"', "``", ".", "-LRB-", "\\", "PRP$"]
SENTENCES = [
    "A red square stands above the blue circle.",
    "Das rote Quadrat, NN (NP tree NN tree NN.",
    "(S (NP NN )NP )S",
    'Say "." , \\',
] * 20
TEXTS = [
    *["", " ", "   ", "a", " a", "a  ", "  two  spaces ", "\ttab\t", "line\nbreak\r\n", "\x00"],
    *["\U0001f600 \U0001f468\u200d\U0001f469", "e\u0301 \u00e9 \ufb01 \u00a0\u3000", "中文"],
    *["\u2581", "a\u2581 \u2581\u2581b", "\ufdd0\u2581", "</s> <pad> <0x41> <unk>", "tree NN"],
]
TREES = [
    "(S (NP NN , '' )NP . )S",
    "(S (ODD XX YY )ODD NN )S",
    "(ODD XX )ODD",
    '(S " `` PRP$ \\ -LRB- )S',
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "vocabulary.model"
    train_vocabulary(SENTENCES, SYMBOLS, 450, path)
    return path


@pytest.fixture(scope="module")
def vocabulary(path):
    return Vocabulary.load(path)


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_comes_back_exactly(vocabulary, text):
    assert vocabulary.decode(vocabulary.encode(text)) == text


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_make_up_the_text(vocabulary, text):
    assert b"".join(map(vocabulary.piece, vocabulary.encode(text))).decode().removeprefix(" ") == text


def test_the_piece_of_a_symbol_is_its_name_and_of_padding_nothing(vocabulary):
    assert vocabulary.piece(vocabulary.symbols["(NP"]) == b"(NP"
    assert vocabulary.piece(PAD_ID) == vocabulary.piece(EOS_ID) == b""


def test_ordinary_text_reaches_no_reserved_id(vocabulary):
    reserved = {0, 1, 2, *vocabulary.symbols.values()}
    texts = [*SENTENCES, *SYMBOLS, " ".join(SYMBOLS), "tree (NP", "</s><pad><unk> ⁇"]
    assert not reserved & {i for text in texts for i in vocabulary.encode(text)}


def test_a_batch_is_encoded_like_its_texts(vocabulary):
    texts = ["", "a red", "a\u2581b", "the blue  circle"]
    assert vocabulary.encode_batch(texts) == [vocabulary.encode(text) for text in texts]


def test_each_tree_symbol_is_one_id(vocabulary):
    assert list(vocabulary.symbols) == SYMBOLS
    assert vocabulary.encode_tree("(S (NP NN )NP )S") == [vocabulary.symbols[s] for s in ["(S", "(NP", "NN", ")NP", ")S"]]


@pytest.mark.parametrize(
    "tree", ["(S (NP NN , '' )NP . )S", "(S (ODD XX YY )ODD NN )S", "(ODD XX )ODD", '(S " `` PRP$ \\ -LRB- )S']
)
def test_a_tree_comes_back_exactly_known_symbols_or_not(vocabulary, tree):
    assert vocabulary.decode(vocabulary.encode_tree(tree)) == tree


def test_the_format_of_a_feature_picks_the_encoding(vocabulary):
    assert vocabulary.encode_feature(Text("tree"), "NN") == [vocabulary.symbols["NN"]]
    assert vocabulary.encode_feature(Text(), "NN") == vocabulary.encode("NN")


def test_decoding_stops_at_the_end_and_skips_padding(vocabulary):
    ids = vocabulary.encode("a red square")
    assert vocabulary.decode([*ids[:1], PAD_ID, *ids[1:], EOS_ID, *ids, 10**6]) == "a red square"


def test_the_same_texts_make_the_same_vocabulary(vocabulary, tmp_path):
    again = train_vocabulary(SENTENCES, SYMBOLS, 450, tmp_path / "v.model")
    assert again.sha256 == vocabulary.sha256
    assert [file.name for file in tmp_path.iterdir()] == ["v.model"]


def test_a_size_beyond_the_text_is_no_error(tmp_path):
    assert 260 < train_vocabulary(["hello world"], [], 100_000, tmp_path / "v.model").size < 400


def test_too_small_a_size_says_how_many_are_needed(tmp_path):
    with pytest.raises(DataError, match=r"vocabulary of 100 pieces is too small.* alone are \d{3}; raise --vocab_size"):
        train_vocabulary(SENTENCES, SYMBOLS, 100, tmp_path / "v.model")
    assert not list(tmp_path.iterdir())


def test_no_text_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no text"):
        train_vocabulary([], [], 300, tmp_path / "v.model")


def test_a_missing_or_wrong_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no vocabulary at .*absent.model.*mm-datagen"):
        Vocabulary.load(tmp_path / "absent.model")
    (tmp_path / "wrong.model").write_bytes(b"something else")
    with pytest.raises(DataError, match="wrong.model is not a SentencePiece model"):
        Vocabulary.load(tmp_path / "wrong.model")


def foreign(path, **options):
    """A model as SentencePiece's command spm_train trains it."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(SENTENCES), model_writer=model, vocab_size=60, hard_vocab_limit=False, minloglevel=2, **options
    )
    path.write_bytes(model.getvalue())
    return path


def test_a_model_of_ones_own_is_taken_if_its_special_ids_are_ours(tmp_path):
    path = foreign(tmp_path / "v.model", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    vocabulary = Vocabulary.load(path)
    assert vocabulary.encodes_words_apart and not vocabulary.symbols
    assert vocabulary.decode(vocabulary.encode("A red  square")) == "A red square"
    assert 2 in vocabulary.encode("\u4e2d") and vocabulary.encode("\u2581\u4e2d") == vocabulary.encode_batch(["\u2581\u4e2d"])[0]


def test_other_special_ids_are_told_in_one_line(tmp_path):
    path = foreign(tmp_path / "v.model")
    with pytest.raises(
        DataError, match=r"v\.model has other special ids than text here \(pad none, eos 2, unk 0\); train it with: "
    ) as told:
        Vocabulary.load(path)
    assert str(told.value).endswith("spm_train --pad_id=0 --eos_id=1 --unk_id=2 --bos_id=-1")


@pytest.mark.parametrize("options", [{"split_by_whitespace": False}, {"add_dummy_prefix": False}])
def test_a_model_whose_pieces_reach_across_blanks_is_known(tmp_path, options):
    path = foreign(tmp_path / "v.model", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, **options)
    assert not Vocabulary.load(path).encodes_words_apart


def test_texts_of_any_length_take_part(tmp_path):
    document = " ".join(["die k\u00f6nigliche Eisenbahn"] * 300)
    vocabulary = train_vocabulary([document] * 3, [], 400, tmp_path / "v.model")
    assert len(vocabulary.encode("k\u00f6nigliche Eisenbahn")) == 2


def test_a_long_text_is_cut_at_blanks_and_a_long_word_within():
    words = ["\u0441\u043e\u0431\u0430\u043a\u0430"] * 900 + ["\u4e2d" * 3000, "end"]
    parts = list(sentences(["short", " ".join(words)]))
    assert parts[0] == "short" and "".join(parts[1:]).replace(" ", "") == "".join(words)
    assert all(len(part.encode()) <= 4192 for part in parts)
    assert {word for part in parts for word in part.split()} >= {words[0], "end"}


def test_rare_characters_of_alphabets_have_a_piece_and_those_of_large_scripts_need_not():
    texts = ["the red square " * 100] * 80 + ["\u00f9 7 \u0153"] + ["\u4e2d"]
    assert set("\u00f97\u0153") <= set(alphabet(texts, 100)) and "\u4e2d" not in alphabet(texts, 100)
    assert alphabet(texts, 2) == "er"


def test_a_rare_digit_is_one_piece(tmp_path):
    texts = ["the red square " * 10] * 400 + ["in 2014"]
    vocabulary = train_vocabulary(texts, [], 320, tmp_path / "v.model")
    assert not any(map(vocabulary.is_fallback, vocabulary.encode("2014")))
