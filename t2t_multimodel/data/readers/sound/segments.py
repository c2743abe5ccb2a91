"""Cuts segments out of long recordings."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from t2t_multimodel.data.readers import archives
from t2t_multimodel.data.readers.sound.decode import Sound, decode_audio
from t2t_multimodel.utils.errors import DataError

# The largest recording in bytes, several hours, since all of it is read for its segments.
MAX_BYTES = 2 << 30
# Segments may end as many seconds behind their recording as Kaldi's extract-segments allows (--max-overshoot).
MAX_OVERSHOOT = 0.5
SHORTENED = "cut at the recording's end"


class Span(NamedTuple):
    """A part of a recording, in seconds; `end` None is the recording's end."""

    start: float
    end: float | None


class Cut(NamedTuple):
    """A segment: a WAV file of one channel of 16 bits, and the changes to the sound (see `Sound.changes`)."""

    content: bytes
    changes: tuple[str, ...]


class SegmentReader:
    """Reads segments of recordings; the last recording is kept, since its segments usually follow each other.

    Args:
        sample_rate: the samples per second of the segments.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._name = ""
        self._sound = Sound(np.zeros(0, np.int16))

    def read(self, open_recording: Callable[[], archives.Member], span: Span) -> Cut:
        """Returns a segment of a recording.

        Raises:
            DataError: the recording is missing or damaged, or has no such segment.
        """
        member = open_recording()
        if member.origin != self._name:
            content = archives.read(member, MAX_BYTES)
            self._sound, self._name = decode_audio(content, self._rate, member.origin), member.origin
        seconds = len(self._sound) / self._rate
        end = seconds if span.end is None else span.end
        asked = f"{member.origin}: the segment from {span.start:g} to {end:g} s"
        if not 0 <= span.start < end:
            raise DataError(f"{asked} is none; start must be at least 0 and end above it, in seconds")
        if end > seconds + MAX_OVERSHOOT or span.start >= seconds:
            raise DataError(f"{asked} ends behind the recording, which has {seconds:.2f} s")
        samples = self._sound.samples[round(span.start * self._rate) : round(end * self._rate)]
        shortened = (SHORTENED,) * (round(end * self._rate) > len(self._sound))
        return Cut(_wav(samples, self._rate), (*self._sound.changes, *shortened))


def _wav(samples: np.ndarray, rate: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()
