"""What text is brought to before it is encoded: the same for records, for inputs to decode and in served models.

A `Text` feature names one of three ways in its `normalization`:

* "nfc": every run of blanks becomes one space, none is left at the ends, and letters with marks are composed (Unicode's NFC).
* "spaces": blanks alone, as in records and runs that do not say which way they were made.
* "none": text stays as it is.
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
    """`text` with one space in place of each run of blanks, and none at its ends."""
    if text.isprintable() and "  " not in text:  # The only printable blank is the space.
        return text.strip(" ")
    return _BLANKS.sub(" ", text).strip(" ")


def normalize(text: str, normalization: str) -> str:
    """`text` as a feature's `normalization` asks; what has been normalized stays as it is."""
    if normalization == "none":
        return text
    text = normalize_spaces(text)
    return text if normalization == "spaces" or text.isascii() else unicodedata.normalize("NFC", text)


def is_normalized(text: str) -> bool:
    """Whether no way of normalizing changes `text`, in a fraction of the time."""
    if not text.isprintable() or "  " in text or text.strip(" ") != text:
        return False
    return text.isascii() or unicodedata.is_normalized("NFC", text)
