"""The shared vocabulary: exact round trips, and symbols that ordinary text never reaches."""

import pytest

from t2t_multimodel.data.vocabulary import Vocabulary, train_vocabulary
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
