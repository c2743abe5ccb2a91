"""Decodes a sound file of any kind, or an array, to the int16 samples that records hold and models read."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
from typing import NamedTuple

import numpy as np

from t2t_multimodel.data.readers import sphere
from t2t_multimodel.data.readers.sound import containers, flac, kinds, mpeg, ogg
from t2t_multimodel.utils.errors import DataError

# Over two hours at 16 kHz. No recording of a corpus is as long, but a damaged header may say so.
MAX_SAMPLES = 1 << 27
LEAST_RATE = 1000
_COUNTED_RATE = 8000
# Sound mixed in floating point may exceed 1 by some decibels; larger values are on another scale.
MOST_OVER_FULL_SCALE = 8.0
RESAMPLED, MIXED_DOWN, CLIPPED, NO_LENGTH = "resampled", "mixed down", "clipped", "no length in header"
# Loud sound in a lossy coding exceeds full scale, and libsndfile wraps such samples around if it is asked for integers.
_FLOATING = {"FLOAT": "float32", "DOUBLE": "float64", "VORBIS": "float32", "OPUS": "float32"}


@dataclasses.dataclass(frozen=True, eq=False)
class Sound:
    """The samples of a sound as records hold them, and the changes made to get them; its length is the number of samples.

    Attributes:
        samples: int16 [samples], one channel at the wanted rate.
        changes: some of `RESAMPLED`, `MIXED_DOWN`, `CLIPPED` (samples beyond full scale) and `NO_LENGTH` (read to the end of the
            file).
    """

    samples: np.ndarray
    changes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)


class _Stored(NamedTuple):
    """The samples that a reader returns.

    Attributes:
        samples: [samples, channels], int16, or floats with 1 as full scale.
        rate: samples per second.
        clipped: whether the reader itself has clipped some samples.
    """

    samples: np.ndarray
    rate: int
    clipped: bool = False


def decode_audio(content: bytes, sample_rate: int, name: str, max_seconds: float = math.inf) -> Sound:
    """Returns the sound of a whole file of one of the kinds in `kinds.READ`.

    Args:
        content: the file.
        sample_rate: the wanted samples per second; other rates are resampled, and several channels are averaged.
        name: the file's name in messages.
        max_seconds: the longest sound that is taken.

    Raises:
        DataError: the file is empty, of another kind, cut short or damaged; or it has no samples, more than `MAX_SAMPLES`, a
            number of samples that differs from its header's, or samples that are no numbers between -1 and 1; or it is longer
            than `max_seconds`.
    """
    if not content:
        raise DataError(f"{name} is empty (0 bytes)")
    if content[:3] == b"ID3" and content[mpeg.tag_end(content) :][:4] in (b"fLaC", b"RIFF", b"OggS"):
        content = content[mpeg.tag_end(content) :]
    kind = kinds.kind_of(content, name)
    changes: tuple[str, ...] = ()
    if kind == "SPHERE" and sphere.is_shortened(content):
        whole = sphere.expand(content, name)
        parts = [_read(whole, sample_rate, name)]
        sphere.check_samples(content, parts[0].samples, name)
    elif kind == "SPHERE":
        parts = [_read(sphere.with_short_header(content), sample_rate, name, sphere.header_number(content, "sample_count"))]
        sphere.check_samples(content, parts[0].samples, name)
    elif kind in kinds.CHUNKED:
        content, unknown = containers.whole_file(content, name)
        changes = (NO_LENGTH,) if unknown else ()
        parts = [_read(content, sample_rate, name, max_seconds=max_seconds)]
    elif kind == "OGG":
        parts = [_read(link, sample_rate, name, max_seconds=max_seconds) for link in ogg.links(content, name)]
    elif kind == "MP3":
        _check_stream(content, max_seconds, name)
        samples, rate = mpeg.read(content, name)
        parts = [_Stored(samples, rate, clipped=bool(np.any(np.abs(samples) >= 32767 / 32768)))]
    elif not flac.has_length(content):
        _check_stream(content, max_seconds, name)
        parts = [_Stored(*flac.read(content, name))]
    else:
        parts = [_read(content, sample_rate, name, max_seconds=max_seconds)]
    _check_seconds(sum(len(part.samples) / part.rate for part in parts), max_seconds, name)
    return _joined([_as_mono_int16(part, sample_rate, name) for part in parts], changes, parts, sample_rate, name)


def as_sound(raw: bytes | Sound, sample_rate: int, name: str) -> Sound:
    """Returns `raw` itself if it is a Sound, otherwise the sound of a file's bytes; raises the errors of `decode_audio`."""
    return raw if isinstance(raw, Sound) else decode_audio(raw, sample_rate, name)


def from_array(samples: np.ndarray, name: str) -> Sound:
    """Returns the sound of an array, int16 [samples] or floats [samples] between -1 and 1, already at the wanted rate.

    Raises:
        DataError: there are no samples, or they are no numbers between -1 and 1.
    """
    if not len(samples):
        raise DataError(f"{name} holds no samples")
    return _as_mono_int16(_Stored(samples[:, None], 1), 1, name)


