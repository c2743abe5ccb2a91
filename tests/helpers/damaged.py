"""Writes damaged inputs beside good ones, in the layouts of the corpora and of problem files; always the same ones.

Each of `LAYOUTS` writes one below a folder, with or without damage, and returns what mm-datagen is to name: [(split, a part of
the message), ...]. `CONTAINERS` are files that are damaged as a whole.
"""

import functools
import gzip
import io
import json
import random
import zipfile
import zlib

import corpora
import numpy as np
import soundfile
from PIL import Image

LONG = b"x" * (1 << 20) + b"y"
TREE = b"( (S (NP (NN dog)) (VP (VBZ runs))) )\n"
TOML = """
[problems.d_pairs]
kind = "text_pairs"
train = ["pairs.tsv", "pairs.jsonl"]
dev = "dev.tsv"
target_space = "to_german"

[problems.d_aligned]
kind = "text_pairs"
train = {inputs = "train.en", targets = "train.de.gz"}
dev = {inputs = "dev.tsv", targets = "dev.tsv"}
target_space = "to_german"

[problems.d_pictures]
kind = "image_folder"
train = "pictures"
dev = "pictures_dev"

[problems.d_captions]
kind = "image_captions"
train = "captions.jsonl"
dev = "captions.tsv"
target_space = "to_english"

[problems.d_speech]
kind = "speech_manifest"
train = "speech.jsonl"
dev = "speech.tsv"
target_space = "to_english"

[problems.d_trees]
kind = "treebank_files"
train = "trees/*.mrg"
dev = "dev.mrg"
"""


def pictures(seed):
    """Returns {file name: content} of damaged pictures."""
    rng = random.Random(seed)
    jpeg, png = corpora.picture(colour=(rng.randrange(256), 9, 90)), corpora.picture(corpora.PNG)
    made = {f"cut{i}.jpg": jpeg[: rng.randrange(1, len(jpeg) - 40)] for i in range(3)}
    made |= {f"cut{i}.png": png[: rng.randrange(1, len(png) - 8)] for i in range(3)}
    for name, size in {"vast": (60_000, 60_000), "flat": (0, 40)}.items():
        head = b"IHDR" + b"".join(side.to_bytes(4, "big") for side in size) + png[24:29]
        made[f"{name}.png"] = png[:12] + head + zlib.crc32(head).to_bytes(4, "big") + png[33:]
    with io.BytesIO() as icon:
        Image.new("RGB", (16, 16)).save(icon, "ICO")
        made["icon.jpg"] = icon.getvalue()
    made |= {
        "empty.jpg": b"",
        "page.jpg": b"<html>404</html>",
        "noise.png": rng.randbytes(500),
        "text.jpg": "Bild".encode("utf-16"),
    }
    return made | {"flipped.png": png[:45] + bytes([png[45] ^ 255]) + png[46:], "archive.png": corpora.zipped({"a.png": png})}


