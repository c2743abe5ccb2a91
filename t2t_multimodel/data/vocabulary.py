"""The vocabulary that all problems share: SentencePiece pieces for text, and one id per symbol of linearised parse trees."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import sentencepiece

from t2t_multimodel.data.vocabulary_text import LARGE_SCRIPT_COVERAGE, MAX_SENTENCE_BYTES, alphabet, sentences
from t2t_multimodel.features import Text
from t2t_multimodel.utils.constants import EOS_ID, PAD_ID
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.files import write_atomically

UNK_ID = 2
SPECIAL_IDS = {"pad": PAD_ID, "eos": EOS_ID, "unk": UNK_ID}
FILE_NAME = "vocabulary.model"

# SentencePiece writes a space as U+2581, so no piece of text contains a blank. A control symbol with a blank therefore never
# matches text.
_SYMBOL_PREFIX = "tree "
SPACE_MARK = "\u2581"
NONCHARACTERS = [chr(code) for code in range(0xFDD0, 0xFDF0)]
_BYTES_AND_SPECIAL = 256 + len(SPECIAL_IDS)
_NOT_TRAINED_ON = {ord(character): None for character in (SPACE_MARK, *NONCHARACTERS)}


class Vocabulary:
    """Encodes text and linearised trees as ids and decodes them exactly: `decode(encode(text)) == text` for all valid UTF-8.

    Ids 0, 1 and 2 are padding, end of sequence and unknown. Ordinary text is never encoded as one of them, nor as a tree symbol.

    Args:
        model: the bytes of a SentencePiece model made by `train_vocabulary`, or of another model with the same special ids. Text
            that another model normalizes, or has no piece for, is not decoded exactly.
    """

    def __init__(self, model: bytes) -> None:
        self._pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
        self.sha256 = hashlib.sha256(model).hexdigest()
        self.size: int = self._pieces.vocab_size()

    @classmethod
    def load(cls, path: Path | str) -> Vocabulary:
        """Returns the vocabulary of a model file.

        Raises:
            DataError: the file is missing, is no SentencePiece model, or has other ids for padding, end of sequence and unknown.
        """
        try:
            vocabulary = cls(Path(path).read_bytes())
        except OSError as error:
            raise DataError(f"no vocabulary at {path}: {error.strerror}; mm-datagen makes one in its --data_dir") from None
        except RuntimeError:
            raise DataError(f"{path} is not a SentencePiece model") from None
        if (ids := vocabulary.special_ids) != SPECIAL_IDS:
            found = ", ".join(f"{name} {'none' if i < 0 else i}" for name, i in ids.items())
            wanted = " ".join(f"--{name}_id={i}" for name, i in SPECIAL_IDS.items())
            raise DataError(
                f"{path} has other special ids than text here ({found}); train it with: spm_train {wanted} --bos_id=-1"
            )
        return vocabulary

    @property
    def special_ids(self) -> dict[str, int]:
        """Returns the ids of padding, end of sequence and unknown; -1 for a missing one."""
        pieces = self._pieces
        return {"pad": pieces.pad_id(), "eos": pieces.eos_id(), "unk": pieces.unk_id()}

    @cached_property
    def encodes_words_apart(self) -> bool:
        """Returns whether a text's ids are its words' ids in a row.

        They are if each word begins with a blank and no piece has one further on.
        """
        begun = "".join(self._pieces.encode("a", out_type=str)).startswith(SPACE_MARK)
        pieces = (self._pieces.id_to_piece(i) for i in range(self.size) if not self._pieces.is_control(i))
        return begun and not any(SPACE_MARK in piece[1:] for piece in pieces)

    @cached_property
    def symbols(self) -> dict[str, int]:
        """Returns the tree symbols and their ids."""
        pieces = ((self._pieces.id_to_piece(i), i) for i in range(self.size) if self._pieces.is_control(i))
        return {piece.removeprefix(_SYMBOL_PREFIX): i for piece, i in pieces if piece.startswith(_SYMBOL_PREFIX)}

    @cached_property
    def _symbol_of(self) -> dict[int, str]:
        return {i: symbol for symbol, i in self.symbols.items()}

    def encode(self, text: str) -> list[int]:
        """Returns the ids of ordinary text, without an end-of-sequence id."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each text, as `encode` does; faster than one call per text."""
        encoded: list[list[int]] = self._pieces.encode(list(texts), out_type=int)
        for row, text in enumerate(texts):
            if SPACE_MARK in text:
                encoded[row] = self._encode_with_space_mark(text)
        return encoded

    def encode_tree(self, linearised: str) -> list[int]:
        """Returns the ids of a linearised tree: one id per known symbol, and the ids of text for an unknown symbol."""
        ids: list[int] = []
        for known, tokens in itertools.groupby(linearised.split(), self.symbols.__contains__):
            if known:
                ids += map(self.symbols.__getitem__, tokens)
            else:
                ids += self.encode(" ".join(tokens))
        return ids

    def encode_feature(self, feature: Text, text: str) -> list[int]:
        """Returns the ids of `text`, which is a tree or ordinary text as `feature.format` says."""
        return self.encode_tree(text) if feature.format == "tree" else self.encode(text)

    def piece(self, i: int) -> bytes:
        """Returns what id `i` adds to a text: a tree symbol's name, a byte, or a piece in UTF-8.

        B"" for padding and end of sequence.

        A text's first piece begins with a blank that does not belong to the text.
        """
        if i in (PAD_ID, EOS_ID):
            return b""
        if i in self._symbol_of:
            return self._symbol_of[i].encode()
        if self._pieces.is_byte(i):
            return bytes([int(self._pieces.id_to_piece(i)[3:-1], 16)])
        text: str = self._pieces.decode([i]) if i == UNK_ID else self._pieces.id_to_piece(i).replace(SPACE_MARK, " ")
        return text.encode()

    def is_fallback(self, i: int) -> bool:
        """Returns whether id `i` is the unknown id, or stands for a single byte."""
        return i == UNK_ID or bool(self._pieces.is_byte(i))

    def decode(self, ids: Iterable[int], with_symbols: bool = True) -> str:
        """Returns the text or linearised tree of `ids` up to the first end-of-sequence id; padding is left out.

        With `with_symbols=False` tree symbols are left out too.
        """
        ids = itertools.takewhile(EOS_ID.__ne__, map(int, ids))
        left_out = {PAD_ID} if with_symbols else {PAD_ID, *self._symbol_of}
        wanted = (i for i in ids if i not in left_out and 0 <= i < self.size)
        parts: list[str] = []
        for is_symbol, run in itertools.groupby(wanted, self._symbol_of.__contains__):
            if is_symbol:
                parts += map(self._symbol_of.__getitem__, run)
            else:
                parts.append(self._pieces.decode(list(run)))
        return " ".join(parts)

    def _encode_with_space_mark(self, text: str) -> list[int]:
        stand_in = next(character for character in NONCHARACTERS if character not in text)
        ids = self._pieces.encode(text.replace(SPACE_MARK, stand_in), out_type=int)
        found, wanted = self.byte_ids(stand_in), self.byte_ids(SPACE_MARK)
        at = 0
        while at < len(ids):
            if ids[at : at + 3] == found:
                ids[at : at + 3] = wanted
            at += 1
        return ids

    def byte_ids(self, character: str) -> list[int]:
        """Returns the ids of the UTF-8 bytes of `character`, as which it is encoded if it has no piece."""
        return [self._pieces.piece_to_id(f"<0x{byte:02X}>") for byte in character.encode()]


