"""Normalizes text before it is encoded, in the same way for records, for decoding and in served models.

A `Text` feature names one of three kinds of `normalization`:

* "nfc": each run of blanks becomes one space, blanks at both ends are removed, and letters with marks are composed (Unicode NFC).
* "spaces": the same for blanks, without NFC. Records and runs that name no normalization were made in this way.
* "none": the text is not changed.
"""

from __future__ import annotations

import re
import unicodedata

# Control characters, Unicode's white space, and two characters without width: the space U+200B and the byte-order mark U+FEFF.
BLANKS = (
    *((0x00, 0x20), (0x7F, 0x7F), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200B), (0x2028, 0x2029)),
    *((0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
)
_BLANKS = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in BLANKS) + "]+")


def normalize_spaces(text: str) -> str:
    """Returns `text` with each run of blanks replaced by one space, and without blanks at both ends."""
    if text.isprintable() and "  " not in text:  # The only printable blank is the space.
        return text.strip(" ")
    return _BLANKS.sub(" ", text).strip(" ")


def normalize(text: str, normalization: str) -> str:
    """Returns `text` normalized as a feature's `normalization` says.

    Normalizing twice gives the same text as normalizing once.
    """
    if normalization == "none":
        return text
    text = normalize_spaces(text)
    return text if normalization == "spaces" or text.isascii() else unicodedata.normalize("NFC", text)


def is_normalized(text: str) -> bool:
    """Returns whether every kind of normalization leaves `text` as it is; much faster than normalizing and comparing."""
    if not text.isprintable() or "  " in text or text.strip(" ") != text:
        return False
    return text.isascii() or unicodedata.is_normalized("NFC", text)
