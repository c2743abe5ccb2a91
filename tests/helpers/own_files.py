"""Writes small made-up files in the places that examples/own_data/problems.toml names."""

import gzip
import io

import corpora
import numpy as np
import soundfile

NOUNS = {"dog": "Hund", "cat": "Kater", "whale": "Wal", "bird": "Vogel", "fish": "Fisch"}
VERBS = {"sees": "sieht", "likes": "mag", "hears": "hört", "seeks": "sucht"}
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (40, 60, 230)}
TREE = "( (S (NP-SBJ (DT the) (NN {}))\n     (VP (VBZ {}) (NP (DT the) (NN {})))) )\n"
SENTENCES = [(a, v, b) for a in NOUNS for v in VERBS for b in NOUNS if a != b]


def text(rows, german=False):
    """Returns a line per row (subject, verb, object), in English or German."""
    lines = [f"Der {NOUNS[a]} {VERBS[v]} den {NOUNS[b]}." if german else f"The {a} {v} the {b}." for a, v, b in rows]
    return ("\n".join(lines) + "\n").encode()


def wav(seed, rate=8000):
    """Returns a fifth of a second of noise as a WAV file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.random.default_rng(seed).integers(-900, 900, rate // 5).astype(np.int16), rate, format="WAV")
    return buffer.getvalue()


def write(folder):
    """Writes all files below `folder`: 70 pairs, 10 of dev; 8 pictures of 3 classes; 9 captions; 20 recordings; 40 trees."""
    train, dev = SENTENCES[:70], SENTENCES[70:]
    files = {"train.en": text(train), "train.de": text(train, True), "dev.en": text(dev), "dev.de": text(dev, True)}
    for colour, rgb in COLOURS.items():
        for n in range(8):
            files[f"photographs/{colour}/{n}.jpg"] = corpora.picture(colour=tuple(c - n for c in rgb))
    names = [f"photographs/{colour}/{n}.jpg" for colour in COLOURS for n in range(3)]
    files["captions.tsv"] = "".join(f"{name}\ta {name.split('/')[1]} field\n" for name in names).encode()
    files["captions_dev.jsonl"] = b'{"path": "photographs/red/7.jpg", "caption": ["a red field", "all is red"]}\n'
    listed = [f"recordings/{n}.wav\tnumber {n}\n" for n in range(20)]
    files |= {f"recordings/{n}.wav": wav(n) for n in range(20)} | {"recordings.tsv": "".join(listed).encode()}
    trees = [TREE.format(*row).encode() for row in SENTENCES[::2]]
    files["trees/01.mrg"], files["trees/03.mrg"] = b"".join(trees[:20]), b"".join(trees[35:])
    files["trees/02a.mrg.gz"] = gzip.compress(b"".join(trees[20:30]))
    files["trees/02b.mrg.gz"] = gzip.compress(b"".join(trees[30:35]))
    corpora.write(folder, files)
    return folder
