"""Reads the items of each kind of data. A split takes or leaves an item as a whole."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from t2t_multimodel.data.normalization import normalize_spaces
from t2t_multimodel.data.problem_file.description import Description
from t2t_multimodel.data.problem_file.layouts import lists_in
from t2t_multimodel.data.readers import archives, bitext, captions, corpora, row_files, speech_folders, tables, treebank
from t2t_multimodel.data.readers.pictures import class_folders
from t2t_multimodel.data.readers.sound.segments import SegmentReader, Span
from t2t_multimodel.data.readers.speech_folders import Utterance
from t2t_multimodel.problem import Example
from t2t_multimodel.utils.errors import DataError

# By kind, the columns that its lists must have and those that they may have.
COLUMNS = {
    "text_pairs": row_files.Columns(("inputs", "targets")),
    "image_folder": row_files.Columns(("path", "label")),
    "image_captions": row_files.Columns(("path", "caption"), several=True),
    "speech_manifest": row_files.Columns(("path", "transcript"), optional=("start", "end", "offset", "duration", "speaker")),
}
# The folder beside a list in which Common Voice has its recordings.
_CLIPS = "clips"
_PICTURES = (".jpg", ".jpeg", ".png")


class Item(NamedTuple):
    """The smallest unit that a split takes or leaves as a whole.

    Attributes:
        examples: called with a split, it returns the examples for that split.
        unit: a name that items share if a split takes them together, such as a speaker's; "" is none.
    """

    examples: Callable[[str], Iterable[Example]]
    unit: str = ""


def aligned(description: Description, paths: Sequence[Path]) -> Iterator[Item]:
    """Yields the pairs of lines of two files."""
    return map(_as_item, bitext.aligned([_member(description, path) for path in paths]))


def classes_in(description: Description, path: Path) -> set[str]:
    """Returns the labels in the lists of `path`, without those of damaged rows, which reading reports.

    Raises:
        DataError: a list is damaged.
    """
    found: set[str] = set()
    for each in lists_in(path):
        for row in _rows(description, each, labels_alone=each.suffix in tables.SUFFIXES):
            found.update(row.values[-1:])
    return found


def _member(description: Description, path: Path) -> archives.Member:
    return archives.Folder(path.parent).open(path.name)._replace(encoding=description.encoding)


def _rows(description: Description, path: Path, labels_alone: bool = False) -> Iterator[row_files.Row]:
    wanted = COLUMNS[description.kind]
    columns = row_files.Columns(
        ("label",) if labels_alone else wanted.names, wanted.several, wanted.optional, description.columns
    )
    return row_files.rows(_member(description, path), columns)


def _as_item(example: Example, unit: str = "") -> Item:
    return Item(lambda split: (example,), unit)


def _error(error: DataError, unit: str = "") -> Item:
    return _as_item({"error": error}, unit)


def _pairs(description: Description, path: Path) -> Iterator[Item]:
    for each in lists_in(path):
        for row in _rows(description, each):
            if row.error:
                yield _error(row.error)
            else:
                inputs, targets = map(normalize_spaces, row.values)
                yield _as_item({"inputs": inputs, "targets": targets, "origin": row.origin})


def _pictures(description: Description, path: Path) -> Iterator[Item]:
    """Yields pictures with their classes.

    Pictures in folders come one per class in turn, so that the first batches of dev have all classes.
    """
    if lists := lists_in(path):
        for each in lists:
            for row in _listed(description, each):
                yield _error(row.error) if row.error else _media(_opener(description, each, row.values[0]), row.values[1])
        return
    yield from corpora.round_robin(_class_pictures(*found) for found in class_folders.of_classes(path).items())
    yield from (_as_item({"left_out": reason}) for reason in class_folders.passed_over(path))


def _class_pictures(name: str, folders: Sequence[Path]) -> Iterator[Item]:
    for place in folders:
        for member in class_folders.pictures_of(place):
            yield _media(member, name)


def _captioned(description: Description, path: Path) -> Iterator[Item]:
    """Yields each image with all its captions, which may be anywhere in a list; in a table each row is an image."""
    for each in lists_in(path):
        listed: dict[str, tuple[Callable[[], archives.Member], list[str]]] = {}
        for row in _listed(description, each):
            if row.error:
                yield _error(row.error)
                continue
            texts = list(map(normalize_spaces, row.values[1:]))
            opener = _opener(description, each, row.values[0])
            if isinstance(row.values[0], archives.Member):
                yield Item(functools.partial(captions.examples, opener, texts))
            else:
                listed.setdefault(row.values[0], (opener, []))[1].extend(texts)
        for opener, texts in listed.values():
            yield Item(functools.partial(captions.examples, opener, texts))


def _recordings(description: Description, path: Path) -> Iterator[Item]:
    reader = SegmentReader(description.sample_rate)
    for each in _utterances(description, path):
        if each.left_out:
            yield _as_item({"left_out": each.left_out})
        elif each.error:
            yield _error(each.error, each.speaker)
        elif each.span:
            yield Item(functools.partial(_segment, reader, each), each.speaker)
        else:
            yield _media(_opener_of(each.recording), normalize_spaces(each.transcript), each.speaker)


def _utterances(description: Description, path: Path) -> Iterator[Utterance]:
    for each in (lists := lists_in(path)):
        for row in _listed(description, each):
            if row.error:
                yield Utterance(row.origin, error=row.error)
                continue
            speaker = str(row.more.get("speaker", "")) if "speaker" in description.columns else ""
            recording, transcript = row.values
            place = recording if isinstance(recording, archives.Member) else _place(description, each, recording)
            try:
                yield Utterance(row.origin, place, transcript, speaker, _span(row))
            except DataError as error:
                yield Utterance(row.origin, speaker=speaker, error=error)
    if not lists:
        read = speech_folders.kaldi if speech_folders.is_kaldi(path) else speech_folders.libri
        yield from read(path, description.encoding)


def _span(row: row_files.Row) -> Span | None:
    """Returns the segment that a row names by start and end, or as NeMo does by offset and duration; None without one.

    Raises:
        DataError: one of them is no number.
    """
    times: dict[str, float] = {}
    for name in ("start", "end", "offset", "duration"):
        if (value := row.more.get(name, "")) not in ("", None):
            try:
                times[name] = float(value)
            except (TypeError, ValueError):
                raise DataError(f"{row.origin}: {name} must be a number of seconds, got {str(value)[:40]!r}") from None
    start = times.get("start", times.get("offset"))
    if start is None:
        return Span(0.0, times["end"]) if "end" in times else None
    return Span(start, times.get("end", start + times["duration"] if "duration" in times else None))


def _segment(reader: SegmentReader, utterance: Utterance, split: str) -> Iterator[Example]:
    assert utterance.span is not None
    try:
        cut = reader.read(_opener_of(utterance.recording), utterance.span)
    except DataError as error:
        yield {"error": DataError(f"{utterance.origin}: {error}")}
        return
    targets = normalize_spaces(utterance.transcript)
    yield {"inputs": cut.content, "targets": targets, "origin": utterance.origin, "changes": cut.changes}


def _listed(description: Description, path: Path) -> Iterator[row_files.Row]:
    """Yields the rows of a list of files.

    If the first row's file is missing, its error says that the row may be meant as a header.
    """
    for row in _rows(description, path):
        name = next(iter(row.values), "")
        if row.number == 1 and not row.error and isinstance(name, str):
            file = _place(description, path, name)
            if not file.suffix and not _exists(file):
                hint = f"if this line names the columns, call them {' and '.join(COLUMNS[description.kind].names)}"
                row = row._replace(error=DataError(f"{row.origin}: {file} is missing; {hint}"))
        yield row


def _place(description: Description, path: Path, name: str) -> Path:
    """Returns the path of a file that a list names; a name such as arctic_a0001 may lack the file's ending.

    An ending is added only if exactly one such file exists.
    """
    folders = [path.parent / description.files_in] + ([] if description.files_in else [path.parent / _CLIPS])
    for folder in folders:
        if _exists(folder / name):
            return folder / name
    endings = speech_folders.SOUNDS if description.kind == "speech_manifest" else _PICTURES
    found = [file for folder in folders for ending in endings if _exists(file := folder / f"{name}{ending}")]
    return found[0] if len(found) == 1 else folders[0] / name


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except (OSError, ValueError):  # The name is no possible path; reading it reports why.
        return True


def _opener(description: Description, path: Path, value: Any) -> Callable[[], archives.Member]:
    """Returns a function that opens the file which a row of a list names or holds."""
    return _opener_of(value if isinstance(value, archives.Member) else _place(description, path, value))


def _opener_of(file: Path | archives.Member) -> Callable[[], archives.Member]:
    return lambda: file if isinstance(file, archives.Member) else archives.Folder(file.parent).open(file.name)


def _media(file: archives.Member | Callable[[], archives.Member], targets: str, unit: str = "") -> Item:
    return Item(lambda split: (corpora.file_example(file, targets=targets),), unit)


def _trees(description: Description, path: Path) -> Iterator[Item]:
    return map(_as_item, treebank.examples(_member(description, path)))


READERS: dict[str, Callable[[Description, Path], Iterator[Item]]] = {
    "text_pairs": _pairs,
    "image_folder": _pictures,
    "image_captions": _captioned,
    "speech_manifest": _recordings,
    "treebank_files": _trees,
}
