"""Python and the graph normalise text alike: the same blanks, and composed letters."""

import random
import sys
import unicodedata

import pytest
import tensorflow as tf

from t2t_multimodel.data.graph.tokenizer import GraphTokenizer
from t2t_multimodel.data.normalization import is_normalized, normalize, normalize_spaces
from t2t_multimodel.data.vocabulary import train_vocabulary
from t2t_multimodel.features import NORMALIZATIONS

BLANKS = [chr(code) for code in range(sys.maxunicode) if chr(code).isspace() or code < 32 or code in (0x7F, 0x200B, 0xFEFF)]
TEXTS = [
    *["", " ", "a red circle", "  two  spaces ", "e\u0301 u\u0308 \u00e9 \u1112\u1161\u11ab", "\u2581", "a\u2581b \u2581\u2581"],
    *["\ufdd0\u2581", "\ufdd0\ufdd1 \u2581 \ufdd2", "\U0001f468\u200d\U0001f469 \u4e2d\u6587", "\u0344 \u212b \u0374"],
]


@pytest.mark.parametrize("blank", BLANKS, ids=lambda blank: f"U+{ord(blank):04X}")
def test_every_blank_is_one_space_and_none_is_left_at_the_ends(blank):
    assert normalize_spaces(f"{blank}a{blank}{blank}red {blank}circle{blank}") == "a red circle"


def test_nothing_else_is_a_blank():
    others = "".join(chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000 and chr(code) not in BLANKS)
    assert normalize_spaces(others) == others


@pytest.mark.parametrize(
    ("normalization", "expected"), [("nfc", "\u00e9 a"), ("spaces", "e\u0301 a"), ("none", " e\u0301\u00a0a\n")]
)
def test_a_feature_names_the_way(normalization, expected):
    assert normalize(" e\u0301\u00a0a\n", normalization) == expected


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_normalized_stays_and_is_known_to_be(text):
    normalized = normalize(text, "nfc")
    assert unicodedata.is_normalized("NFC", normalized) and normalize(normalized, "nfc") == normalized
    assert is_normalized(text) <= all(normalize(text, way) == text for way in NORMALIZATIONS)
    assert not is_normalized(" a") and not is_normalized("a\u00a0b") and is_normalized("a \u00e9")


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "v.model"
    return train_vocabulary(
        ["A red circle is above the blue square.", "Ein h\u00fcbscher Kreis"] * 9, ["(S", "NN"], 400, path
    ), path


def test_a_graph_normalizes_and_tokenizes_alike(vocabulary):
    vocabulary, path = vocabulary
    rng = random.Random(3)
    alphabet = [*BLANKS, *"  red circle e\u0301\u0308\u2581\u2581\ufdd0\u4e2d\U0001f600"]
    texts = [*TEXTS, *("".join(rng.choices(alphabet, k=rng.randrange(20))) for _ in range(400))]
    tokenizer = GraphTokenizer(path.read_bytes())
    for way in NORMALIZATIONS:
        normalized = tokenizer.normalize(tf.constant([text.encode() for text in texts]), way)
        expected = [normalize(text, way) for text in texts]
        assert [text.decode() for text in normalized.numpy()] == expected
    found = tf.function(tokenizer.tokenize)(tf.constant([text.encode() for text in texts])).to_list()
    assert found == vocabulary.encode_batch(texts)
    assert tokenizer.tokenize(tf.constant([], tf.string)).to_list() == []
