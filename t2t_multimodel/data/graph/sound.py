"""Decodes WAV files to samples as operations of a graph, for models that are served without this package.

The samples equal those of `readers.sound.decode`; resampled ones differ by about a thousandth of the sound. Files that cannot be
read are refused with a message.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import tensorflow as tf

from t2t_multimodel.data.readers.sound.containers import LEAST_PLACEHOLDER
from t2t_multimodel.data.readers.sound.decode import LEAST_RATE, MOST_OVER_FULL_SCALE

READ = (
    "WAV (RIFF) with integers of 8, 16, 24 or 32 bits or floats of 32 or 64 bits, EXTENSIBLE or not, of any number of channels "
    f"and any sample rate from {LEAST_RATE:,} per second"
)
# soxr's high-quality filter, over the lower of the two Nyquist frequencies: the frequency at which its response is one half, and
# the width of its slope.
_HALF, _SLOPE = 0.9569, 0.01193
_PADDING = 2048  # input samples of silence between a sound's end and its beginning, since a Fourier transform is circular


class _Chunk(NamedTuple):
    """A chunk of a WAV file: its name, the offset of its content, and the size of its content in its header; int64 []."""

    name: tf.Tensor
    start: tf.Tensor
    size: tf.Tensor


def wav_samples(content: tf.Tensor, sample_rate: int, name: tf.Tensor) -> tf.Tensor:
    """Returns float32 [samples] in [-1, 1] at `sample_rate`, rounded to 16 bits; channels are averaged.

    Args:
        content: string [], the bytes of a WAV file.
        sample_rate: the wanted samples per second.
        name: string [], the sound's name in messages.

    Raises:
        tf.errors.InvalidArgumentError: `content` is no whole WAV file, or its coding is not among `READ`.
    """
    total = tf.cast(tf.strings.length(content), tf.int64)
    is_wav = (_part(content, 0, 4) == "RIFF") & (_part(content, 8, 4) == "WAVE")
    with tf.control_dependencies([_check(is_wav, name, f"is no WAV file; a served model reads {READ}")]):
        form, sound = _find_chunks(tf.identity(content), total)
    checks = [
        _check(sound.name == "data", name, "is cut short: it ends before its sound"),
        _check(form.name == "fmt ", name, "is damaged: no format chunk stands before its sound"),
    ]
    with tf.control_dependencies(checks):
        tag, channels, rate, width = _format(content, form, name)
        size = _whole_size(content, sound, total, name)
    with tf.control_dependencies([_check(channels > 0, name, "is damaged: its header says 0 channels")]):
        frame = channels * width
        values = _decoded(_part(content, sound.start, size // frame * frame), tag, width)
    peak = tf.reduce_max(tf.abs(values))
    checks = [
        _check(tf.size(values) > 0, name, "holds no samples"),
        _check(tf.reduce_all(tf.math.is_finite(values)), name, "is damaged: some of its samples are no finite numbers"),
        _check(peak <= 32768 * MOST_OVER_FULL_SCALE, name, "holds floating-point samples far beyond 1, which is full scale"),
    ]
    with tf.control_dependencies(checks):
        mono = tf.reduce_mean(tf.reshape(values, tf.stack([-1, channels])), axis=1)
    mono = tf.cond(rate == sample_rate, lambda: mono, lambda: _resampled(mono, rate, sample_rate, name))
    return tf.cast(tf.clip_by_value(tf.round(mono), -32768, 32767), tf.float32) / 32768


def _check(right: tf.Tensor, name: tf.Tensor, message: str) -> tf.Operation:
    return tf.debugging.Assert(right, [tf.strings.join([name, " ", message])])


def _part(content: tf.Tensor, at: Any, size: Any) -> tf.Tensor:
    """Returns the `size` bytes at offset `at`, or fewer at the end."""
    total = tf.cast(tf.strings.length(content), tf.int64)
    return tf.strings.substr(content, tf.minimum(tf.cast(at, tf.int64), total), tf.cast(size, tf.int64))


def _number(content: tf.Tensor, at: Any, size: int) -> tf.Tensor:
    """Returns the unsigned little-endian number of `size` bytes at offset `at`, int64 []; 0 if the content ends before it."""
    part = tf.io.decode_raw(tf.strings.join([_part(content, at, size), "\0" * size]), tf.uint8)
    return tf.reduce_sum(tf.cast(part[:size], tf.int64) * tf.constant([256**i for i in range(size)], tf.int64))


def _chunk(content: tf.Tensor, at: tf.Tensor) -> _Chunk:
    return _Chunk(_part(content, at, 4), at + 8, _number(content, at + 4, 4))


def _next(chunk: _Chunk) -> tf.Tensor:
    return chunk.start + chunk.size + chunk.size % 2


def _find_chunks(content: tf.Tensor, total: tf.Tensor) -> tuple[_Chunk, _Chunk]:
    """Returns the format chunk and the first chunk of samples after it; a missing one is returned as a chunk of another name."""
    nothing = _Chunk(tf.constant(""), tf.constant(0, tf.int64), tf.constant(0, tf.int64))

    def goes_on(at: tf.Tensor, form: _Chunk, last: _Chunk) -> tf.Tensor:
        return (at + 8 <= total) & (last.name != "data")

    def step(at: tf.Tensor, form: _Chunk, last: _Chunk) -> tuple[tf.Tensor, _Chunk, _Chunk]:
        chunk = _chunk(content, at)
        form = _Chunk(*(tf.where(chunk.name == "fmt ", new, old) for new, old in zip(chunk, form, strict=True)))
        return _next(chunk), form, chunk

    _, form, last = tf.while_loop(goes_on, step, (tf.constant(12, tf.int64), nothing, nothing))
    return form, last


def _format(content: tf.Tensor, form: _Chunk, name: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Returns the format tag (1 for integers, 3 for floats), channels, samples per second and bytes per sample, int64 [] each."""
    tag, channels, rate, bits = (_number(content, form.start + at, size) for at, size in ((0, 2), (2, 2), (4, 4), (14, 2)))
    tag = tf.where((tag == 0xFFFE) & (form.size >= 26), _number(content, form.start + 24, 2), tag)
    integers = (tag == 1) & tf.reduce_any(bits == tf.constant([8, 16, 24, 32], tf.int64))
    floats = (tag == 3) & tf.reduce_any(bits == tf.constant([32, 64], tf.int64))
    found = tf.strings.join([name, " is coded with format ", tf.as_string(tag), " of ", tf.as_string(bits), " bits"])
    with tf.control_dependencies([_check(integers | floats, found, f"per sample; a served model reads {READ}")]):
        return tf.identity(tag), channels, rate, bits // 8


