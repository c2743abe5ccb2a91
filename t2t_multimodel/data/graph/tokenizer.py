"""Turns text into ids and back as operations of a graph, for models that are served without this package.

Needs tensorflow_text. Letters in shapes: B texts, L ids.
"""

from __future__ import annotations

import tensorflow as tf

from t2t_multimodel.data.normalization import BLANKS
from t2t_multimodel.data.vocabulary import NONCHARACTERS, SPACE_MARK, Vocabulary
from t2t_multimodel.utils.constants import EOS_ID

_STAND_INS = tf.constant([ord(character) for character in NONCHARACTERS])


class GraphTokenizer(tf.Module):
    """Normalizes text as `data.normalization` does, and tokenizes it as `Vocabulary` does.

    Args:
        model: the bytes of a SentencePiece model that `Vocabulary` takes.
    """

    def __init__(self, model: bytes) -> None:
        super().__init__()
        import tensorflow_text

        self._text = tensorflow_text
        self._tokenizer = tensorflow_text.SentencepieceTokenizer(model=model)
        vocabulary = Vocabulary(model)
        self._space_mark = tf.constant(vocabulary.byte_ids(SPACE_MARK))  # [3]
        self._stand_ins = tf.constant([vocabulary.byte_ids(character) for character in NONCHARACTERS])  # [32, 3]

    def normalize(self, texts: tf.Tensor, normalization: str) -> tf.Tensor:
        """Returns texts in UTF-8, string [B], normalized as a feature's `normalization` says."""
        if normalization == "none":
            return texts
        blanks = "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in BLANKS)
        texts = tf.strings.strip(tf.strings.regex_replace(texts, f"[{blanks}]+", " "))
        return texts if normalization == "spaces" else self._text.normalize_utf8(texts, "NFC")

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Returns the ids, ragged int32 [B, L], of texts, string [B]."""
        codes = tf.strings.unicode_decode(texts, "UTF-8")
        # SentencePiece reads U+2581 as a space, so a character that does not occur in the text replaces it while tokenizing.
        taken = tf.reduce_any(codes.to_tensor()[:, :, None] == _STAND_INS, axis=1)
        choice = tf.argmin(tf.cast(taken, tf.int32), axis=1)  # [B]
        stand_in = tf.gather(tf.gather(_STAND_INS, choice), codes.value_rowids())
        codes = codes.with_values(tf.where(codes.values == ord(SPACE_MARK), stand_in, codes.values))
        ids = self._tokenizer.tokenize(tf.strings.unicode_encode(codes, "UTF-8"))
        return self._replaced(ids, tf.gather(self._stand_ins, choice))

    def detokenize(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the texts, string [B], of padded ids, int32 [B, L]; padding and end-of-sequence ids are left out."""
        return self._tokenizer.detokenize(tf.ragged.boolean_mask(ids, ids > EOS_ID))

    def _replaced(self, ids: tf.RaggedTensor, found: tf.Tensor) -> tf.RaggedTensor:
        """Returns `ids` with U+2581's three ids in place of each row's stand-in `found`, int32 [B, 3]."""
        padded = tf.pad(ids.to_tensor(-1), [[0, 0], [0, 2]], constant_values=-1)
        width = tf.shape(padded)[1] - 2
        windows = tf.stack([padded[:, i : width + i] for i in range(3)], axis=-1)
        begins = tf.reduce_all(windows == found[:, None], axis=-1)  # [B, length]
        for i in range(3):
            at = tf.pad(begins, [[0, 0], [i, 0]])[:, :width]
            padded = tf.concat([tf.where(at, self._space_mark[i], padded[:, :width]), padded[:, width:]], axis=1)
        return tf.RaggedTensor.from_tensor(padded, lengths=ids.row_lengths())
