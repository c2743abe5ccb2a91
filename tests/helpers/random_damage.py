"""Damages whole files of every kind at random, in the same ways for the same seed.

`files` returns them. Each has a kind (a key of `WHOLE`), the bytes, and the way in which they were damaged.
"""

import gzip
import io
import json
import random
from typing import NamedTuple

import corpora
import numpy as np
import own_files
import pictures
import soundfile
import sounds
from PIL import Image

LINES = 12
WORDS = "the a dog cat whale bird fish sees likes hears seeks red green".split()


class DamagedFile(NamedTuple):
    """A damaged file: its kind, a name without a folder, its bytes, how they were damaged, and the lines that are as before."""

    kind: str
    name: str
    content: bytes
    way: str
    whole_lines: list[bytes]


def _sentences(rng):
    return [(" ".join(rng.choices(WORDS, k=rng.randrange(3, 9))) + f" {i}", f"Satz {i} über Bäume") for i in range(LINES)]


def _pairs(rng):
    return "".join(f"{a}\n" for a, _ in _sentences(rng)).encode()


def _tsv(rng):
    return "".join(f"{a}\t{b}\n" for a, b in _sentences(rng)).encode()


def _csv(rng):
    return "".join(f'"{a}, {i}","{b}"\n' for i, (a, b) in enumerate(_sentences(rng))).encode()


def _jsonl(rng):
    return "".join(json.dumps({"inputs": a, "targets": b}, ensure_ascii=False) + "\n" for a, b in _sentences(rng)).encode()


def _trees(rng):
    rows = rng.sample(own_files.SENTENCES, LINES)
    return "".join(own_files.TREE.format(*row).replace("\n", "") + "\n" for row in rows).encode()


def _picture(suffix):
    kinds = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF"}

    def write(rng):
        pixels = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 255, (24, 32, 3), np.uint8)
        return pictures.write(Image.fromarray(pixels), kinds[suffix])

    return write


def _sound(kind, subtype):
    def write(rng):
        tone = (np.sin(np.arange(4000) * rng.uniform(0.05, 0.5)) * 0.3).astype(np.float32)
        with io.BytesIO() as file:
            soundfile.write(file, tone, sounds.RATE, format=kind, subtype=subtype)
            return file.getvalue()

    return write


# By kind (the suffix of its files), a function of a random generator that returns a whole file.
TEXTS = {"en": _pairs, "en.gz": lambda rng: gzip.compress(_pairs(rng), mtime=0), "tsv": _tsv, "csv": _csv, "jsonl": _jsonl}
TREES = {"mrg": _trees}
PICTURES = {suffix: _picture(suffix) for suffix in ("jpg", "png", "gif", "webp", "bmp", "tif")}
SOUNDS = {
    "wav": _sound("WAV", "PCM_16"),
    "flac": _sound("FLAC", "PCM_16"),
    "ogg": _sound("OGG", "VORBIS"),
    "mp3": _sound("MP3", "MPEG_LAYER_III"),
    "aiff": _sound("AIFF", "PCM_16"),
    "sph": lambda rng: corpora.sphere(rng.randrange(1 << 16)),
}
WHOLE = TEXTS | TREES | PICTURES | SOUNDS


def _cut(content, rng):
    return content[: rng.randrange(1, len(content))]


def _flipped(content, rng):
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 3, 40))):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _block(content, rng, replace):
    """Returns `content` with the block between two random places given to `replace`."""
    start, end = sorted(rng.sample(range(len(content)), 2))
    return content[:start] + replace(content[start:end]) + content[end:]


# By name, a function of a file's bytes and a random generator that damages them.
WAYS = {
    "cut": _cut,
    "bits flipped": _flipped,
    "a block of zeros": lambda content, rng: _block(content, rng, lambda block: bytes(len(block))),
    "a block of noise": lambda content, rng: _block(content, rng, lambda block: rng.randbytes(len(block))),
    "a block missing": lambda content, rng: _block(content, rng, lambda block: b""),
    "a block twice": lambda content, rng: _block(content, rng, lambda block: block * 2),
    "no bytes": lambda content, rng: b"",
    "noise": lambda content, rng: rng.randbytes(len(content)),
    "a page of the web": lambda content, rng: b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n",
    "another kind of file": lambda content, rng: WHOLE[rng.choice(list(WHOLE))](rng),
}


def files(count, seed):
    """Returns `count` damaged files; all kinds and all ways of damage come equally often."""
    rng = random.Random(seed)
    kinds, ways = list(WHOLE), list(WAYS)
    found = []
    for number in range(count):
        kind, way = kinds[number % len(kinds)], ways[number // len(kinds) % len(ways)]
        whole = WHOLE[kind](rng)
        content = WAYS[way](whole, rng)
        intact = [line for line in content.split(b"\n") if line and line in whole.split(b"\n")]
        found.append(DamagedFile(kind, f"{number:04}.{kind}", content, way, intact))
    return found