def _whole_size(content: tf.Tensor, sound: _Chunk, total: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
    """Returns the number of bytes of sound: the header's number, or all that follow if the header has no length."""
    there = total - sound.start
    only_chunks = _only_chunks(content, _next(sound), total)
    unknown = ((sound.size >= LEAST_PLACEHOLDER) & (sound.size > there)) | ((sound.size == 0) & (there > 0) & ~only_chunks)
    checks = [
        _check(unknown | (there >= sound.size), name, "is cut short: its header promises more sound than is there"),
        _check(
            unknown | only_chunks,
            name,
            "goes on behind the sound that its header promises: several files in one?",
        ),
    ]
    with tf.control_dependencies(checks):
        return tf.where(unknown, there, sound.size)


def _only_chunks(content: tf.Tensor, start: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
    """Returns whether only whole chunks, an ID3 tag, or zeros follow from `start` on."""

    def is_whole(at: tf.Tensor) -> tf.Tensor:
        chunk = _chunk(content, at)
        named = tf.strings.regex_full_match(chunk.name, "[ -~]{4}") & (chunk.name != "RIFF") & (chunk.name != "FORM")
        return (at + 8 <= total) & named & (chunk.start + chunk.size <= total)

    at = tf.while_loop(is_whole, lambda at: (_next(_chunk(content, at)),), (start,))[0]
    rest = _part(content, at, tf.maximum(total - at, 0))
    zeros = tf.reduce_all(tf.io.decode_raw(rest, tf.uint8) == 0)
    return zeros | ((total - at == 128) & (_part(rest, 0, 3) == "TAG"))


def _decoded(pcm: tf.Tensor, tag: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Returns float64 [samples] at a full scale of 32768; of integers only the upper 16 bits are used."""

    def integers() -> tf.Tensor:
        values = tf.reshape(tf.cast(tf.io.decode_raw(pcm, tf.uint8), tf.int32), tf.stack([-1, width]))
        high, low = values[:, -1], values[:, -tf.minimum(width, 2)]
        signed = tf.where(width == 1, high - 128, high - 256 * tf.cast(high > 127, tf.int32))
        return tf.cast(signed * 256 + tf.where(width == 1, 0, low), tf.float64)

    def floats() -> tf.Tensor:
        double = tf.cond(
            width == 8,
            lambda: tf.io.decode_raw(pcm, tf.float64),
            lambda: tf.cast(tf.io.decode_raw(pcm, tf.float32), tf.float64),
        )
        return double * 32768.0

    return tf.cond(tag == 3, floats, integers)


def _resampled(samples: tf.Tensor, rate: tf.Tensor, wanted: int, name: tf.Tensor) -> tf.Tensor:
    """Returns float64 [samples] at another rate: cuts or extends the spectrum and applies soxr's response."""
    too_low = f"is damaged: its header says less than {LEAST_RATE:,} samples per second"
    with tf.control_dependencies([_check(rate >= LEAST_RATE, name, too_low)]):
        divisor = tf.while_loop(lambda a, b: b > 0, lambda a, b: (b, a % b), (rate, tf.constant(wanted, tf.int64)))[0]
    count = tf.size(samples, out_type=tf.int64)
    length = (2 * count * wanted + rate) // (2 * rate)
    with tf.control_dependencies([_check(length > 0, name, f"is too short: it leaves no sample at {wanted:,} per second")]):
        steps = (count + _PADDING) * divisor // rate + 1
    before, after = steps * (rate // divisor), steps * (wanted // divisor)
    lower = tf.minimum(before, after)
    spectrum = tf.signal.rfft(tf.pad(samples, [[0, before - count]]))[: lower // 2 + 1]
    place = tf.cast(tf.range(lower // 2 + 1), tf.float64) * 2 / tf.cast(lower, tf.float64)
    response = tf.where(place < 1, 0.5 * tf.math.erfc((place - _HALF) / (_SLOPE * math.sqrt(2))), 0)
    spectrum *= tf.cast(response * tf.cast(after, tf.float64) / tf.cast(before, tf.float64), tf.complex128)
    spectrum = tf.pad(spectrum, [[0, after // 2 - lower // 2]])
    return tf.signal.irfft(spectrum, [tf.cast(after, tf.int32)])[:length]
