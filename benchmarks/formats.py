"""Tries all formats of sound and pictures in each route (mm-datagen, mm-decoder, SavedModel); writes the tables of docs/data.md.

    python benchmarks/formats.py

The cell of a file that is read says WRONG unless its samples are those that the file was made from, or its pixels those that
Pillow shows. Of sounds that are resampled or lossy, only the length is compared.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import formats_pictures
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))
PAGE = ROOT / "docs" / "data.md"
RATE = 8000
# A route takes a file's bytes and returns its samples and the changes made to them, or raises an exception with the refusal.
Route = Callable[[bytes], tuple[np.ndarray, tuple[str, ...]]]
# Takes a route's result, the row's name and the file, and returns whether the result is right.
Judge = Callable[[np.ndarray, str, bytes], bool]


def sound_files() -> dict[str, bytes]:
    """Returns one file per format, coding and kind of damage of sound, by the name of its row."""
    import sounds

    stereo = np.stack([sounds.TONE, sounds.TONE], axis=1)
    floats = sounds.TONE / 32768
    ogg, opus = sounds.write(kind="OGG", subtype="VORBIS"), sounds.write(kind="OGG", subtype="OPUS")
    flac, mp3 = sounds.write(kind="FLAC"), sounds.write(sounds.TONE, "MP3", "MPEG_LAYER_III", bitrate_mode="VARIABLE")
    return {
        "WAV, 16 bits": sounds.wav(),
        "WAV, 8 bits": sounds.write(subtype="PCM_U8"),
        "WAV, 24 bits": sounds.write(subtype="PCM_24"),
        "WAV, 32 bits": sounds.write(subtype="PCM_32"),
        "WAV, floats": sounds.write(floats, subtype="FLOAT"),
        "WAV, doubles": sounds.write(floats, subtype="DOUBLE"),
        "WAV, floats on the scale of 32768": sounds.write(sounds.TONE.astype(float), subtype="FLOAT"),
        "WAV, floats up to 1.2": sounds.write(floats * 4.9, subtype="FLOAT"),
        "WAV, EXTENSIBLE": sounds.write(kind="WAVEX"),
        "WAV, stereo": sounds.write(stereo),
        "WAV, 44.1 kHz": sounds.write(np.tile(sounds.TONE, 6), rate=44100),
        "WAV, no length in its header": sounds.wav(size=0xFFFFFFFF),
        "WAV, a chunk of odd length": sounds.wav(before=sounds.chunk(b"LIST", b"odd")),
        "WAV, mu-law": sounds.write(subtype="ULAW"),
        "WAV, A-law": sounds.write(subtype="ALAW"),
        "WAV, IMA ADPCM": sounds.write(subtype="IMA_ADPCM"),
        "WAV, Microsoft ADPCM": sounds.write(subtype="MS_ADPCM"),
        "WAV, GSM 6.10": sounds.write(subtype="GSM610"),
        "WAV, cut short": sounds.wav()[:5000],
        "WAV, two files in one": sounds.wav() + sounds.wav(),
        "RF64": sounds.write(kind="RF64"),
        "W64": sounds.write(kind="W64"),
        "AIFF": sounds.write(kind="AIFF"),
        "AU": sounds.write(kind="AU"),
        "CAF": sounds.write(kind="CAF"),
        "CAF, ALAC": sounds.write(kind="CAF", subtype="ALAC_16"),
        "RF64, cut short": sounds.write(kind="RF64")[:5000],
        "AIFF, cut short": sounds.write(kind="AIFF")[:5000],
        "FLAC": flac,
        "FLAC, 24 bits": sounds.write(kind="FLAC", subtype="PCM_24"),
        "FLAC, no length in its header": sounds.flac_without_length(flac),
        "FLAC, cut short": flac[: len(flac) // 2],
        "OGG Vorbis": ogg,
        "OGG Opus": opus,
        "OGG Vorbis, two streams in a chain": ogg + ogg,
        "OGG Vorbis, cut short": ogg[: len(ogg) // 2],
        "MP3": mp3,
        "MP3, without the header that counts its frames": sounds.mp3_without_header(mp3),
        "MP3, cut short": mp3[: len(mp3) // 2],
        "SPHERE": sounds.sphere(sounds.TONE),
        "SPHERE, a header of 4,096 bytes": sounds.sphere(sounds.TONE, 4096),
        "SPHERE, shorten": sounds.shortened(sounds.TONE),
        "M4A": b"\0\0\0\x20ftypM4A " + b"\0" * 500,
        "WebM": b"\x1aE\xdf\xa3" + b"\0" * 500,
    }


def sound_routes() -> dict[str, Route]:
    """Returns the functions that the routes call for one file, by the heads of the columns."""
    import tensorflow as tf

    from t2t_multimodel.data.generation.encode import check_example
    from t2t_multimodel.data.graph.sound import wav_samples
    from t2t_multimodel.data.readers.sound.decode import Sound
    from t2t_multimodel.decoding.files import read_raw
    from t2t_multimodel.features import Audio, Text
    from t2t_multimodel.problem import Problem

    problem = Problem("sounds", Audio(RATE), Text(), "to_english", generate=lambda split, tmp_dir: ())
    served = tf.function(lambda content: wav_samples(content, RATE, tf.constant("file")), autograph=False)

    def datagen(content: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
        checked = check_example(problem, {"inputs": content, "targets": "a sound"}, "file")
        return np.frombuffer(checked.inputs, "<i2"), checked.changes

    def decoder(content: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file"
            path.write_bytes(content)
            try:
                sound = read_raw(problem.inputs, str(path))
            except Exception as error:
                raise type(error)(str(error).replace(str(path), "file")) from None
        assert isinstance(sound, Sound)
        return sound.samples, sound.changes

    def graph(content: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
        try:
            return np.rint(served(tf.constant(content)).numpy() * 32768), ()
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(str(error.message).partition("[file")[2].partition("]")[0].join(["file", ""])) from None

    return {"`mm-datagen`": datagen, "`mm-decoder`, prompt, Python": decoder, "served model": graph}


def cell(route: Route, name: str, content: bytes, is_right: Judge) -> str:
    """Returns the cell of a route and a file: "read", "read: " with the changes, or the line that refuses the file."""
    try:
        values, changes = route(content)
    except Exception as error:
        reason = str(error).removeprefix("file, inputs ").removeprefix("file ").partition(";")[0]
        return f"refused: {textwrap.shorten(reason, 100, placeholder=' ...')}"
    if not is_right(values, name, content):
        return "WRONG"
    return "read" + (f": {', '.join(changes)}" if changes else "")


def sounds_right(samples: np.ndarray, name: str, content: bytes) -> bool:
    """Whether samples are those that the file was made from; of lossy and resampled files, whether there are enough."""
    import sounds

    expected = np.tile(sounds.TONE, max(1, len(samples) // len(sounds.TONE)))
    length = min(len(samples), len(expected))
    alike = np.corrcoef(samples[:length], expected[:length])[0, 1] > 0.9
    lossy = any(word in name for word in ("OGG", "MP3", "44.1", "chain"))  # delayed, resampled, or both
    return len(samples) >= len(sounds.TONE) and bool(alike or lossy)


def table(files: dict[str, bytes], routes: dict[str, Route], is_right: Judge) -> list[str]:
    """Returns a table's lines in Markdown."""
    lines = [f"| file | {' | '.join(routes)} |", "|---" * (len(routes) + 1) + "|"]
    return lines + [
        f"| {name} | {' | '.join(cell(r, name, content, is_right) for r in routes.values())} |" for name, content in files.items()
    ]


