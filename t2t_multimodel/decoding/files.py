"""Inputs that a user names: a line of text, or the path of an image or a sound file; one by one or a file of them."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t2t_multimodel.data.normalization import normalize_spaces
from t2t_multimodel.data.readers.pictures import read as pictures
from t2t_multimodel.data.readers.sound import kinds
from t2t_multimodel.data.readers.sound.decode import Sound, decode_audio
from t2t_multimodel.features import Audio, Feature, Image
from t2t_multimodel.utils.errors import DataError
from t2t_multimodel.utils.files import look_alike

if TYPE_CHECKING:  # the decoder imports TensorFlow, which reading a file need not wait for
    from t2t_multimodel.decoding.predictor import Prediction, Progress, Raw

FILES_AT_A_TIME, BATCHES_AT_A_TIME = 4, 64  # batches whose pictures and sounds, or texts, are sorted by length together
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# A line of text may hold a vertical tab or a form feed, which are blanks.
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def read_lines(path: Path) -> list[bytes]:
    """The lines of a file, undecoded; raises OSError where it cannot be read."""
    lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    if not lines[-1]:
        del lines[-1]
    return [line.removesuffix(b"\r") for line in lines]


def read_text(line: bytes | str) -> str:
    """The text of a line without blanks around it; raises DataError if it is binary."""
    try:
        text = line.decode("utf-8") if isinstance(line, bytes) else line.encode("utf-8").decode("utf-8")
    except UnicodeError:
        raise DataError("the line is not UTF-8 text") from None
    if _NO_TEXT.search(text):
        raise DataError("the line holds control characters; expected text")
    return text.removeprefix("\ufeff").strip()


def read_raw(feature: Feature, text: str, folder: Path = Path()) -> Raw:
    """What the line `text` stands for: itself, or of the file it names the StoredPicture or the Sound.

    Args:
        folder: where relative paths are looked up first; then the current folder.

    Raises:
        DataError: there is no such file, or it is no whole image or sound.
    """
    if not isinstance(feature, (Image, Audio)):
        return text
    what = f"an image ({pictures.READ})" if isinstance(feature, Image) else f"a sound file ({kinds.READ})"
    path = _existing(text, folder)
    if path is None:
        raise DataError(f"there is no file {text!r}; expected the path of {what}")
    if not path.is_file():
        raise DataError(f"{path} is no file; expected the path of {what}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    if isinstance(feature, Audio):
        return decode_audio(content, feature.sample_rate, str(path))
    return pictures.stored_picture(content, str(path))


def changes_of(raw: Raw) -> tuple[str, ...]:
    """What was done to an input before the model reads it, as "resampled"."""
    return raw.changes if isinstance(raw, (Sound, pictures.StoredPicture)) else ()


def decode_lines(
    decoder: Any,
    problem: str,
    lines: Sequence[bytes],
    folder: Path,
    batch_size: int,
    report: Callable[[int, str], None],
    progress: Progress | None = None,
    changed: Counter[str] | None = None,
) -> Iterator[list[Prediction | None]]:
    """Yields the answers to `lines`, block by block: None for an empty line, and for a damaged one, of which `report` is told.

    Lines of like length are decoded together within a block of `BATCHES_AT_A_TIME` batches.

    Args:
        decoder: a Predictor.
        folder: where the lines' relative paths start.
        report: called with the number of a line, from 1, and what is wrong with it, or that it was cut.
        progress: told how many lines are done.
        changed: counts the inputs to which something was done, as "resampled".
    """
    feature = decoder.spec(problem).inputs
    step = batch_size * (FILES_AT_A_TIME if isinstance(feature, (Image, Audio)) else BATCHES_AT_A_TIME)
    for start in range(0, len(lines), step):
        block = lines[start : start + step]
        answers: list[Prediction | None] = [None] * len(block)
        inputs = dict(_readable(feature, block, start, folder, report))
        for row, raw in inputs.items():
            if cut := decoder.longest_input(problem, raw):
                report(row + 1, f"too long; cut to {cut}")
            if changed is not None:
                changed.update(changes_of(raw))
        found = decoder.answers(problem, list(inputs.values()), batch_size, progress)
        for row, answer in zip(inputs, found, strict=True):
            answers[row - start] = answer
        if progress:
            progress(len(block) - len(inputs))
        yield answers


def one_line(output: str) -> str:
    """`output` without line breaks and what else steers a terminal, which a model may well produce."""
    return _CONTROL_CHARACTERS.sub(" ", " ".join(output.splitlines()))


def _readable(
    feature: Feature, lines: Sequence[bytes], start: int, folder: Path, report: Callable[[int, str], None]
) -> Iterator[tuple[int, Raw]]:
    """(place, raw input) of the lines that are neither empty nor damaged."""
    for row, line in enumerate(lines, start=start):
        try:
            text = read_text(line)
            if normalize_spaces(text):
                yield row, read_raw(feature, text, folder)
        except DataError as error:
            report(row + 1, str(error))


def _existing(text: str, folder: Path) -> Path | None:
    """The path that `text` names, also in quotes or starting with ~, as terminals paste it."""
    for name in (text, text.strip("'\"")):
        try:
            path = look_alike(folder / Path(name).expanduser())
            if path.exists():
                return path
        except (OSError, RuntimeError, ValueError):  # too long for a path, or no such user's home
            continue
    return None