def _read(content: bytes, wanted_rate: int, name: str, promised: int | None = None, max_seconds: float = math.inf) -> _Stored:
    """Returns the samples that libsndfile reads; any exception becomes an error of this file alone."""
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            if file.subtype.startswith("MPEG"):
                raise DataError(f"{name} holds MP3 in another container, which is not read; convert it: ffmpeg -i IN OUT.flac")
            _check_length(file.frames * max(file.channels, wanted_rate / file.samplerate), name)
            _check_seconds(file.frames / file.samplerate, max_seconds, name)
            samples = file.read(file.frames, dtype=_FLOATING.get(file.subtype, "int16"), always_2d=True)
            rate, promised = file.samplerate, promised or file.frames
    except DataError:
        raise
    except soundfile.LibsndfileError as error:
        raise DataError(f"{name} is damaged, or of a coding that is not read: {error.error_string}") from None
    except Exception as error:  # soundfile raises many exceptions on files in which libsndfile cannot seek.
        raise DataError(f"{name} is damaged, or of a coding that is not read: {str(error) or type(error).__name__}") from None
    if len(samples) < promised:
        raise DataError(f"{name} is cut short: its header promises {promised} samples, {len(samples)} are there")
    return _Stored(samples, rate)


def _check_length(samples: float, name: str) -> None:
    if samples > MAX_SAMPLES:
        raise DataError(
            f"{name} would have {samples:,.0f} samples, more than the {MAX_SAMPLES:,} that are read; cut it in pieces"
        )


def _check_seconds(seconds: float, max_seconds: float, name: str) -> None:
    if seconds > max_seconds:
        raise DataError(f"{name} is {seconds:,.1f} seconds long, more than the {max_seconds:g} that are taken; cut it in pieces")


def _check_stream(content: bytes, max_seconds: float, name: str) -> None:
    """Raises a DataError if an MP3 or FLAC file, whose header need not give its length, is too long; decodes no more of it."""
    import miniaudio

    if max_seconds == math.inf:
        return
    seconds = 0.0
    with contextlib.suppress(miniaudio.DecodeError):  # a damaged file is the reader's to tell of
        for block in miniaudio.stream_memory(content, nchannels=1, sample_rate=_COUNTED_RATE, frames_to_read=_COUNTED_RATE):
            seconds += len(block) / _COUNTED_RATE
            if seconds > max_seconds:
                raise DataError(f"{name} is longer than the {max_seconds:g} seconds that are taken; cut it in pieces")


def _joined(sounds: list[Sound], changes: tuple[str, ...], parts: list[_Stored], sample_rate: int, name: str) -> Sound:
    samples = sounds[0].samples if len(sounds) == 1 else np.concatenate([sound.samples for sound in sounds])
    if len(samples):
        return Sound(samples, tuple(dict.fromkeys([*changes, *(change for sound in sounds for change in sound.changes)])))
    stored, rate = sum(len(part.samples) for part in parts), parts[0].rate
    if stored:
        raise DataError(f"{name} is too short: {stored} at {rate:,} samples per second leave none at {sample_rate:,}")
    raise DataError(f"{name} holds no samples")


def _as_mono_int16(stored: _Stored, wanted_rate: int, name: str) -> Sound:
    samples, rate = stored.samples, stored.rate
    if samples.dtype == np.int16 and samples.shape[1] == 1 and rate == wanted_rate:
        return Sound(samples[:, 0])
    changes = [CLIPPED] if stored.clipped else []
    mono = samples.mean(axis=1, dtype=np.float64)
    if samples.dtype != np.int16:
        _check_scale(samples, name)
        mono *= 32768.0
    if samples.shape[1] > 1:
        changes.append(MIXED_DOWN)
    if rate != wanted_rate:
        import soxr

        if rate < LEAST_RATE:
            raise DataError(f"{name} is damaged: its header says {rate} samples per second")
        mono = soxr.resample(mono, rate, wanted_rate)
        changes.append(RESAMPLED)
    if len(mono) and np.abs(mono).max() > 32768.0 and CLIPPED not in changes:
        changes.append(CLIPPED)
    return Sound(np.clip(np.rint(mono), -32768, 32767).astype(np.int16), tuple(changes))


def _check_scale(samples: np.ndarray, name: str) -> None:
    """Raises a DataError unless floats [samples, channels] are numbers between -1 and 1, or exceed 1 only slightly."""
    peak = np.abs(samples).max(initial=0.0)
    if not np.isfinite(peak):
        bad = np.count_nonzero(~np.isfinite(samples))
        raise DataError(f"{name} is damaged: {bad} of its {samples.size} samples are no finite numbers")
    if peak > MOST_OVER_FULL_SCALE:
        raise DataError(
            f"{name} holds floating-point samples up to {peak:.6g}, but full scale is 1; divide them by what is full scale "
            "there (32768 for those of 16 bits), or write them as integers"
        )
