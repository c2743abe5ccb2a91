"""Serialises the message `tf.train.Example` without TensorFlow, whose import would take every process of mm-datagen seconds.

The wire format is the one of TensorFlow's `example.proto`. The message is declared here in a form that is quick to fill: the map
is a list of entries, which fixes their order and so makes the bytes of a record the same everywhere; a list of integers is the
bytes into which protobuf packs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_ONE, _MANY = _Field.LABEL_OPTIONAL, _Field.LABEL_REPEATED
# Per field: message, name, number, type or message class, and label (single or repeated).
_FIELDS: tuple[tuple[str, str, int, Any, Any], ...] = (
    ("Bytes", "value", 1, _Field.TYPE_BYTES, _MANY),
    ("Integers", "value", 1, _Field.TYPE_BYTES, _ONE),
    ("Feature", "bytes_list", 1, "Bytes", _ONE),
    ("Feature", "int64_list", 3, "Integers", _ONE),
    ("Entry", "key", 1, _Field.TYPE_STRING, _ONE),
    ("Entry", "value", 2, "Feature", _ONE),
    ("Features", "feature", 1, "Entry", _MANY),
    ("Example", "features", 1, "Features", _ONE),
)
_LAST_BYTES = bytes(range(128))


def serialise(keys: Sequence[str], rows: Sequence[Sequence[bytes | list[bytes]]]) -> list[bytes]:
    """Returns a serialised Example per row.

    One message serves all rows, since making its parts takes longer than filling them.

    Args:
        keys: the names of the features.
        rows: per Example the value of each feature: bytes, which are integers packed by `pack`, or a list of bytes, which is a
            bytes_list. A feature has values of one type in all rows.
    """
    if not rows:
        return []
    message, holders = _empty_example(keys, [isinstance(value, bytes) for value in rows[0]])
    serialised = []
    for row in rows:
        for (holder, is_packed), value in zip(holders, row, strict=True):
            if is_packed:
                holder.value = value
            else:
                holder.value[:] = value
        serialised.append(message.SerializeToString())
    return serialised


def pack(integers: Iterable[int]) -> bytes:
    """Returns non-negative integers as protobuf packs them: varints with 7 bits per byte."""
    return b"".join(map(_packed, integers))


def packed_length(packed: bytes) -> int:
    """Returns how many integers `packed` holds: every byte of a varint but its last one is 128 or more."""
    return len(packed) - len(packed.translate(None, _LAST_BYTES))


def unpack(packed: bytes) -> np.ndarray:
    """Returns the integers that `packed` holds, int64 [N]; each may take at most nine bytes."""
    content = np.frombuffer(packed, np.uint8)
    continues = content >= 128
    if not (continues[1:] & continues[:-1]).any():  # Ids below 16,384, as most vocabularies have, take one or two bytes.
        integers = content.astype(np.int64)
        integers[1:] <<= 7 * continues[:-1].view(np.uint8)
        integers[1:] += (content[:-1] & 127) * continues[:-1]
        return integers[~continues]
    ends = np.flatnonzero(content < 128)
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)[: len(ends)]
    integers = (content[starts] & 127).astype(np.int64)
    for place in range(1, int((ends - starts).max(initial=0)) + 1):
        longer = starts + place <= ends
        integers[longer] |= (content[starts[longer] + place] & 127).astype(np.int64) << (7 * place)
    return integers


def _empty_example(keys: Sequence[str], are_packed: Sequence[bool]) -> tuple[Any, list[tuple[Any, bool]]]:
    """Returns a message with these keys, and per key the part that takes its value and whether that value is packed integers."""
    message = _Example()
    holders = []
    for key, is_packed in zip(keys, are_packed, strict=True):
        entry = message.features.feature.add(key=key)
        holder = entry.value.int64_list if is_packed else entry.value.bytes_list
        holder.SetInParent()
        holders.append((holder, is_packed))
    return message, holders


@lru_cache(maxsize=1 << 17)
def _packed(integer: int) -> bytes:
    content = bytearray()
    while integer > 127:
        content.append(integer & 127 | 128)
        integer >>= 7
    content.append(integer)
    return bytes(content)


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="t2t_multimodel/example.proto", package="t2t_multimodel", syntax="proto3")
    for message, field, number, kind, label in _FIELDS:
        if not file.message_type or file.message_type[-1].name != message:
            file.message_type.add(name=message)
        declared = file.message_type[-1].field.add(name=field, number=number, label=label)
        if isinstance(kind, str):
            declared.type, declared.type_name = _Field.TYPE_MESSAGE, f".t2t_multimodel.{kind}"
        else:
            declared.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t2t_multimodel.Example"))


_Example = _message_class()
