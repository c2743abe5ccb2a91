"""The message `tf.train.Example`, without TensorFlow, whose import would cost every process of mm-datagen seconds.

Its wire format (TensorFlow's `example.proto`) is a tag and a length in front of each part, so that all that stands in front of a
value depends on its key and its length alone, and is remembered. Features come in the order they are given in, and a list of
integers is the bytes that it is packed to.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

# Numbers of fields: of Example, Features, an entry of its map, Feature, and the lists.
_FEATURES, _ENTRY, _KEY, _VALUE, _BYTES_LIST, _INT64_LIST, _ITEM = 1, 1, 1, 2, 1, 3, 1
_LENGTH_DELIMITED = 2
_LAST_BYTES = bytes(range(128))


def serialise(features: dict[str, bytes | list[bytes]]) -> bytes:
    """A serialised Example: bytes are integers that `pack` packed, a list of bytes is one."""
    parts: list[bytes] = []
    size = 0
    for key, value in features.items():
        if isinstance(value, bytes):
            head, items = _integers_head(key, len(value)), [value]
        else:
            items = [part for item in value for part in (_head(_ITEM, len(item)), item)]
            head = _entry_head(key, _BYTES_LIST, sum(map(len, items)))
        parts += (head, *items)
        size += len(head) + sum(map(len, items))
    return b"".join((_head(_FEATURES, size), *parts))


def pack(integers: Iterable[int]) -> bytes:
    """Integers of 0 and more as the message holds them, in 7 bits a byte."""
    return b"".join(map(_packed, integers))


def packed_length(packed: bytes) -> int:
    """How many integers `packed` holds: all bytes but a number's last are 128 or more."""
    return len(packed) - len(packed.translate(None, _LAST_BYTES))


@lru_cache(maxsize=1 << 14)
def _integers_head(key: str, length: int) -> bytes:
    """What stands in front of the `length` bytes of a feature's packed integers."""
    head = _head(_ITEM, length)
    return _entry_head(key, _INT64_LIST, len(head) + length) + head


def _entry_head(key: str, kind: int, length: int) -> bytes:
    """What stands in front of the `length` bytes of a feature's list, which is of field `kind`."""
    name = key.encode()
    feature = _head(kind, length)
    value = _head(_VALUE, len(feature) + length) + feature
    entry = _head(_KEY, len(name)) + name + value
    return _head(_ENTRY, len(entry) + length) + entry


@lru_cache(maxsize=1 << 14)
def _head(field: int, length: int) -> bytes:
    """The tag and the length of a part of `length` bytes."""
    return bytes([field << 3 | _LENGTH_DELIMITED]) + _packed(length)


@lru_cache(maxsize=1 << 17)
def _packed(integer: int) -> bytes:
    content = bytearray()
    while integer > 127:
        content.append(integer & 127 | 128)
        integer >>= 7
    content.append(integer)
    return bytes(content)
