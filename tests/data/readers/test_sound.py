"""Sound files of all kinds: the samples, the counted changes, and the messages about files that are not read."""

import io
import struct

import numpy as np
import pytest
import soundfile
import sounds
from sounds import RATE, TONE

from t2t_multimodel.data.readers.sound import decode, kinds
from t2t_multimodel.data.readers.sound.decode import decode_audio, from_array
from t2t_multimodel.utils.errors import DataError

LOSSLESS = [("WAV", "PCM_16"), ("WAVEX", "PCM_16"), ("RF64", "PCM_16"), ("W64", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "PCM_16")]
LOSSLESS += [("CAF", "PCM_16"), ("FLAC", "PCM_16"), ("NIST", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_32"), ("FLAC", "PCM_24")]
LOSSLESS += [("WAV", "FLOAT"), ("WAV", "DOUBLE"), ("AIFF", "FLOAT"), ("CAF", "ALAC_16")]
CODED = [("WAV", "PCM_U8"), ("AIFF", "PCM_S8"), ("WAV", "ULAW"), ("AU", "ALAW"), ("NIST", "ULAW"), ("WAV", "IMA_ADPCM")]
CODED += [("WAV", "MS_ADPCM"), ("WAV", "GSM610"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]


def read(content, rate=RATE):
    return decode_audio(content, rate, "x")


def message(content, rate=RATE):
    with pytest.raises(DataError) as error:
        decode_audio(content, rate, "talks-train, example 3")
    text = str(error.value)
    assert text.startswith("talks-train, example 3 ") and "\n" not in text
    return text.removeprefix("talks-train, example 3 ")


@pytest.mark.parametrize(("kind", "subtype"), LOSSLESS)
def test_what_is_stored_without_loss_comes_out_unchanged(kind, subtype):
    sound = read(sounds.write(TONE / 32768 if subtype in ("FLOAT", "DOUBLE") else TONE, kind, subtype))
    assert sound.samples.dtype == np.int16 and sound.changes == ()
    np.testing.assert_array_equal(sound.samples, TONE)


@pytest.mark.parametrize(("kind", "subtype"), CODED)
def test_what_is_coded_with_loss_comes_out_nearly_as_it_was(kind, subtype):
    sound = read(sounds.write(TONE, kind, subtype))
    assert sound.changes == () and 0 <= len(sound) - len(TONE) < 600  # some fill their last block
    assert np.abs(sound.samples[: len(TONE)].astype(int) - TONE)[300:-300].mean() < 400


def test_channels_are_averaged_and_other_rates_are_resampled_and_both_are_told():
    stereo = read(sounds.write(np.stack([TONE, np.zeros_like(TONE)], axis=1)))
    np.testing.assert_allclose(stereo.samples, TONE / 2, atol=1)
    assert stereo.changes == ("mixed down",)
    higher = read(sounds.write(), 2 * RATE)
    assert len(higher) == 2 * len(TONE) and higher.changes == ("resampled",)
    np.testing.assert_allclose(higher.samples[200:-200:2], TONE[100:-100], atol=60)


@pytest.mark.parametrize(("kind", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("WAV", "FLOAT")])
def test_loud_sound_is_clipped_not_wrapped_and_that_is_told(kind, subtype):
    square = np.clip(np.sin(np.arange(24000) * 0.05) * 3, -1, 1) * 0.999
    content = sounds.write(square * 1.5 if subtype == "FLOAT" else square, kind, subtype, 48000)
    sound, floats = read(content, 48000), soundfile.read(io.BytesIO(content))[0]
    assert np.abs(floats).max() > 1
    assert not np.any(np.sign(sound.samples) != np.sign(floats), where=np.abs(floats) > 0.5)
    assert sound.changes == ("clipped",) and sound.samples.max() == 32767


def test_float_samples_must_lie_on_the_scale_of_1():
    assert read(sounds.write(np.array([0.0, 0.5, -0.5, 2.0]), subtype="FLOAT")).samples.tolist() == [0, 16384, -16384, 32767]
    assert "samples up to 7999, but full scale is 1; divide them" in message(sounds.write(TONE.astype(float), subtype="FLOAT"))
    assert "2 of its 4 samples are no finite numbers" in message(sounds.write(np.array([0, np.nan, np.inf, 0]), subtype="FLOAT"))


def test_arrays_follow_the_same_rules():
    assert from_array(TONE, "x").samples is TONE or np.array_equal(from_array(TONE, "x").samples, TONE)
    np.testing.assert_array_equal(from_array(TONE / 32768, "x").samples, TONE)
    assert from_array(np.array([0.0, 1.5], np.float16), "x").changes == ("clipped",)
    for array, wanted in ((TONE[:0], "holds no samples"), (TONE.astype(np.float32), "full scale is 1"), ([np.nan], "no finite")):
        with pytest.raises(DataError, match=wanted):
            from_array(np.asarray(array), "x")


@pytest.mark.parametrize("kind", ["WAV", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "NIST", "OGG", "MP3"])
@pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.999])
def test_a_file_that_is_cut_is_an_error(kind, part):
    subtype = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}.get(kind, "PCM_16")
    content = sounds.write(TONE, kind, subtype)
    assert message(content[: int(len(content) * part)])[:2] in ("is", "ho")


