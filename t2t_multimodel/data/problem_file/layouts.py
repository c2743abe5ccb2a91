"""Finds the files of a described problem, and the layout of a folder."""

from __future__ import annotations

import dataclasses
import glob
import re
from pathlib import Path, PurePosixPath

from t2t_multimodel.data.problem_file.description import DEV_FRACTION, Description, Source
from t2t_multimodel.data.readers import speech_folders, tables
from t2t_multimodel.data.readers.pictures import class_folders
from t2t_multimodel.registry import nearest
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.files import look_alike

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_LISTS = {".tsv", ".csv", ".jsonl", ".json", *tables.SUFFIXES}
# Names of splits. A number or further words may follow them, as in val2017, dev-clean and test_manifest.json.
_SPLIT_NAMES = {"train": r"train(ing)?", "dev": r"(dev|val|valid|validation)", "test": r"(test|testing)"}
# By kind, the files that a folder must hold; the folders of image_folder may hold folders of classes instead.
_FOLDERS = {
    "text_pairs": "state.json (a dataset saved on disk)",
    "image_captions": f"{', '.join(METADATA)} or state.json (a dataset saved on disk)",
    "speech_manifest": f"wav.scp and text (Kaldi), *{speech_folders.TRANSCRIPTS} (LibriSpeech), {', '.join(METADATA)} or "
    "state.json (a dataset saved on disk)",
}


def resolved(description: Description, tmp_dir: Path) -> Description:
    """Returns a description with the sources that are found in its root; the description itself if it has no root.

    Raises:
        DataError: the root is missing, or has no files of train.
    """
    if not description.root:
        return description
    (root,) = existing(description, "root", description.root, tmp_dir)
    place = f"{description.place}, root"
    if not root.is_dir():
        raise DataError(f"{place}: {root} is a file; root takes a folder with train and dev (or val, validation) in it")
    names = sorted(entry.name for entry in root.iterdir() if entry.is_dir() or _suffix(entry.name) in _LISTS)
    sources = {}
    for split, pattern in _SPLIT_NAMES.items():
        of_split = [name for name in names if re.match(pattern + "(?![A-Za-z])", name)]
        if of_split:
            sources[split] = tuple(Source((("root", str(root / name)),)) for name in of_split)
    if "train" not in sources:
        there = ", ".join(names[:10]) or "neither folder nor list"
        raise DataError(f"{place}: {root} has no train; expected folders or lists such as train and dev, found {there}")
    if "dev" in sources and description.dev_fraction != DEV_FRACTION:
        raise DataError(f"{description.place}, dev_fraction: {root} has dev of its own; leave dev_fraction out")
    return dataclasses.replace(description, sources=sources, root="")


def located(description: Description, key: str, path: str, tmp_dir: Path) -> list[Path]:
    """Returns the files or folders that a path or pattern names, below `tmp_dir` or otherwise in the description's folder.

    Raises:
        DataError: there is none, or one has no layout that the kind of problem has.
    """
    found = existing(description, key, path, tmp_dir)
    for each in found:
        _check_layout(description, f"{description.place}, {key}", each)
    return found


def lists_in(path: Path) -> list[Path]:
    """Returns the lists that a path stands for: the file itself, the files of a saved dataset, or a folder's metadata."""
    if not path.is_dir():
        return [path]
    saved = tables.saved_files(path)
    return [path / name for name in saved or [name for name in METADATA if (path / name).is_file()][:1]]


def existing(description: Description, key: str, path: str, tmp_dir: Path) -> list[Path]:
    """Returns the files or folders that a path or pattern names, as `located`, of whatever layout.

    Raises:
        DataError: there is none.
    """
    folders = [Path(tmp_dir), description.folder]
    for folder in folders:
        found = sorted(glob.glob(path, root_dir=folder)) if "*" in path else [path] * look_alike(folder / path).exists()
        if found:
            return [look_alike(folder / name) for name in found]
    where = " and in ".join(dict.fromkeys(str(folder) for folder in folders))
    beside = [entry.name for parent in {folder.joinpath(path).parent for folder in folders} for entry in _entries(parent)]
    hint = nearest(Path(path).name, beside)
    raise DataError(f"{description.place}, {key}: {path} is missing in {where}" + (f"; {hint}" if hint else ""))


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _suffix(name: str) -> str:
    return PurePosixPath(name.removesuffix(".gz")).suffix


def _check_layout(description: Description, place: str, path: Path) -> None:
    """Raises a DataError if `path` is neither a file nor a folder that the kind of problem takes."""
    kind = description.kind
    if not path.is_dir():
        if kind == "image_folder" and _suffix(path.name) not in _LISTS:
            raise DataError(
                f"{place}: {path} is a file, but image_folder takes a folder with one for each class, or a list "
                f"({', '.join(sorted(_LISTS))}) of path and label"
            )
        return
    if kind == "treebank_files":
        raise DataError(f"{place}: {path} is a folder, but {kind} takes a file")
    if splits := tables.saved_splits(path):
        raise DataError(f'{place}: {path} holds the splits {", ".join(splits)}; write root = "{path}"')
    if lists_in(path):
        return
    if kind == "image_folder":
        class_folders.check_classes(path, place)
    elif kind != "speech_manifest" or not (speech_folders.is_kaldi(path) or speech_folders.transcripts_of(path)):
        raise DataError(f"{place}: {path} is a folder, but {kind} takes a file, or a folder with {_FOLDERS[kind]}")
