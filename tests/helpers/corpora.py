"""Writes small corpora in the layouts of the paper's and of the free ones: packed as they are distributed, or unpacked."""

import gzip
import io
import json
import tarfile
import zipfile

import numpy as np
import soundfile
from PIL import Image

SYNSETS = ("n01440764", "n01443537", "n15075141")
GREY, CMYK, PNG, RGB = range(4)


def picture(kind=RGB, colour=(200, 30, 60), size=(48, 40)):
    """Returns an encoded picture. `kind` is RGB, grey, CMYK or PNG, all of which ImageNet has under the ending .JPEG."""
    image, buffer = Image.new("RGB", size, colour), io.BytesIO()
    image = image.convert({GREY: "L", CMYK: "CMYK"}.get(kind, "RGB"))
    image.save(buffer, "PNG" if kind == PNG else "JPEG")
    return buffer.getvalue()


def tar(files, mode="w"):
    """Returns a tar file of {name: content}; mode "w:gz" makes a tgz."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(files):
    """Returns a zip file of {name: content}."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def write(folder, files):
    """Writes {name: content} below `folder`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def imagenet(folder, packed):
    """Writes ImageNet with three classes of two pictures, of all kinds, and four validation pictures."""
    classes = {
        synset: {f"{synset}_{n}.JPEG": picture(kind, (50 * i, 90, 200)) for n, kind in enumerate(kinds)}
        for i, (synset, kinds) in enumerate(zip(SYNSETS, ((RGB, CMYK), (GREY, RGB), (PNG, RGB)), strict=True))
    }
    val = {f"ILSVRC2012_val_{n:08}.JPEG": picture(RGB, (60 * n, 0, 0)) for n in (3, 1, 4, 2)}
    labels = "".join(f"{synset}\n" for synset in (*SYNSETS, SYNSETS[0]))
    write(folder, {"ilsvrc2012_val_synsets.txt": labels.encode()})
    if packed:
        inner = {f"{synset}.tar": tar(files) for synset, files in classes.items()}
        write(folder, {"ILSVRC2012_img_train.tar": tar(inner), "ILSVRC2012_img_val.tar": tar(val)})
    else:
        write(
            folder,
            {f"ILSVRC2012_img_train/{name[:9]}/{name}": data for files in classes.values() for name, data in files.items()},
        )
        write(folder / "ILSVRC2012_img_val", val)


CAPTIONS = {1: ["A red\n bus.", "A bus  stands. "], 2: ["Two dogs."], 3: ["A cat.", "The cat sits.", "A black cat."]}


def mscoco(folder, packed, year="2014"):
    """Writes COCO with two training pictures and one validation picture, three captions each."""
    prefix = "COCO_{}_" if year == "2014" else ""
    parts = {f"train{year}": (1, 2), f"val{year}": (3,)}
    images = {part: {i: f"{prefix.format(part)}{i:012}.jpg" for i in ids} for part, ids in parts.items()}
    lists = {f"annotations/captions_{part}.json": _captions(files) for part, files in images.items()}
    pictures = {part: {f"{part}/{name}": picture() for name in files.values()} for part, files in images.items()}
    everything = {f"annotations_trainval{year}": lists, **pictures}
    for name, files in everything.items():
        write(folder, {f"{name}.zip": zipped(files)} if packed else files)


def karpathy(folder):
    """Writes Karpathy's splits of `mscoco`: the validation picture is in training, the training pictures in dev and test."""
    rows = [("test", "train2014", 1), ("val", "train2014", 2), ("restval", "val2014", 3)]
    images = [
        {"split": split, "filename": f"COCO_{part}_{i:012}.jpg", "sentences": [{"raw": raw} for raw in CAPTIONS[i]]}
        for split, part, i in rows
    ]
    write(folder, {"dataset_coco.json": json.dumps({"images": images, "dataset": "coco"}).encode()})


