"""The message `tf.train.Example`, without TensorFlow, whose import would cost every process of mm-datagen seconds.

The wire format is that of TensorFlow's `example.proto`; that its map is declared as a list of entries makes their order, and so the
bytes of a record, the same everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_ONE, _MANY = _Field.LABEL_OPTIONAL, _Field.LABEL_REPEATED
# Message, field, number, type or message, how many.
_FIELDS = (
    ("Bytes", "value", 1, _Field.TYPE_BYTES, _MANY),
    ("Integers", "value", 1, _Field.TYPE_INT64, _MANY),
    ("Feature", "bytes_list", 1, "Bytes", _ONE),
    ("Feature", "int64_list", 3, "Integers", _ONE),
    ("Entry", "key", 1, _Field.TYPE_STRING, _ONE),
    ("Entry", "value", 2, "Feature", _ONE),
    ("Features", "feature", 1, "Entry", _MANY),
    ("Example", "features", 1, "Features", _ONE),
)


def serialise(features: dict[str, Sequence[int] | list[bytes]]) -> bytes:
    """A serialised Example of lists of integers and lists of bytes."""
    message = _Example()
    add = message.features.feature.add
    for key, values in features.items():
        entry = add()
        entry.key = key
        kind = entry.value.bytes_list if values and isinstance(values[0], bytes) else entry.value.int64_list
        kind.value.extend(values)
    return message.SerializeToString()


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
