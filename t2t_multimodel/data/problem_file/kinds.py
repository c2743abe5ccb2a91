"""Reads the data of problems that are described in a file: checks that it is there, and yields the examples of each split."""

from __future__ import annotations

import hashlib
import itertools
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from t2t_multimodel.data.problem_file import items
from t2t_multimodel.data.problem_file.description import Description, Source
from t2t_multimodel.data.problem_file.items import Item
from t2t_multimodel.data.problem_file.layouts import existing, lists_in, located, resolved
from t2t_multimodel.data.readers import class_words
from t2t_multimodel.data.readers.pictures import class_folders
from t2t_multimodel.problem import Example
from t2t_multimodel.utils.errors import DataError

# By kind, what its files hold, for messages.
_HOLDS = {
    "text_pairs": "a pair of texts per line",
    "image_folder": "pictures",
    "image_captions": "a picture and its caption per line",
    "speech_manifest": "a recording and its transcript per line",
    "treebank_files": "trees in Penn bracketing, as (S (NP (NN dogs)) (VP (VBP bark)))",
}


def check(description: Description, tmp_dir: Path) -> None:
    """Raises a DataError that names every missing file by its key."""
    description = resolved(description, tmp_dir)
    errors = []
    for source in itertools.chain.from_iterable(description.sources.values()):
        for key, path in source.paths:
            try:
                located(description, key, path, tmp_dir)
            except DataError as error:
                errors.append(str(error))
    if description.class_words:
        try:
            existing(description, "class_words", description.class_words, tmp_dir)
        except DataError as error:
            errors.append(str(error))
    if errors:
        raise DataError("; ".join(errors))


def generate(description: Description, split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields the examples of a split. A damaged example is an error example.

    Raises:
        DataError: a file is missing or damaged.
    """
    check(description, tmp_dir)
    description = resolved(description, tmp_dir)
    held_out = "dev" not in description.sources and split != "test"
    empty, nothing = True, True
    for example in _examples(description, split, held_out, tmp_dir):
        nothing = False
        if split == "train" and description.max_train_words and _words(description.kind, example) > description.max_train_words:
            yield {"left_out": "max_train_words"}
            continue
        empty = empty and "left_out" in example
        yield example
    if nothing:
        _check_not_empty(description, description.sources.get("train" if held_out else split, ()), tmp_dir)
    if empty and held_out:
        fraction = description.dev_fraction
        raise DataError(f"{description.place}, dev_fraction: {fraction:g} of train leaves no example for {split}; give dev files")


def _check_not_empty(description: Description, sources: Sequence[Source], tmp_dir: Path) -> None:
    """Raises a DataError that names the files of `sources` if they hold no item at all."""
    if sources and not any(True for source in sources for _ in _items(description, source, tmp_dir)):
        first, *others = [path for source in sources for path in _paths(description, source, tmp_dir)]
        more = f" and {len(others):,} other files" if others else ""
        raise DataError(f"{description.place}: there is nothing in {first}{more}; expected {_HOLDS[description.kind]}")


def find_classes(description: Description, tmp_dir: Path) -> tuple[str, ...]:
    """Returns the names of the classes of train, sorted: of its folders, or of the labels in its lists.

    Raises:
        DataError: there are no classes.
    """
    description = resolved(description, tmp_dir)
    folders = [path for source in description.sources["train"] for path in _paths(description, source, tmp_dir)]
    classes: dict[str, str] = {}
    for path in folders:
        found = items.classes_in(description, path) if lists_in(path) else class_folders.of_classes(path)
        classes |= {unicodedata.normalize("NFC", name): name for name in found}
    if not classes:
        what = "label" if lists_in(folders[0]) else "folder"
        wanted = "one for each picture" if what == "label" else f"one for each class, as {folders[0]}/cat"
        raise DataError(f"{description.place}, train: no {what} in {folders[0]}; expected {wanted}")
    return tuple(sorted(classes.values(), key=_numbers_by_value))


def find_words(description: Description, tmp_dir: Path) -> dict[str, str]:
    """Returns the words of classes in the list `class_words`, by name of a class.

    Raises:
        DataError: the list is missing or damaged.
    """
    words: dict[str, str] = {}
    for path in existing(description, "class_words", description.class_words, tmp_dir):
        words |= class_words.listed(path)
    return words


def _numbers_by_value(name: str) -> tuple[int, str]:
    return (int(name) if name.isascii() and name.isdigit() and len(name) < 10 else -1, name)


def _examples(description: Description, split: str, held_out: bool, tmp_dir: Path) -> Iterator[Example]:
    """Yields the examples of the items inside of a split, in train as often as the weights of their sources say.

    An item's position decides, or its unit, so that no item changes sides between runs.
    """
    sources = description.sources.get(split if split == "test" or not held_out else "train", ())
    place = 0
    for source in sources:
        for item in _items(description, source, tmp_dir):
            inside = _share(f"unit {item.unit}" if item.unit else str(place)) < description.dev_fraction
            if not held_out or inside == (split == "dev"):
                copies = _copies(source, place) if split == "train" else 1
                yield from _repeated(item.examples(split), source, copies)
            place += 1


def _items(description: Description, source: Source, tmp_dir: Path) -> Iterable[Item]:
    paths = _paths(description, source, tmp_dir)
    if source.aligned:
        return items.aligned(description, paths)
    return itertools.chain.from_iterable(items.READERS[description.kind](description, path) for path in paths)


def _share(key: str) -> float:
    """Returns a number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little") / 2**64


def _copies(source: Source, place: int) -> int:
    whole = int(source.weight)
    return whole + (_share(f"weight {place}") < source.weight - whole)


def _repeated(examples: Iterable[Example], source: Source, copies: int) -> Iterator[Example]:
    """Yields each example `copies` times; with 0 copies, a "left_out" example in its place."""
    weight = f"by weight {source.weight:g} ({source.name})"
    for example in examples:
        if "error" in example or "left_out" in example or copies == 1:
            yield example
        elif not copies:
            yield {"left_out": weight}
        else:
            yield example
            copy: Example = {**example, "changes": (*example.get("changes", ()), f"repeated {weight}"), "repeated": True}
            yield from itertools.repeat(copy, copies - 1)


def _paths(description: Description, source: Source, tmp_dir: Path) -> list[Path]:
    return [found for key, path in source.paths for found in located(description, key, path, tmp_dir)]


def _words(kind: str, example: Example) -> int:
    """Returns the number of words of an example's longest sentence; a linearised tree does not count."""
    texts = [example.get("inputs", ""), "" if kind == "treebank_files" else example.get("targets", "")]
    return max(len(text.split()) for text in texts)