def _captions(files):
    images = [{"id": i, "file_name": name, "height": 40, "width": 48, "license": 4} for i, name in files.items()]
    pairs = [(i, caption) for i in files for caption in CAPTIONS[i]]
    annotations = [{"id": number, "image_id": i, "caption": caption} for number, (i, caption) in enumerate(pairs)]
    return json.dumps({"info": {}, "licenses": [], "images": images, "annotations": annotations}).encode()


def sphere(seed=0, checksum=None, samples=4000):
    """Returns a NIST SPHERE file, 16 kHz, with a checksum in its header."""
    pcm = np.random.default_rng(seed).integers(-900, 900, samples).astype(np.int16)
    total = int(pcm.sum()) % 65536 if checksum is None else checksum
    fields = (
        f"sample_count -i {len(pcm)}\nsample_rate -i 16000\nchannel_count -i 1\nsample_n_bytes -i 2\nsample_byte_format -s2 01\n"
    )
    fields += f"sample_sig_bits -i 16\nsample_coding -s3 pcm\nsample_checksum -i {total}\n"
    return f"NIST_1A\n   1024\n{fields}end_head\n".encode().ljust(1024) + pcm.tobytes()


def shortened():
    """Returns the header of a SPHERE file that is compressed with shorten."""
    return (
        b"NIST_1A\n   1024\nsample_coding -s26 pcm,embedded-shorten-v2.00\nsample_checksum -i 6\nend_head\n".ljust(1024) + b"ajkg"
    )


def wav(samples):
    """Returns a WAV file at 16 kHz."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.array(samples, np.int16), 16000, format="WAV")
    return buffer.getvalue()


# By (disc, recording), the line of its transcript.
SPOKEN = {
    ("11-1.1", "wsj0/si_tr_s/01i/01ic0201.wv1"): "THE SALE\\'S %PERCENT ~ .",
    ("11-2.1", "wsj0/si_tr_s/401/401c0201.wv1"): "NOT PART OF THE SET",
    ("13-1.1", "wsj1/si_tr_s/46g/46gc0101.wv1"): "He said <and> [loud_breath] .POINT --DASH",
    ("13-16.1", "wsj1/si_dt_20/4k0/4k0c0301.wv1"): "SAID [<door_slam] ONE [phone_ring/] TWO [/phone_ring] [tongue_click>] THREE",
    ("11-13.1", "wsj0/si_et_20/440/440c0201.wv1"): "THE BANK WON'T COMMENT",
}
_LISTS = {
    ("11-13.1", "wsj0/doc/indices/train/tr_s_wv1.ndx"): ["wsj0/si_tr_s/01i/01ic0201.wv1", "wsj0/si_tr_s/401/401c0201.wv1"],
    ("13-34.1", "wsj1/doc/indices/si_tr_s.ndx"): ["wsj1/si_tr_s/46g/46gc0101.wv1"],
    ("13-34.1", "wsj1/doc/indices/h1_p0.ndx"): ["wsj1/si_dt_20/4k0/4k0c0301.wv1"],
    ("11-13.1", "wsj0/doc/indices/test/nvp/si_et_20.ndx"): ["wsj0/si_et_20/440/440c0201.wv1"],
}
_DOTS = {
    "wsj0/si_tr_s": "wsj0/transcrp/dots/si_tr_s",
    "wsj1/si_tr_s": "wsj1/trans/wsj1/si_tr_s",
    "wsj1/si_dt_20": "wsj1/trans/wsj1/si_dt_20",
}


def wsj(folder, discs=True, upper=False):
    """Writes WSJ with one or two utterances per set: lists, recordings and transcripts, on discs or in wsj0/ and wsj1/."""
    numbers = {path: disc.replace("-", "_").replace(".", "_") for disc, path in SPOKEN}
    files = {}
    for (disc, index), recordings in _LISTS.items():
        lines = ["; a comment"]
        for path in recordings:
            # The list of the test set has no endings, some lists begin a path with a slash.
            lines.append(f"{numbers[path]}:{path.removesuffix('.wv1') if 'et_20' in index else '/' * ('wsj1' in path) + path}")
        files[disc, index] = "\n".join(lines).encode() + b"\n"
    for seed, ((disc, path), text) in enumerate(SPOKEN.items()):
        place, speaker, name = path.rsplit("/", 2)
        last_disc = "11-13.1" if place.startswith("wsj0") else "13-34.1"
        files[disc, path] = sphere(seed)
        files[last_disc, f"{_DOTS.get(place, place)}/{speaker}/{name[:6]}00.dot"] = f"{text} ({name[:8]})\n".encode()
    for (disc, path), content in files.items():
        home = f"{'LDC93S6A' if path.startswith('wsj0') else 'LDC94S13A'}/{disc}/" if discs else ""
        write(folder, {home + (path.upper() if upper else path): content})


TREES = {
    "02/wsj_0201.mrg": """
