"""The graph reads WAV files to the readers' samples; it refuses others with a sentence that says why."""

import numpy as np
import pytest
import sounds
import tensorflow as tf
from sounds import TONE

from t2t_multimodel.data.graph.sound import wav_samples
from t2t_multimodel.data.readers.sound.decode import decode_audio
from t2t_multimodel.utils.errors import DataError

RATE = 8000


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def graph_samples(content):
    return wav_samples(content, RATE, tf.constant("input 2 of 3"))


def read(content):
    """Returns the int16 samples that the graph reads."""
    return np.rint(graph_samples(content).numpy() * 32768).astype(np.int16)


STEREO = np.stack([TONE, TONE[::-1]], axis=1)
FLOATS = np.sin(np.arange(2000) * 0.3) * 1.2
WHOLE = {
    "16 bits": sounds.wav(),
    "8 bits": sounds.write(subtype="PCM_U8"),
    "24 bits": sounds.write(TONE.astype(np.int32) * 65536 + 777, subtype="PCM_24"),
    "32 bits": sounds.write(TONE.astype(np.int32) * 65536 - 777, subtype="PCM_32"),
    "floats": sounds.write(FLOATS, subtype="FLOAT"),
    "doubles": sounds.write(FLOATS, subtype="DOUBLE"),
    "stereo": sounds.write(STEREO),
    "six channels of 24 bits, extensible": sounds.write(np.tile(STEREO, 3), "WAVEX", "PCM_24"),
    "extensible": sounds.wav(tag=0xFFFE, extension=sounds.extensible(16)),
    "extensible floats": sounds.wav(FLOATS.astype("<f4").tobytes(), bits=32, tag=0xFFFE, extension=sounds.extensible(32, 3)),
    "a chunk of odd length": sounds.wav(before=sounds.chunk(b"LIST", b"odd"), behind=sounds.chunk(b"note", b"odd")),
    "an odd number of bytes": sounds.wav(TONE.tobytes() + b"x"),
    "a tag at its end": sounds.wav(behind=b"TAG".ljust(128)),
    "from ffmpeg's pipe": sounds.wav(size=0xFFFFFFFF),
    "from SoX's pipe": sounds.wav(size=0x7FFFF000),
    "without a length": sounds.wav(size=0),
    "one sample": sounds.wav(b"\1\2"),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_samples_are_those_of_the_readers(kind):
    np.testing.assert_array_equal(read(WHOLE[kind]), decode_audio(WHOLE[kind], RATE, "x").samples)


@pytest.mark.parametrize("rate", [16000, 44100, 48000, 22050, 4000, 1000, 11127])
def test_other_rates_are_resampled_nearly_as_by_the_readers(rate):
    time = np.arange(3 * rate // 2) / rate
    speech = sum(np.sin(2 * np.pi * pitch * time + pitch) for pitch in (130, 260, 440)) * (1 + np.sin(9 * time)) * 3000
    content = sounds.write(np.stack([speech, speech / 2], axis=1).astype(np.int16), rate=rate)
    found, expected = read(content).astype(int), decode_audio(content, RATE, "x").samples.astype(int)
    assert len(found) == len(expected)
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.002 * expected.std()


def test_what_lies_above_the_wanted_rate_is_filtered_out():
    content = sounds.write((np.sin(2 * np.pi * 7000 * np.arange(48000) / 48000) * 20000).astype(np.int16), rate=48000)
    assert np.abs(read(content)[500:-500]).max() < 20


REFUSED = {
    "is no WAV file; a served model reads WAV (RIFF) with integers of 8": sounds.write(kind="FLAC"),
    "is coded with format 7 of 8 bits per sample": sounds.write(subtype="ULAW"),
    "is coded with format 17 of 4 bits per sample": sounds.write(subtype="IMA_ADPCM"),
    "is cut short: its header promises more": sounds.wav()[:-9],
    "is cut short: it ends before its sound": sounds.wav()[:37],
    "goes on behind the sound": sounds.wav() + sounds.wav(),
    "holds no samples": sounds.wav(b"", behind=sounds.chunk(b"LIST", b"INFO")),
    "is too short: it leaves no sample at 8,000": sounds.wav(b"\1\2", rate=44100),
    "says less than 1,000 samples per second": sounds.wav(rate=1),
    "samples far beyond 1": sounds.write(TONE.astype(float), subtype="FLOAT"),
    "no finite numbers": sounds.write(np.array([0, np.nan]), subtype="FLOAT"),
    "0 channels": sounds.wav(channels=0),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_not_read_is_refused_in_a_sentence(message):
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        graph_samples(REFUSED[message])
    assert "input 2 of 3 " in str(error.value) and message in str(error.value)
    if "format" not in message and "WAV" not in message:  # the readers refuse what is damaged too
        with pytest.raises(DataError):
            decode_audio(REFUSED[message], RATE, "x")
