"""Reads the data of problems that are described in a file: finds the files, and yields the examples of each kind of data."""

from __future__ import annotations

import dataclasses
import functools
import glob
import hashlib
import itertools
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from t2t_multimodel.data.normalization import normalize_spaces
from t2t_multimodel.data.readers import archives, bitext, captions, corpora, row_files, treebank
from t2t_multimodel.data.readers.pictures import class_folders
from t2t_multimodel.problem import Example
from t2t_multimodel.registry import nearest
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.files import look_alike

# The smallest unit that a split takes or leaves as a whole. Called with a split, it returns the examples for that split.
Item = Callable[[str], Iterable[Example]]


@dataclasses.dataclass(frozen=True)
class Description:
    """The data of one problem in a problem file; picklable.

    Attributes:
        file: the problem file.
        name: the problem's name.
        kind: a key of `READERS`.
        paths: per split that has files of its own, pairs of a key, for messages, and a path or a pattern.
        aligned: the splits whose two paths are the two sides of line-aligned text.
        dev_fraction: the fraction of train that becomes dev, if dev has no files.
        max_train_words: train leaves out sentences with more words; 0 leaves none out.
    """

    file: Path
    name: str
    kind: str
    paths: Mapping[str, Sequence[tuple[str, str]]]
    aligned: frozenset[str] = frozenset()
    dev_fraction: float = 0.0
    max_train_words: int = 0

    @property
    def place(self) -> str:
        """Returns the beginning of messages about this problem."""
        return f"{self.file}, problems.{self.name}"


def check(description: Description, tmp_dir: Path) -> None:
    """Raises a DataError that names every missing file by its key."""
    errors = []
    for key, path in itertools.chain.from_iterable(description.paths.values()):
        try:
            for found in _located(description, key, path, tmp_dir):
                if description.kind == "image_folder":
                    class_folders.check_classes(found, f"{description.place}, {key}")
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
    items = _items(description, split if split in description.paths else "train", tmp_dir)
    held_out = "dev" not in description.paths and split != "test"
    if held_out:
        items = _part(items, description.dev_fraction, split == "dev")
    empty = True
    for example in itertools.chain.from_iterable(item(split) for item in items):
        if split == "train" and description.max_train_words and _words(description.kind, example) > description.max_train_words:
            yield {"left_out": "max_train_words"}
            continue
        empty = empty and "left_out" in example
        yield example
    if empty and held_out:
        fraction = description.dev_fraction
        raise DataError(f"{description.place}, dev_fraction: {fraction:g} of train leaves no example for {split}; give dev files")


def find_classes(description: Description, tmp_dir: Path) -> tuple[str, ...]:
    """Returns the names of the class folders of train, sorted.

    Raises:
        DataError: there are no class folders.
    """
    folders = _paths(description, "train", tmp_dir)
    classes = {unicodedata.normalize("NFC", name): name for path in folders for name in class_folders.of_classes(path)}
    if not classes:
        raise DataError(
            f"{description.place}, train: no folder in {folders[0]}; expected one for each class, as {folders[0]}/cat"
        )
    return tuple(sorted(classes.values()))


def _items(description: Description, split: str, tmp_dir: Path) -> Iterable[Item]:
    paths = _paths(description, split, tmp_dir)
    if split in description.aligned:
        return map(_as_item, bitext.aligned([_member(path) for path in paths]))
    return itertools.chain.from_iterable(map(READERS[description.kind], paths))


def _part(items: Iterable[Item], fraction: float, inside: bool) -> Iterator[Item]:
    """Yields the items inside or outside of a fraction.

    An item's position decides, so that no item changes sides between runs.
    """
    for place, item in enumerate(items):
        digest = hashlib.blake2b(b"%d" % place, digest_size=8).digest()
        if (int.from_bytes(digest, "little") < fraction * 2**64) == inside:
            yield item


def _paths(description: Description, split: str, tmp_dir: Path) -> list[Path]:
    return [found for key, path in description.paths[split] for found in _located(description, key, path, tmp_dir)]


