"""The message `tf.train.Example`, without TensorFlow, whose import would cost every process of mm-datagen seconds.

The wire format is that of TensorFlow's `example.proto`, declared so that it is quick to fill: the map is a list of entries, which
makes their order, and so the bytes of a record, the same everywhere; a list of integers is the bytes that it is packed to.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_ONE, _MANY = _Field.LABEL_OPTIONAL, _Field.LABEL_REPEATED
# Message, field, number, type or message, how many.
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


def serialise(features: dict[str, bytes | list[bytes]]) -> bytes:
    """A serialised Example: bytes are integers that `pack` packed, a list of bytes is one.

    Messages are used again, and protobuf keeps every value that one has held: call `release_memory` now and then.
    """
    message, holders = _template(tuple(features), tuple(map(type, features.values())))
    for holder, value in zip(holders, features.values(), strict=True):
        if isinstance(value, bytes):
            holder.value = value
        else:
            holder.value[:] = value
    return message.SerializeToString()


def release_memory() -> None:
    """Frees the values of the examples serialised so far."""
    _template.cache_clear()


def pack(integers: Iterable[int]) -> bytes:
    """Integers of 0 and more as the message holds them, in 7 bits a byte."""
    return b"".join(map(_packed, integers))


def packed_length(packed: bytes) -> int:
    """How many integers `packed` holds: all bytes but a number's last are 128 or more."""
    return len(packed) - len(packed.translate(None, _LAST_BYTES))


def unpack(packed: bytes) -> np.ndarray:
    """The integers that `packed` holds, int64 [N]; each must have at most nine bytes."""
    content = np.frombuffer(packed, np.uint8)
    ends = np.flatnonzero(content < 128)
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)[: len(ends)]
    integers = (content[starts] & 127).astype(np.int64)
    for place in range(1, int((ends - starts).max(initial=0)) + 1):
        longer = starts + place <= ends
        integers[longer] |= (content[starts[longer] + place] & 127).astype(np.int64) << (7 * place)
    return integers


@lru_cache(maxsize=16)
def _template(keys: tuple[str, ...], kinds: tuple[type, ...]) -> tuple[Any, list[Any]]:
    """A message with these keys, and where their values go: to make all of its parts anew takes longer than to fill them."""
    message = _Example()
    holders = []
    for key, kind in zip(keys, kinds, strict=True):
        entry = message.features.feature.add(key=key)
        holder = entry.value.int64_list if kind is bytes else entry.value.bytes_list
        holder.SetInParent()
        holders.append(holder)
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
