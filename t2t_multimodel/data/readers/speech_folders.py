"""Reads folders of recordings with their transcripts: Kaldi's data folders, and trees as LibriSpeech has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from t2t_multimodel.data.readers import archives
from t2t_multimodel.data.readers.pictures.class_folders import is_hidden
from t2t_multimodel.data.readers.sound.segments import Span
from t2t_multimodel.utils.errors import DataError

TRANSCRIPTS = ".trans.txt"
SOUNDS = (".flac", ".wav", ".ogg", ".opus", ".mp3", ".sph")
_TO_THE_END = -1.0


class Utterance(NamedTuple):
    """A recording or a segment of one, with its transcript.

    Attributes:
        origin: the file and the line that lists it, for messages.
        recording: the path of the file, or the file itself if a table holds it.
        transcript: the spoken words.
        speaker: the speaker's name; "" is unknown.
        span: the segment of the recording; None is all of it.
        error: the reason why it cannot be read, or None; with an error, all fields but `origin` and `speaker` may be empty.
        left_out: the reason why it is left out on purpose; "" if it is not.
    """

    origin: str
    recording: Path | archives.Member = Path()
    transcript: str = ""
    speaker: str = ""
    span: Span | None = None
    error: DataError | None = None
    left_out: str = ""


class _Entry(NamedTuple):
    """A line of a Kaldi file: its place, and the text after its first word."""

    origin: str
    value: str


def is_kaldi(folder: Path) -> bool:
    """Returns whether a folder is a data folder of Kaldi."""
    return (folder / "wav.scp").is_file()


def kaldi(folder: Path, encoding: str = "utf-8") -> Iterator[Utterance]:
    """Yields the utterances of a data folder: `text`, `wav.scp`, and `segments` and `utt2spk` if they exist.

    A path in `wav.scp` is absolute, or relative to the folder or to the one two above it, in which a recipe runs. A command in it
    is not run: its utterances are errors. Utterances without a line in `text` are left out.

    Raises:
        DataError: `text` is missing, or a file is damaged.
    """
    tables = {name: _table(folder, name, encoding) for name in ("text", "wav.scp", "segments", "utt2spk")}
    if not (folder / "text").is_file():
        raise DataError(f"{folder} has wav.scp but no text; expected a line per utterance in {folder / 'text'}")
    listed = tables["segments"] or tables["wav.scp"]
    for name, entry in tables["text"].items():
        speaker = tables["utt2spk"].get(name, _Entry("", "")).value
        try:
            recording, span = _kaldi_place(folder, name, tables)
            yield Utterance(entry.origin, recording, entry.value, speaker, span)
        except DataError as error:
            yield Utterance(entry.origin, speaker=speaker, error=DataError(f"{entry.origin}: {error}"))
    for name in listed:
        if name not in tables["text"]:
            yield Utterance(listed[name].origin, left_out="utterances without text")


def _kaldi_place(folder: Path, name: str, tables: Mapping[str, Mapping[str, _Entry]]) -> tuple[Path, Span | None]:
    """Returns the file of an utterance's recording, and the segment.

    Raises:
        DataError: the utterance is listed nowhere, its segment is not two times, or its recording is a command.
    """
    span = None
    recording = name
    if tables["segments"]:
        segment = tables["segments"].get(name)
        if segment is None:
            raise DataError(f"{name} has no line in {folder / 'segments'}")
        recording, *times = segment.value.split()
        try:
            start, end = map(float, times)
        except ValueError:
            raise DataError(
                f"{segment.origin}: expected utterance, recording, start and end, got {segment.value[:80]!r}"
            ) from None
        span = Span(start, None if end == _TO_THE_END else end)
    entry = tables["wav.scp"].get(recording)
    if entry is None:
        raise DataError(f"{recording} has no line in {folder / 'wav.scp'}")
    if entry.value.endswith("|"):
        command = f"{entry.value[:60]} ... |" if len(entry.value) > 60 else entry.value
        raise DataError(
            f"{entry.origin} is a command, {command!r}, which is not run; write the path of a file (SPHERE is read too)"
        )
    inside, recipe = folder / entry.value, folder.parent.parent / entry.value
    return recipe if recipe.exists() and not inside.exists() else inside, span


def _table(folder: Path, name: str, encoding: str) -> dict[str, _Entry]:
    """Returns the lines of a file by their first word; {} if there is no file.

    Raises:
        DataError: the file is damaged, or two lines begin with the same word.
    """
    if not (folder / name).is_file():
        return {}
    found: dict[str, _Entry] = {}
    for origin, key, value in _keyed_lines(archives.Folder(folder).open(name)._replace(encoding=encoding)):
        if key in found:
            raise DataError(f"{origin}: {key} stands in {found[key].origin} already; each may stand there once")
        found[key] = _Entry(origin, value)
    return found


def _keyed_lines(member: archives.Member) -> Iterator[tuple[str, str, str]]:
    """Yields the place of each line that is not empty, its first word, and the rest."""
    for number, line in enumerate(archives.lines(member), 1):
        origin = f"line {number} of {member.origin}"
        words = archives.decoded(line, origin).split(maxsplit=1)
        if words:
            yield origin, words[0], words[1].strip() if len(words) > 1 else ""


def transcripts_of(folder: Path) -> list[Path]:
    """Returns the files of transcripts below a folder, sorted."""
    return sorted(path for path in folder.rglob(f"*{TRANSCRIPTS}") if not is_hidden(path.relative_to(folder).as_posix()))


def libri(folder: Path, encoding: str = "utf-8") -> Iterator[Utterance]:
    """Yields the utterances of a tree of folders with files `*.trans.txt`.

    A line has the name of a recording beside the file, without its suffix, and the transcript. The speaker is the name of
    the folder above the file's. Recordings without a line are left out.

    Raises:
        DataError: a file is damaged.
    """
    for path in transcripts_of(folder):
        beside = {file.stem: file for file in sorted(path.parent.iterdir()) if file.suffix.lower() in SOUNDS}
        speaker = path.parent.parent.name
        member = archives.Folder(path.parent).open(path.name)._replace(encoding=encoding)
        for origin, name, text in _keyed_lines(member):
            if name in beside:
                yield Utterance(origin, beside.pop(name), text, speaker)
            else:
                wanted = f"{path.parent / name}{{{','.join(SOUNDS)}}}"
                yield Utterance(origin, speaker=speaker, error=DataError(f"{origin}: {name} is missing; expected {wanted}"))
        for file in beside.values():
            yield Utterance(str(file), left_out="recordings without a transcript")
