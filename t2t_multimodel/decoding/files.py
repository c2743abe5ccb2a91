"""Reads and decodes a user's inputs: lines of text, or paths of image and sound files."""

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
    from t2t_multimodel.decoding.hypothesis import Prediction
    from t2t_multimodel.decoding.inputs import Raw
    from t2t_multimodel.decoding.predictor import Progress

# Batches in a block, within which inputs are sorted by length: of images and sounds, of texts.
FILES_AT_A_TIME, BATCHES_AT_A_TIME = 4, 64
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# Vertical tabs and form feeds are allowed in text, as blanks.
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def read_lines(path: Path) -> list[bytes]:
    """Returns the lines of a file as bytes, without line ends and byte order mark.

    Raises:
        OSError: the file cannot be read.
    """
    lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    if not lines[-1]:
        del lines[-1]
    return [line.removesuffix(b"\r") for line in lines]


def read_text(line: bytes | str) -> str:
    """Returns the text of a line without blanks around it.

    Raises:
        DataError: the line is not UTF-8 or has control characters.
    """
    try:
        text = line.decode("utf-8") if isinstance(line, bytes) else line.encode("utf-8").decode("utf-8")
    except UnicodeError:
        raise DataError("the line is not UTF-8 text") from None
    if _NO_TEXT.search(text):
        raise DataError("the line holds control characters; expected text")
    return text.removeprefix("\ufeff").strip()


def read_raw(feature: Feature, text: str, folder: Path = Path()) -> Raw:
    """Returns the input for the line `text`: the text itself, or the StoredPicture or Sound in the file that it names.

    Args:
        feature: the problem's inputs.
        text: a line from `read_text`.
        folder: where relative paths start.

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
    """Returns the names of the changes that reading made to an input, such as "resampled"."""
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
    **details: bool,
) -> Iterator[list[Prediction | None]]:
    """Yields the predictions for `lines`, block by block, with None for an empty or damaged line.

    Inputs of similar length are decoded together within a block of `BATCHES_AT_A_TIME` batches, or `FILES_AT_A_TIME` batches of
    images or sounds.

    Args:
        decoder: a Predictor.
        problem: the problem's name.
        lines: as `read_lines` returns them.
        folder: where the lines' relative paths start.
        batch_size: inputs per batch.
        report: called with the number of a damaged or shortened line, counted from 1, and a message.
        progress: called with the number of lines that have been decoded since the last call.
        changed: counts the inputs that reading changed, per kind of change (see `changes_of`).
        **details: `token_scores` and `attention` of Predictor.predict.
    """
    feature = decoder.spec(problem).inputs
    step = batch_size * (FILES_AT_A_TIME if isinstance(feature, (Image, Audio)) else BATCHES_AT_A_TIME)
    for start in range(0, len(lines), step):
        block = lines[start : start + step]
        predictions: list[Prediction | None] = [None] * len(block)
        inputs = dict(_readable(feature, block, start, folder, report))
        for row, raw in inputs.items():
            if cut := decoder.longest_input(problem, raw):
                report(row + 1, f"too long; cut to {cut}")
            if changed is not None:
                changed.update(changes_of(raw))
        found = decoder.predict(problem, list(inputs.values()), batch_size, progress, **details)
        for row, prediction in zip(inputs, found, strict=True):
            predictions[row - start] = prediction
        if progress:
            progress(len(block) - len(inputs))
        yield predictions


def one_line(output: str) -> str:
    """Returns `output` on one line, without control characters, since a model may write both."""
    return _CONTROL_CHARACTERS.sub(" ", " ".join(output.splitlines()))


def _readable(
    feature: Feature, lines: Sequence[bytes], start: int, folder: Path, report: Callable[[int, str], None]
) -> Iterator[tuple[int, Raw]]:
    """Yields (index, input) for the lines that are neither empty nor damaged; indices count from `start`."""
    for row, line in enumerate(lines, start=start):
        try:
            text = read_text(line)
            if normalize_spaces(text):
                yield row, read_raw(feature, text, folder)
        except DataError as error:
            report(row + 1, str(error))


def _existing(text: str, folder: Path) -> Path | None:
    """Returns the existing path that `text` names, or None. It may be in quotes or start with ~, as terminals paste it."""
    for name in (text, text.strip("'\"")):
        try:
            path = look_alike(folder / Path(name).expanduser())
            if path.exists():
                return path
        except (OSError, RuntimeError, ValueError):  # the text is too long for a path, or names no user's home
            continue
    return None