def _located(description: Description, key: str, path: str, tmp_dir: Path) -> list[Path]:
    """Returns the files that a path or pattern names, below `tmp_dir` or otherwise beside the problem file."""
    folders = [Path(tmp_dir), description.file.parent]
    for folder in folders:
        found = sorted(glob.glob(path, root_dir=folder)) if "*" in path else [path] * look_alike(folder / path).exists()
        if found:
            return [_of_right_sort(description, key, look_alike(folder / name)) for name in found]
    where = " and in ".join(dict.fromkeys(str(folder) for folder in folders))
    beside = [entry.name for parent in {folder.joinpath(path).parent for folder in folders} for entry in _entries(parent)]
    hint = nearest(Path(path).name, beside)
    raise DataError(f"{description.place}, {key}: {path} is missing in {where}" + (f"; {hint}" if hint else ""))


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _of_right_sort(description: Description, key: str, path: Path) -> Path:
    if path.is_dir() != (description.kind == "image_folder"):
        wrong, right = ("a folder", "a file") if path.is_dir() else ("a file", "a folder with one for each class")
        raise DataError(f"{description.place}, {key}: {path} is {wrong}, but {description.kind} takes {right}")
    return path


def _member(path: Path) -> archives.Member:
    return archives.Folder(path.parent).open(path.name)


def _as_item(example: Example) -> Item:
    return lambda split: (example,)


def _error(error: DataError) -> Item:
    return _as_item({"error": error})


def _pairs(path: Path) -> Iterator[Item]:
    for row in row_files.rows(_member(path), ("inputs", "targets")):
        if row.error:
            yield _error(row.error)
        else:
            inputs, targets = map(normalize_spaces, row.values)
            yield _as_item({"inputs": inputs, "targets": targets, "origin": row.origin})


def _pictures(path: Path) -> Iterator[Item]:
    """Yields one picture per class in turn, so that the first batches of dev have pictures of all classes."""
    yield from corpora.round_robin(_class_pictures(*found) for found in class_folders.of_classes(path).items())
    yield from (_as_item({"left_out": reason}) for reason in class_folders.passed_over(path))


def _class_pictures(name: str, folders: Sequence[Path]) -> Iterator[Item]:
    for place in folders:
        for member in class_folders.pictures_of(place):
            yield functools.partial(_picture, member, name)


def _picture(member: archives.Member, targets: str, split: str) -> Iterator[Example]:
    yield corpora.file_example(member, targets=targets)


def _captioned(path: Path) -> Iterator[Item]:
    """Yields each image with all its captions, which may be anywhere in the list."""
    listed: dict[str, list[str]] = {}
    for row in _listed(path, ("path", "caption"), several=True):
        if row.error:
            yield _error(row.error)
        else:
            listed.setdefault(row.values[0], []).extend(map(normalize_spaces, row.values[1:]))
    for name, texts in listed.items():
        yield functools.partial(captions.examples, functools.partial(_member, path.parent / name), texts)


def _recordings(path: Path) -> Iterator[Item]:
    for row in _listed(path, ("path", "transcript")):
        if row.error:
            yield _error(row.error)
        else:
            yield functools.partial(_media, path.parent / row.values[0], normalize_spaces(row.values[1]))


def _listed(path: Path, names: tuple[str, str], several: bool = False) -> Iterator[row_files.Row]:
    """Yields the rows of a list of files.

    If the first row's file is missing, its error says that the row may be meant as a header.
    """
    for row in row_files.rows(_member(path), names, several):
        file = path.parent / "".join(row.values[:1])
        if row.number == 1 and not row.error and not file.suffix and not _exists(file):
            hint = f"if this line names the columns, call them {' and '.join(names)}"
            row = row._replace(error=DataError(f"{row.origin}: {file} is missing; {hint}"))
        yield row


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except (OSError, ValueError):  # The name is no possible path; reading it reports why.
        return True


def _media(path: Path, targets: str, split: str) -> Iterator[Example]:
    yield corpora.file_example(lambda: _member(path), targets=targets)


def _trees(path: Path) -> Iterator[Item]:
    return map(_as_item, treebank.examples(_member(path)))


def _words(kind: str, example: Example) -> int:
    """The words of an example's longest sentence; a linearised tree is none."""
    texts = [example.get("inputs", ""), "" if kind == "treebank_files" else example.get("targets", "")]
    return max(len(text.split()) for text in texts)


READERS: dict[str, Callable[[Path], Iterator[Item]]] = {
    "text_pairs": _pairs,
    "image_folder": _pictures,
    "image_captions": _captioned,
    "speech_manifest": _recordings,
    "treebank_files": _trees,
}