( (S
    (NP-SBJ-1 (NNP Mr.) (NNP Vinken) )
    (VP (VBZ is)
      (S (NP-SBJ (-NONE- *-1) )
        (ADJP-PRD (JJ old) (-LRB- -LRB-) (CD 61) (-RRB- -RRB-) )))
    (. .) ))
( (NP (DT The) (NN end) ))
""",
    "22/wsj_2200.mrg": "\n( (S (NP-SBJ (PRP It)) (VP (VBD fell)) (. .)) )\n",
    "23/wsj_2300.mrg": "\n( (S (NP-SBJ (PRP He)) (VP (VBD rose)) (. .)) )\n",
    "24/wsj_2400.mrg": "\n( (S (NP-SBJ (PRP They)) (VP (VBD left)) (. .)) )\n",
}


def treebank(folder, packed, upper=False):
    """Writes sections 02 to 24 of the treebank with a file each, and a file of the Brown corpus beside them."""
    trees = {**TREES, **{f"{n:02}/wsj_{n:02}00.mrg": "( (NP (NN filler)) )\n" for n in range(3, 22)}}
    files = {f"treebank_3/parsed/mrg/wsj/{name}": text.encode() for name, text in trees.items()}
    files["treebank_3/parsed/mrg/brown/02/wsj_0201.mrg"] = b"( (NP (NN brown)) )\n"
    files = {name.upper() if upper else name: content for name, content in files.items()}
    write(folder, {"treebank_3_LDC99T42.tgz": tar(files, "w:gz")} if packed else files)


def wmt_files(language):
    """Returns {archive: {member: content}} of WMT for English and one other language."""
    pair, code = f"{language}-en", f"{language}en"

    def both(stem, english, foreign, end=""):
        return {f"{stem}.en{end}": english, f"{stem}.{language}{end}": foreign}

    sgm = {
        f"test-full/newstest2014-{code}-src.en.sgm": b'<srcset>\n<seg id="1">Bread &amp; tea .</seg>\n<seg id="2">Two .</seg>\n',
        f"test-full/newstest2014-{code}-ref.{language}.sgm": b'<refset>\n<seg id="1">Eins .</seg>\n<seg id="2">Zwei .</seg>\n',
    }
    archives = {
        "training-parallel-europarl-v7.tgz": both(
            f"training/europarl-v7.{pair}", b"Resumption\nThank you.\n", b"Anfang\nDanke.\n"
        ),
        "training-parallel-commoncrawl.tgz": both(
            f"commoncrawl.{pair}", "Price: 3 €\n\nA\x0bb\x01\n".encode(), b"Preis\nleer\nEin b\r\n"
        ),
        "training-parallel-nc-v9.tgz": both(f"training/news-commentary-v9.{pair}", b"Gold\n", b"Das Gold\n"),
        "dev.tgz": both("dev/newstest2013", b"A Republican strategy\n", b"Eine Strategie\n"),
        "test-full.tgz": sgm,
    }
    if language == "fr":
        archives["training-parallel-un.tgz"] = both(f"un/undoc.2000.{pair}", b"Charter\n", b"Charte\n")
        giga = both("giga-fren.release2.fixed", gzip.compress(b"Changing Lives\n"), gzip.compress(b"Des vies\n"), ".gz")
        archives["training-giga-fren.tar"] = giga
    return archives


def wmt(folder, packed, languages=("de", "fr")):
    """Writes WMT's archives of English and each of `languages`, or their content unpacked."""
    merged: dict[str, dict[str, bytes]] = {}
    for language in languages:
        for name, files in wmt_files(language).items():
            merged.setdefault(name, {}).update(files)
    for name, files in merged.items():
        write(folder, {name: tar(files, "w" if name.endswith(".tar") else "w:gz")} if packed else files)


