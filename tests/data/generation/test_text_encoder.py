"""Ids looked up word by word are those that SentencePiece returns for the whole text."""

import io
import itertools
import random

import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

from t2t_multimodel.data import tf_example
from t2t_multimodel.data.generation import encode
from t2t_multimodel.data.generation.text_encoder import PackedText
from t2t_multimodel.data.normalization import is_normalized
from t2t_multimodel.data.vocabulary import Vocabulary, train_vocabulary
from t2t_multimodel.features import Text

SENTENCES = ["A red square  stands above the blue circle.", "Das rote Quadrat, (NP tree NN.", "  two   spaces  "] * 30
CHARACTERS = "ab red\t \u2581\u00e9\u4e2d\U0001f600\ufdd0\x00"


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    return train_vocabulary(SENTENCES, ["(S", ")S", "NN"], 450, tmp_path_factory.mktemp("vocabulary") / "v.model")


def test_any_text_is_packed_to_its_ids(vocabulary):
    rng = random.Random(5)
    odd = ["".join(rng.choice(CHARACTERS) for _ in range(rng.randrange(14))) for _ in range(3000)]
    texts = ["", " ", *SENTENCES[:3], *odd]
    packer = PackedText(vocabulary)
    for _ in range(2):
        assert packer.encode(Text(), texts) == [tf_example.pack(vocabulary.encode(text)) for text in texts]


def test_a_tree_is_packed_to_its_symbols_and_the_pieces_of_what_is_none(vocabulary):
    trees = ["(S NN )S", "(S (ODD XX YY )ODD NN )S", "(ODD XX )ODD"]
    packed = PackedText(vocabulary).encode(Text("tree"), trees)
    assert packed == [tf_example.pack(vocabulary.encode_tree(tree)) for tree in trees]


def test_a_word_that_is_a_symbol_of_trees_is_ordinary_in_text(vocabulary):
    packer = PackedText(vocabulary)
    packer.encode(Text("tree"), ["NN"])
    assert packer.encode(Text(), ["NN"]) == [tf_example.pack(vocabulary.encode("NN"))]


@pytest.mark.parametrize("integers", [[], [0, 1, 127, 128, 300, 16383, 16384, 1 << 40]])
def test_packed_integers_come_back_from_tensorflows_message(integers):
    packed = tf_example.pack(integers)
    rows = [(packed, [b"x", b""]), (tf_example.pack([7]), [])]
    first, second = map(tf.train.Example.FromString, tf_example.serialise(("inputs", "targets"), rows))
    assert list(first.features.feature["inputs"].int64_list.value) == integers
    assert list(first.features.feature["targets"].bytes_list.value) == [b"x", b""]
    assert list(second.features.feature["inputs"].int64_list.value) == [7]
    assert list(second.features.feature["targets"].bytes_list.value) == []
    assert tf_example.packed_length(packed) == len(integers)


@pytest.mark.parametrize(
    "options", [{}, {"split_by_whitespace": False}, {"add_dummy_prefix": False}, {"treat_whitespace_as_suffix": True}]
)
def test_a_foreign_model_gives_the_ids_of_the_whole_text(tmp_path, options):
    model, ids = io.BytesIO(), {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(SENTENCES),
        model_writer=model,
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
        **ids,
        **options,
    )
    vocabulary = Vocabulary(model.getvalue())
    rng = random.Random(6)
    texts = ["".join(rng.choices("ab red. \u2581\u00e9\ufb01\u00bd\u00ad", k=12)) for _ in range(500)]
    assert PackedText(vocabulary).encode(Text(), texts) == [tf_example.pack(vocabulary.encode(text)) for text in texts]


@pytest.mark.parametrize("below", [1 << 7, 1 << 14, 1 << 15, 1 << 60])
def test_packed_integers_are_unpacked(below):
    rng = random.Random(below)
    integers = [0, below - 1, *(rng.randrange(below) for _ in range(500))]
    unpacked = tf_example.unpack(tf_example.pack(integers))
    assert unpacked.tolist() == integers and unpacked.dtype == np.int64
    assert tf_example.unpack(b"").tolist() == []


def test_a_pair_is_plain_if_normalizing_changes_neither_text():
    texts = ["", " ", "a", " a", "a ", "a  b", "a\u00a0b", "u\u0308", "\u0308u", "\u00fc", "a\n", "\u0338", "<", "a b"]
    for inputs, targets in itertools.product(texts, texts):
        plain = all(text and is_normalized(text) for text in (inputs, targets))
        assert encode._is_plain_pair({"inputs": inputs, "targets": targets}) == plain, (inputs, targets)