def train_vocabulary(texts: Iterable[str], symbols: Iterable[str], size: int, path: Path) -> Vocabulary:
    """Trains a BPE vocabulary, writes it beside `path`, renames it to `path`, and returns it.

    Args:
        texts: ordinary text to learn pieces from.
        symbols: tree symbols, each of which gets an id of its own.
        size: the number of pieces, symbols included; fewer are made if the text does not support as many.
        path: the file to write.

    Raises:
        DataError: there is no text, or `size` is too small for its characters and the symbols.
    """
    model = io.BytesIO()
    symbols = list(symbols)
    texts = [text for text in sentences(text.translate(_NOT_TRAINED_ON) for text in texts) if text]
    if not texts:
        raise DataError("there is no text to make a vocabulary from")
    left = size - len(symbols) - _BYTES_AND_SPECIAL
    try:
        sentencepiece.SentencePieceTrainer.Train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type="bpe",
            vocab_size=size,
            hard_vocab_limit=False,
            pad_id=PAD_ID,
            eos_id=EOS_ID,
            unk_id=UNK_ID,
            bos_id=-1,
            control_symbols=[_SYMBOL_PREFIX + symbol for symbol in symbols],
            byte_fallback=True,
            normalization_rule_name="identity",
            character_coverage=LARGE_SCRIPT_COVERAGE,
            required_chars=alphabet(texts, max(left // 2, 0)),  # leaves at least as many for pieces of several characters
            max_sentence_length=MAX_SENTENCE_BYTES,
            remove_extra_whitespaces=False,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise DataError(_training_error(str(error), size)) from None
    write_atomically(path, model.getvalue())
    return Vocabulary(model.getvalue())


def _training_error(message: str, size: int) -> str:
    if "smaller than required_chars" in message:
        needed = message.partition(f"{size} vs ")[2].partition(".")[0]
        return f"a vocabulary of {size} pieces is too small: bytes, characters and symbols alone are {needed}; raise --vocab_size"
    return f"no vocabulary can be made from these texts: {message}"