def flac(seed):
    """Returns a quarter of a second of noise at 16 kHz as a FLAC file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.random.default_rng(seed).integers(-900, 900, 4000).astype(np.int16), 16000, format="FLAC")
    return buffer.getvalue()


def librispeech(folder, packed, transcripts_first=False):
    """Writes LibriSpeech with two chapters of two utterances per set; transcripts stand before or after the recordings."""
    for name in ("train-clean-100", "dev-clean", "test-clean"):
        files: dict[str, bytes] = {}
        for speaker, chapter in (("103", "1240"), ("84", "121")):
            home = f"LibriSpeech/{name}/{speaker}/{chapter}/{speaker}-{chapter}"
            sounds = {f"{home}-{n:04}.flac": flac(n) for n in range(2)}
            lines = [f"{speaker}-{chapter}-{n:04} CHAPTER {text}\n" for n, text in enumerate(("ONE", "TWO"))]
            text = {f"{home}.trans.txt": "".join(lines).encode()}
            files |= {**text, **sounds} if transcripts_first else {**sounds, **text}
        write(folder, {f"{name}.tar.gz": tar(files, "w:gz")} if packed else files)


def eurosat(folder, packed):
    """Writes EuroSAT with two classes of twelve pictures."""
    files = {
        f"EuroSAT_RGB/{c}/{c}_{n}.jpg": picture(RGB, (9 * n, 90, 0), (64, 64)) for c in ("River", "Forest") for n in range(1, 13)
    }
    write(folder, {"EuroSAT_RGB.zip": zipped(files)} if packed else files)


def multi30k(folder, packed):
    """Writes Multi30k with two sentences per split."""
    words = {"en": "A dog.\nA cat.\n", "de": "Ein Hund.\nEine Katze.\n", "fr": "Un chien.\nUn chat.\n"}
    for stem in ("train", "val", "test_2016_flickr"):
        for language, text in words.items():
            content = text.encode()
            write(folder, {f"{stem}.{language}.gz": gzip.compress(content)} if packed else {f"{stem}.{language}": content})


def craft(folder, packed):
    """Writes CRAFT with two sentences and one single word per split, in one file per split or in a checkout's folders."""
    trees = [f"( (S (NP-SBJ (NN {word})) (VP (VBZ runs))) )\n" for word in ("dog", "café")] + ["( (NP (NN title)) )\n"]
    for split, ids in (("train", ("11", "12")), ("dev", ("21", "22"))):
        if packed:
            write(folder, {f"{split}.mrg.gz": gzip.compress("".join(trees).encode())})
        else:
            parts = zip(ids, (trees[:1], trees[1:]), strict=True)
            files = {f"structural-annotation/treebank/penn/{name}.tree": "".join(part).encode() for name, part in parts}
            write(folder / "CRAFT", {f"articles/ids/craft-ids-{split}.txt": "\n".join(ids).encode(), **files})


def multimodel8(folder, packed):
    """Writes the paper's corpora: packed in one folder, or unpacked in a folder each."""
    imagenet(folder if packed else folder / "imagenet", packed)
    mscoco(folder if packed else folder / "mscoco", packed)
    treebank(folder, packed)
    wmt(folder if packed else folder / "wmt14", packed)
    wsj(folder if packed else folder / "wsj", discs=packed)