def sounds(seed):
    """Returns {file name: content} of damaged sounds."""
    rng = random.Random(seed)
    wav, sphere = corpora.wav(range(9000)), corpora.sphere(seed)
    with io.BytesIO() as file:
        soundfile.write(file, np.arange(9000, dtype=np.int16), 8000, format="FLAC")
        flac = file.getvalue()
    made = {f"cut{i}.wav": wav[: rng.randrange(1, len(wav) - 1)] for i in range(3)}
    made |= {f"cut{i}.flac": flac[: rng.randrange(1, len(flac) // 2)] for i in range(3)}
    # The 36 bits before byte 26 of a FLAC file are the number of samples; bytes 24 to 27 of a WAV file are the sample rate.
    made |= {"endless.flac": flac[:21] + bytes([flac[21] | 15]) + b"\xff" * 4 + flac[26:]}
    made |= {"long.wav": wav[:40] + b"\xf0\xff\xff\x0f" + wav[44:], "slow.wav": wav[:24] + bytes([1, 0, 0, 0]) + wav[28:]}
    made |= {"silent.wav": corpora.wav([]), "empty.wav": b"", "text.wav": b"a recording", "noise.flac": rng.randbytes(900)}
    made |= {"sum.sph": corpora.sphere(seed, checksum=1), "cut.sph": sphere[:3000], "head.sph": sphere[:900]}
    return made | {"small.sph": corpora.shortened(), "riff.wav": b"RIFF\x10\0\0\0WAVEjunk\4\0\0\0abcd"}


def lines(good, bad, start=1):
    """Returns the lines of a list, with the bad ones between the good ones, and the numbers of the bad lines."""
    rows, numbers = [], []
    for i in range(max(len(good), len(bad))):
        rows += good[i : i + 1]
        if i < len(bad):
            rows.append(bad[i])
            numbers.append(start + len(rows) - 1)
    return b"\n".join(rows) + b"\n", numbers


def named(split, file, numbers):
    return [(split, f"line {number} of {file}") for number in numbers]


def d_pairs(folder, damage):
    bad = [b"one column", b"a\tb\tc", b"a\t\xff", b"\xe9\tb", b"\tb", b"a\t  ", b"a\t" + LONG, "a\tb".encode("utf-16-le")[:-1]]
    rows, columns = lines([b"good %d\tgut %d" % (i, i) for i in range(9)], bad if damage else [])
    bad = [b"{", b"[" * 90_000, b'{"inputs": "a"}', b'{"inputs": 3, "targets": "b"}', b'["a", "b"]', b"9" * 5000]
    bad += [b'{"inputs": "a\\ud800", "targets": "b"}', b'{"inputs": "a", "targets": ""}', b'{"inputs": null, "targets": "b"}']
    good = [b'{"inputs": "well %d", "targets": "gut %d"}' % (i, i) for i in range(9)]
    objects, numbers = lines(good, bad if damage else [])
    corpora.write(folder, {"pairs.tsv": rows, "pairs.jsonl": objects, "dev.tsv": b"a\tb\n"})
    return named("train", folder / "pairs.tsv", columns) + named("train", folder / "pairs.jsonl", numbers)


def d_aligned(folder, damage):
    """Damages lines without removing any, so that both sides keep the same number of lines."""
    bad = [(b"\xff", b"b"), (b"a", b"\xc3"), (b"", b"b"), (b"a", b" "), (b"a", LONG), (LONG, b"b"), (b"\x01\x02", b"b")]
    good = [(b"Line %d." % i, b"Zeile %d." % i) for i in range(9)]
    rows, numbers = [], []
    for i, pair in enumerate(good):
        rows.append(pair)
        if damage and i < len(bad):
            rows.append(bad[i])
            numbers.append(len(rows))
    english, german = (b"\n".join(side) + b"\n" for side in zip(*rows, strict=True))
    corpora.write(folder, {"train.en": english, "train.de.gz": gzip.compress(german)})
    return [("train", f"line {number} of ") for number in numbers]


def d_pictures(folder, damage):
    files = {f"{split}/{c}/{i}.jpg": corpora.picture() for split in ("pictures", "pictures_dev") for c in "ab" for i in range(3)}
    bad = {
        f"{split}/{c}/{name}": content
        for split, c in (("pictures", "a"), ("pictures_dev", "b"))
        for name, content in pictures(c).items()
    }
    corpora.write(folder, files | (bad if damage else {}))
    return [("dev" if "_dev" in name else "train", f"/{name}") for name in bad if damage]


def d_captions(folder, damage):
    corpora.write(folder, {f"album/{i}.jpg": corpora.picture() for i in range(4)})
    names = [
        "album",
        "gone.jpg",
        "../" * 40 + "etc/hostname",
        "/etc/hostname",
        "n" * 5000 + ".jpg",
        "nul\0.jpg",
        "\ud800.jpg",
        "/dev/zero",
    ]
    bad = [json.dumps({"path": name, "caption": "a"}).encode() for name in names]
    bad += [
        b'{"path": "album/0.jpg", "caption": [1]}',
        b'{"path": "album/0.jpg"}',
        b'{"path": "album/0.jpg", "caption": []}',
        b"\x89PNG",
    ]
    good = [b'{"path": "album/%d.jpg", "caption": "a picture"}' % i for i in range(3)]
    objects, numbers = lines(good, bad if damage else [])
    rows, columns = lines([b"album/3.jpg\tone"], [b"album/0.jpg", b"album/1.jpg\t\xff"] if damage else [])
    corpora.write(folder, {"captions.jsonl": objects, "captions.tsv": rows})
    images = [
        "album is missing",
        "gone.jpg is missing",
        "etc/hostname",
        "etc/hostname",
        "nnn.jpg",
        "nul",
        ".jpg is missing",
        "zero",
    ]
    found = [("train", part) for part in images if damage]
    return found + named("train", folder / "captions.jsonl", numbers[8:]) + named("dev", folder / "captions.tsv", columns)


def d_speech(folder, damage):
    bad = {f"sound/{name}": content for name, content in sounds(3).items()} if damage else {}
    corpora.write(folder, bad | {f"sound/{i}.wav": corpora.wav(range(i, 3000 + i)) for i in range(4)})
    rows = [{"path": name, "transcript": "a word"} for name in bad]
    faulty = [{"path": "sound/0.wav"}, {"path": "sound/0.wav", "transcript": 7}, {"path": "sound/gone.wav", "transcript": "a"}]
    faulty = [json.dumps(row).encode() for row in (rows + faulty if damage else [])]
    objects, numbers = lines([b'{"path": "sound/%d.wav", "transcript": "good"}' % i for i in range(3)], faulty)
    listed, columns = lines([b"sound/3.wav\tgood"], [b"sound/0.wav", b"sound/1.wav\t"] if damage else [])
    corpora.write(folder, {"speech.jsonl": objects, "speech.tsv": listed})
    missing = named("train", folder / "speech.jsonl", numbers[-3:-1]) + [("train", "gone.wav is missing"), ("dev", "sound/1.wav")]
    return [("train", f"/{name})") for name in bad] + (
        missing + named("dev", folder / "speech.tsv", columns[:1]) if damage else []
    )


BAD_TREES = [
    b"( (S (NP (NN dog)",
    b"( (S (NN a)))) )",
    b"( (NN \xff) )",
    b"()",
    b"( (S and (NN a)) )",
    b"( (NP (-NONE- *)) )",
    b"(x)",
]
BAD_TREES += [b"(NP " * 3000, b"( (S ) )"]


def d_trees(folder, damage):
    content, numbers = lines([TREE.strip()] * 12, BAD_TREES if damage else [])
    corpora.write(folder, {"trees/1.mrg": TREE, "trees/2.mrg": content, "dev.mrg": TREE})
    return named("train", folder / "trees/2.mrg", numbers)


def image_imagenet(folder, damage):
    corpora.imagenet(folder, packed=False)
    bad = {f"ILSVRC2012_img_train/n01440764/n01440764_{name[:-4]}.JPEG": content for name, content in pictures(4).items()}
    val = {
        "ILSVRC2012_img_val/ILSVRC2012_val_00000009.JPEG": corpora.picture(),
        "ILSVRC2012_img_val/ILSVRC2012_val_00000004.JPEG": b"",
    }
    if not damage:
        (folder / "ILSVRC2012_img_val/ILSVRC2012_val_00000004.JPEG").unlink()
        return []
    corpora.write(folder, bad | val)
    return [("train", name) for name in bad] + [("dev", name) for name in val]


def packed_imagenet(folder, damage):
    """Writes damaged archives of classes into a whole archive of ImageNet."""
    corpora.imagenet(folder, packed=True)
    classes = {f"{name}.tar": corpora.tar({f"{name}_1.JPEG": corpora.picture()}) for name in corpora.SYNSETS}
    one = corpora.tar({"n01530575_1.JPEG": corpora.picture()})
    bad = {"n01530575.tar": one[:300], "n01531178.tar": b"", "n01532829.tar": b"no archive" * 99, "n99999999.tar": one}
    bad |= {
        "n01534433.tar": corpora.tar({"../n01534433_1.JPEG": corpora.picture()}),
        "n01537544.tar": corpora.zipped({"a.JPEG": one}),
    }
    bad["n01558993.tar"] = gzip.compress(one)[:99]
    corpora.write(folder, {"ILSVRC2012_img_train.tar": corpora.tar(classes | (bad if damage else {}))})
    return [("train", f"ILSVRC2012_img_train.tar: {name}") for name in bad if damage]


def image_mscoco(folder, damage):
    corpora.mscoco(folder, packed=False)
    if not damage:
        return []
    path = folder / "annotations/captions_train2014.json"
    content = json.loads(path.read_text())
    images, annotations = content["images"], content["annotations"]
    first = len(images), len(annotations)
    bad = {f"train2014/COCO_{name}": file for name, file in pictures(5).items()}
    files = [name.partition("/")[2] for name in bad] + ["gone.jpg", "../../up.jpg", "/etc/up.jpg", "m" * 5000 + ".jpg"]
    images += [{"id": 100 + i, "file_name": name} for i, name in enumerate(files)] + [
        {"id": 99},
        None,
        {"id": [1], "file_name": "a"},
    ]
    annotations += [{"image_id": 100 + i, "caption": "a picture"} for i in range(len(files))]
    faulty = [
        {"image_id": 1, "caption": 5},
        {"image_id": 1},
        {"caption": "a"},
        None,
        "a",
        {"image_id": 98, "caption": "a"},
        {"image_id": {}},
    ]
    annotations += faulty
    corpora.write(folder, bad | {"annotations/captions_train2014.json": json.dumps(content).encode()})
    entries = [f"images[{first[0] + len(files) + i}] in " for i in range(3)]
    entries += [f"annotations[{first[1] + len(files) + i}] in " for i in range(len(faulty))]
    return [("train", part) for part in [*bad, "gone.jpg is missing", "'train2014/../../up.jpg'", "up.jpg", "mmm.jpg", *entries]]


def audio_wsj(folder, damage):
    corpora.wsj(folder)
    if not damage:
        return []
    home = folder / "LDC94S13A"
    index, dots = home / "13-34.1/wsj1/doc/indices/si_tr_s.ndx", home / "13-34.1/wsj1/trans/wsj1/si_tr_s/46g/46gc0100.dot"
    bad = {f"46gc02{i:02}.wv1": content for i, (name, content) in enumerate(sorted(sounds(6).items())) if name != "small.sph"}
    corpora.write(home / "13-1.1/wsj1/si_tr_s/46g", bad)
    listed = [f"wsj1/si_tr_s/46g/{name}" for name in [*bad, "46gc0999.wv1"]] + ["wsj1/../../../../up/46gc0101.wv1"]
    corpora.write(home / "13-1.1/wsj1/si_tr_s/46g", {"46gd0101.wv1": corpora.sphere(1), "46ge0101.wv1": corpora.sphere(2)})
    listed += ["wsj1/si_tr_s/46g/46gd0101.wv1", "wsj1/si_tr_s/46g/46ge0101.wv1"]
    with index.open("a") as file:
        file.writelines(f"13_1_1:{path}\n" for path in listed)
    dots.with_name("46gc0200.dot").write_text("".join(f"A WORD ({name[:8]})\n" for name in bad))
    dots.with_name("46ge0100.dot").write_bytes(b"CAF\xc9 (46ge0101)\n")
    parts = [*bad, "46gc0999.wv1", "../up/46gc0101.wv1", "46gd0101.wv1", "46ge0100.dot"]
    return [("train", part) for part in parts]


def librispeech(folder, damage):
    corpora.librispeech(folder, packed=False)
    if not damage:
        return []
    home = folder / "LibriSpeech/train-clean-100"
    bad = {f"9/9/9-9-{i:04}.flac": content for i, (name, content) in enumerate(sorted(sounds(7).items()))}
    lines = "".join(f"{name[4:-5]} A WORD\n" for name in bad) + "9-9-0099 NOTHING TO HEAR\n"
    corpora.write(home, bad | {"9/9/9-9.trans.txt": lines.encode(), "9/8/9-8-0000.flac": corpora.flac(1)})
    corpora.write(
        home, {"9/7/9-7.trans.txt": b"9-7-0000\n", "9/7/9-7-0000.flac": corpora.flac(1), "9/6/9-6.trans.txt": b"9-6-0000 \xff\n"}
    )
    parts = [*bad, "no 9-9-0099.flac", "9-8-0000.flac has no", "9-7.trans.txt", "9-7-0000.flac has no", "9-6.trans.txt"]
    return [("train", part) for part in parts]


def eurosat(folder, damage):
    """Writes damaged pictures, one of them a zip bomb: 80 MB of zeros in 80 kB."""
    corpora.eurosat(folder, packed=True)
    bad = {f"EuroSAT_RGB/River/River_{i}.jpg": content for i, content in enumerate([bytes(80 << 20), *pictures(8).values()], 101)}
    del bad["EuroSAT_RGB/River/River_110.jpg"]
    with zipfile.ZipFile(folder / "EuroSAT_RGB.zip", "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in bad.items() if damage else ():
            archive.writestr(name, content)
    return [("train", name) for name in bad if damage]


def wsj_parsing(folder, damage):
    corpora.treebank(folder, packed=False)
    content, numbers = lines([], BAD_TREES if damage else [])
    home = folder / "treebank_3/parsed/mrg/wsj/02"
    corpora.write(home, {"wsj_0298.mrg": content if damage else b"\n", "wsj_0299.mrg": TREE})
    return named("train", home / "wsj_0298.mrg", numbers)


def m30k_ende(folder, damage):
    corpora.multi30k(folder, packed=True)
    bad = [(b"\xff", b"b"), (b"a", b"\xfe\xff"), (b"", b"b"), (b"a", b"")]
    english, german = ([gzip.decompress((folder / f"train.{code}.gz").read_bytes())] for code in ("en", "de"))
    for a, b in bad if damage else []:
        english.append(a + b"\n")
        german.append(b + b"\n")
    corpora.write(folder, {f"train.{code}.gz": gzip.compress(b"".join(s)) for code, s in (("en", english), ("de", german))})
    return [("train", f"line {number} of ") for number in range(3, 3 + len(bad))] if damage else []


OWN = (d_pairs, d_aligned, d_pictures, d_captions, d_speech, d_trees)
# By problem, the function that writes its corpus.
LAYOUTS = {
    "image_imagenet": image_imagenet,
    "image_mscoco_tokens_8k": image_mscoco,
    "audio_wsj_tokens_8k": audio_wsj,
    "librispeech_clean": librispeech,
    "eurosat_class": eurosat,
    "wsj_parsing_tokens_8k": wsj_parsing,
    "m30k_ende": m30k_ende,
}
# By problem, the function that writes its whole corpus, and the files of it that are damaged one after another.
CONTAINERS = {
    "image_imagenet": (corpora.imagenet, ["ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ilsvrc2012_val_synsets.txt"]),
    "image_mscoco_tokens_8k": (corpora.mscoco, ["annotations_trainval2014.zip", "train2014.zip", "val2014.zip"]),
    "wsj_parsing_tokens_8k": (corpora.treebank, ["treebank_3_LDC99T42.tgz"]),
    "wmt_ende_tokens_8k": (
        functools.partial(corpora.wmt, languages=("de",)),
        ["training-parallel-europarl-v7.tgz", "training-parallel-commoncrawl.tgz", "dev.tgz", "test-full.tgz"],
    ),
    "librispeech_clean": (corpora.librispeech, ["train-clean-100.tar.gz", "dev-clean.tar.gz"]),
    "eurosat_class": (corpora.eurosat, ["EuroSAT_RGB.zip"]),
    "m30k_ende": (corpora.multi30k, ["train.en.gz", "val.de.gz"]),
    "craft_parsing": (corpora.craft, ["train.mrg.gz"]),
}


def containers(path):
    """Returns {kind of damage: content}, made from a whole file."""
    content = path.read_bytes()
    kinds = {"cut": content[: len(content) // 3], "text": b"<html>404 \xff</html>" * 9}
    if path.suffix == ".gz" and ".tar" not in path.suffixes:
        kinds["bomb"] = gzip.compress(bytes(80 << 20), 1)
    elif path.suffix != ".txt":
        names = {"../up.txt": b"", "/tmp/up.txt": b""}
        kinds["climbing"] = corpora.zipped(names) if path.suffix == ".zip" else corpora.tar(names)
    return kinds