# The lengths that programs write if they do not know it: ffmpeg, SoX (two), arecord, and headers that were never finished.
@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFF00, 0])
def test_a_wav_without_a_length_is_read_to_its_end_and_that_is_told(size):
    sound = read(sounds.wav(size=size))
    np.testing.assert_array_equal(sound.samples, TONE)
    assert sound.changes == ("no length in header",)


def test_other_chunked_files_without_a_length_are_read_to_their_ends():
    aiff, au, rf64 = (sounds.write(kind=kind) for kind in ("AIFF", "AU", "RF64"))
    place = aiff.index(b"SSND") + 4
    assert read(aiff[:place] + b"\x7f\0\0\x08" + aiff[place + 4 :]).changes == ("no length in header",)
    np.testing.assert_array_equal(read(au[:8] + b"\xff" * 4 + au[12:]).samples, TONE)
    np.testing.assert_array_equal(read(rf64[:28] + b"\0" * 8 + rf64[36:]).samples, TONE)


def test_what_stands_behind_the_sound_of_a_wav_must_be_chunks():
    note = sounds.chunk(b"LIST", b"INFO")
    for content in (sounds.wav(behind=note), sounds.wav(behind=b"\0" * 9), sounds.wav(before=sounds.chunk(b"odd ", b"abc"))):
        assert read(content).changes == ()
    for content in (sounds.wav() + sounds.wav(), sounds.wav(size=4000), sounds.wav(behind=b"\x01\x02\x03\x04" * 50)):
        assert "goes on behind the" in message(content)
    assert message(sounds.wav(pcm=b"", behind=note)) == "holds no samples"
    assert "ends before its sound" in message(sounds.wav()[:40])


