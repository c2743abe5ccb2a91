"""Reads data sets that tensorflow-datasets has prepared, in `<tmp_dir>/tensorflow_datasets/<name>/<version>/`.

Nothing is downloaded here: `tfds build <name> --data_dir=<tmp_dir>/tensorflow_datasets --manual_dir=<tmp_dir>` prepares one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from t2t_multimodel.data.readers import archives
from t2t_multimodel.utils.errors import DataError

FOLDER = "tensorflow_datasets"
FORMATS = ("tfrecord", "array_record")
_INFO = "dataset_info.json"


def find(name: str, tmp_dir: Path) -> Path | None:
    """Returns the folder of the newest version of a prepared data set; None if there is none.

    Args:
        name: the data set's name, with its configuration if it has one, for example "wmt14_translate/de-en".
        tmp_dir: the folder that contains `tensorflow_datasets`.
    """
    versions = [path.parent for path in (Path(tmp_dir) / FOLDER / name).glob(f"*/{_INFO}")]
    return max((path for path in versions if _version(path)), key=_version, default=None)


def read(folder: Path, splits: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yields the examples of some splits of a prepared data set, one split after another, in the order of their files.

    Yields:
        Features by name: an image is the bytes of its file, classes and texts are str, a sequence is a list of its items, and a
            number is an int or a float.

    Raises:
        DataError: the data set has no such split, or a file is damaged.
    """
    import tensorflow_datasets as tfds

    with archives.error_context(str(folder)):
        builder = tfds.builder_from_directory(folder)
    file_format = builder.info.file_format.value
    if file_format not in FORMATS:
        raise DataError(
            f"{folder} is in the format {file_format}, of which tensorflow-datasets may lose examples; remove it and prepare "
            f"it with --file_format={FORMATS[0]} or {FORMATS[1]}"
        )
    features = builder.info.features
    for split in splits:
        if split not in builder.info.splits:
            raise DataError(f"{folder} has no split {split}, only {', '.join(builder.info.splits) or 'none'}")
        for example in _examples(builder, folder, split, tfds):
            yield {name: _plain(features[name], value, tfds) for name, value in example.items()}


def _examples(builder: Any, folder: Path, split: str, tfds: Any) -> Iterator[dict[str, Any]]:
    """Yields the examples of a split as tensorflow-datasets reads them, with images as the bytes of their files."""
    import tensorflow as tf

    features = builder.info.features
    decoders = {name: tfds.decode.SkipDecoding() for name, kind in features.items() if isinstance(kind, tfds.features.Image)}
    try:
        if builder.info.file_format.value == "array_record":  # tf.data cannot read this format
            yield from builder.as_data_source(split=split, decoders=decoders)
        else:
            one_by_one = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False, add_tfds_id=False)
            yield from builder.as_dataset(split=split, decoders=decoders, read_config=one_by_one).as_numpy_iterator()
    except ImportError as error:
        raise DataError(f"{folder} is in the format array_record: pip install array_record ({error})") from None
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise DataError(f"{folder}, split {split}, is damaged: {' '.join(str(error).split())}; prepare it again") from None


def _version(folder: Path) -> tuple[int, ...]:
    parts = folder.name.split(".")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else ()


def _plain(kind: Any, value: Any, tfds: Any) -> Any:
    """Returns a feature's value as plain Python."""
    if isinstance(kind, tfds.features.ClassLabel):
        return kind.int2str(int(value))
    if isinstance(value, dict):  # A sequence of features is stored as a dictionary of sequences.
        return {name: [_plain(kind.feature[name], item, tfds) for item in items] for name, items in value.items()}
    if isinstance(value, bytes) and not isinstance(kind, tfds.features.Image):
        return value.decode("utf-8", errors="surrogateescape")
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value