def versions(packages: tuple[str, ...]) -> str:
    """Returns the sentence under a table with the command and the versions that made it."""
    found = [f"{package} {importlib.metadata.version(package)}" for package in packages]
    return f"Made by `python benchmarks/formats.py` with Python {platform.python_version()}, {', '.join(found)}"


def replace_section(page: str, name: str, lines: list[str]) -> str:
    """Returns the page with `lines` between the marks of section `name`."""
    begin, end = f"<!-- begin formats: {name} -->\n", f"<!-- end formats: {name} -->\n"
    before, _, rest = page.partition(begin)
    return before + begin + "\n".join(lines) + "\n" + end + rest.partition(end)[2]


def main() -> None:
    """Writes the tables between their marks in docs/data.md."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import soundfile

    page = PAGE.read_text(encoding="utf-8")
    packages = ("soundfile", "miniaudio", "soxr", "desphere", "tensorflow")
    made_with = f"{versions(packages)}, libsndfile {soundfile.__libsndfile_version__}."
    page = replace_section(page, "sound", [*table(sound_files(), sound_routes(), sounds_right), "", made_with])
    rows = table(formats_pictures.picture_files(), formats_pictures.picture_routes(), formats_pictures.is_right)
    page = replace_section(page, "pictures", [*rows, "", f"{versions(formats_pictures.PACKAGES)}."])
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