def test_a_header_that_a_pipe_repeats_is_no_sound():
    content = sounds.write(kind="W64")
    start, size = content.index(b"data") + 24, content.index(b"data") + 16
    header = content[:size] + b"\0" * 8
    assert "was written to a pipe" in message(header + header + content[start:])


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_streams_of_an_ogg_file_are_read_one_after_the_other_and_their_ends_are_looked_for(subtype):
    content = sounds.write(TONE, "OGG", subtype)
    one = read(content)
    np.testing.assert_array_equal(read(content + content).samples, np.concatenate([one.samples, one.samples]))
    pages = [at for at in range(len(content)) if content[at : at + 4] == b"OggS"]
    assert "without its end-of-stream page" in message(content[: pages[-1]])
    assert "without its end-of-stream page" in message(content[: pages[-1]] + content)
    assert "a page is missing" in message(content[: pages[-2]] + content[pages[-1] :])
    assert "stands no page" in message(content + b"garbage")
    other = content[:14] + b"abcd" + content[18 : pages[1]]
    assert "several streams side by side" in message(content[: pages[1]] + other + content[pages[1] :])


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_a_flac_without_a_length_is_read_to_its_end(subtype):
    content = sounds.write(np.tile(TONE, 3), "FLAC", subtype)
    np.testing.assert_array_equal(read(sounds.flac_without_length(content)).samples, np.tile(TONE, 3))
    for cut in (1, 100, len(content) // 2):
        assert "ends in the middle of a FLAC frame" in message(sounds.flac_without_length(content[:-cut]))


def test_an_mp3_of_variable_rate_without_its_header_is_read_to_its_end():
    content = sounds.write(sounds.quiet_then_loud(), "MP3", "MPEG_LAYER_III", 16000, bitrate_mode="VARIABLE")
    whole, bare = read(content, 16000), read(sounds.mp3_without_header(content), 16000)
    assert len(whole) == 32000 and 32000 <= len(bare) < 34000
    loud = np.abs(bare.samples[-16000:].astype(int)).mean()
    assert loud > 1000
    assert len(soundfile.read(io.BytesIO(sounds.mp3_without_header(content)))[0]) < 24000, "libsndfile loses its end"


def test_frames_of_an_mp3_are_counted_and_tags_are_no_frames():
    content = sounds.write(TONE, "MP3", "MPEG_LAYER_III", 16000)
    bare = sounds.mp3_without_header(content)
    title = b"ID3\x04\0\0" + bytes([0, 0, 1, 0]) + b"x" * 128
    for whole in (title + content, content + b"TAG".ljust(128), title + bare + b"APETAGEX" + b"\0" * 60, content + b"\0" * 50):
        assert len(read(whole, 16000)) >= len(TONE)
    assert "lacks" in message(bare[:-10], 16000)
    assert "its header promises" in message(content[: content.rindex(b"\xff\xf3")], 16000)
    assert "several files in one" in message(content + bare + bare, 16000)
    assert "stands no MP3 frame" in message(bare + b"not a frame", 16000)


def test_a_title_before_other_sound_is_passed_over():
    title = b"ID3\x04\0\0" + bytes([0, 0, 0, 4]) + b"abcd"
    np.testing.assert_array_equal(read(title + sounds.write(kind="FLAC")).samples, TONE)


@pytest.mark.parametrize("header_bytes", [1024, 4096])
def test_sphere_headers_say_their_own_length(header_bytes):
    np.testing.assert_array_equal(read(sounds.sphere(TONE, header_bytes)).samples, TONE)
    np.testing.assert_array_equal(read(sounds.shortened(TONE, header_bytes)).samples, TONE)
    for content in (sounds.sphere(TONE, header_bytes), sounds.shortened(TONE, header_bytes)):
        assert message(content[:-2000])[:2] == "is"
    for content in (sounds.sphere(TONE, header_bytes, checksum=7), sounds.shortened(TONE, header_bytes, checksum=7)):
        assert "modulo 65536, its header says 7" in message(content)


def test_what_is_too_short_to_be_resampled_and_what_is_too_long_are_errors(monkeypatch):
    one = sounds.write(np.array([9], np.int16), rate=44100)
    assert message(one) == "is too short: 1 at 44,100 samples per second leave none at 8,000"
    assert len(read(one, 44100)) == 1
    assert message(sounds.write(TONE[:0])) == "holds no samples"
    assert "its header says 1 samples per second" in message(sounds.wav(rate=1))
    monkeypatch.setattr(decode, "MAX_SAMPLES", 3000)
    assert "would have 4,000 samples, more than the 3,000 that are read; cut it in pieces" in message(sounds.write())


def test_what_a_readers_library_raises_is_an_error_of_the_file(monkeypatch):
    def fail(*arguments, **options):
        raise AssertionError

    monkeypatch.setattr(soundfile.SoundFile, "read", fail)
    assert message(sounds.write()) == "is damaged, or of a coding that is not read: AssertionError"


OTHERS = {
    b"\0\0\0\x20ftypM4A ": "an M4A, MP4 or 3GP file",
    b"\x1aE\xdf\xa3abcdefgh": "a Matroska or WebM file",
    b"\xff\xf1\x50\x80abcd": "an AAC file",
    b"\xff\xfd\x50\x80abcd": "an MPEG file of layer I or II",
    b"Creative Voice File": "a VOC file",
}


@pytest.mark.parametrize("content", OTHERS)
def test_sound_of_another_kind_is_refused_by_name_with_a_way_to_convert_it(content):
    text = message(content + b"\0" * 200)
    assert text == f"is {OTHERS[content]}; {kinds.READ} are read; convert it: ffmpeg -i IN OUT.flac"


@pytest.mark.parametrize("content", [b"<html>404</html>", b"\x89PNG\r\n", TONE.tobytes(), b"RIFF\0\0\0\0AVI "])
def test_what_is_no_sound_is_an_error(content):
    assert message(content) == f"is damaged or no sound file ({kinds.READ} are read)"


def test_mp3_in_a_wav_is_refused_by_name():
    frames = sounds.mp3_without_header(sounds.write(TONE, "MP3", "MPEG_LAYER_III", 16000))
    extension = struct.pack("<HHIHHH", 12, 1, 2, 0, 1, 0)
    content = sounds.wav(frames, tag=0x55, bits=0, rate=16000, extension=extension)
    assert "MP3" in message(content, 16000) or "coding that is not read" in message(content, 16000)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "FLAC without length"])
def test_a_sound_beyond_the_longest_that_is_taken_is_not_read_whole(kind, monkeypatch):
    content = sounds.write(np.tile(TONE, 4), kind.split()[0], None if kind in ("OGG", "MP3") else "PCM_16")
    content = sounds.flac_without_length(content) if kind.endswith("length") else content
    assert len(decode_audio(content, 8000, "x", max_seconds=2.5)) == pytest.approx(16000, abs=2000)
    for module in (decode.flac, decode.mpeg):
        monkeypatch.setattr(module, "read", None)
    with pytest.raises(DataError, match=r"^x is (2\.\d seconds long, more|longer) than the 1\.5"):
        decode_audio(content, 8000, "x", max_seconds=1.5)
