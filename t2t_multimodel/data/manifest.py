"""The types of a manifest, the file `<records_name>.json` that describes a problem's records in a data_dir."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class ShardEntry(TypedDict):
    """A file of records in a manifest: its name, and the numbers by which it is checked."""

    file: str
    examples: int
    bytes: int
    sha256: str


class SplitEntry(TypedDict):
    """A split in a manifest.

    Attributes:
        examples: those in the records.
        shards: the files, in order.
        skipped: damaged examples; `skipped_list` is the file that names them.
        left_out: numbers of examples that were left out on purpose, by reason.
        classes_without_examples: of train, classes of the targets that no example has.
        changed: numbers of examples that were changed, by what was done to them.
        text: of "inputs" and "targets" that are text, how the vocabulary fits (generation.text_counts.COUNTS).
    """

    examples: int
    shards: list[ShardEntry]
    skipped: int
    left_out: dict[str, int]
    skipped_list: NotRequired[str]
    classes_without_examples: NotRequired[list[str]]
    changed: NotRequired[dict[str, int]]
    text: NotRequired[dict[str, dict[str, int]]]


class Manifest(TypedDict):
    """The description of a problem's records in a data_dir; `complete` is written last.

    Attributes:
        problem: the records' name.
        source: where the data comes from.
        vocabulary_sha256: the hash of the vocabulary that encoded them.
        inputs, targets: the features of the forward problem, as ProblemSpec.to_dict has them.
        splits: by name; splits without examples are in `empty_splits` instead.
        clean, image_size: the flags of mm-datagen by which the records were made.
        described: the problem's `described`, a text about everything else on which the records depend.
    """

    problem: str
    source: str
    vocabulary_sha256: str
    inputs: dict[str, Any]
    targets: dict[str, Any]
    splits: dict[str, SplitEntry]
    complete: bool
    empty_splits: NotRequired[list[str]]
    clean: NotRequired[list[str]]
    image_size: NotRequired[int]
    described: NotRequired[str]


def features_of(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """The features of records, "inputs" and "targets"."""
    return {"inputs": manifest["inputs"], "targets": manifest["targets"]}
