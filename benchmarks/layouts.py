"""Lays real data out as other toolkits do, and compares what is read of it with what independent libraries read.

    python benchmarks/layouts.py FOLDER

FOLDER holds multi30k/ (train.de.gz, train.en.gz), kathleen_arctic/ (metadata.tsv, wavs/), grocery_store/ (train/, val/) and
coco_mini/ (annotations/, train2017/). Prints a line per layout, and ends with 1 if one of them differs.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np  # noqa: E402
import pyarrow  # noqa: E402
import pyarrow.parquet  # noqa: E402
import soundfile  # noqa: E402
from PIL import Image  # noqa: E402

from t2t_multimodel.data.problem_file.load import read_problem_file  # noqa: E402
from t2t_multimodel.problem import Example  # noqa: E402

RATE = 16000
Content = tuple[Any, ...]
Layout = Callable[[Path, Path], tuple[str, list[Content]]]


def read(folder: Path, toml: str) -> list[Example]:
    """Returns the examples of train and dev of a problem that is described by `toml`."""
    (folder / "p.toml").write_text("[problems.mine]\n" + toml)
    (problem,) = read_problem_file(folder / "p.toml")
    found = [example for split in problem.splits for example in problem.generate(split, folder)]
    if problem.find_classes:
        assert {example["targets"] for example in found} <= set(problem.find_classes(folder))
    return found


def heard(content: bytes) -> bytes:
    """Returns the samples of a sound file, read by soundfile."""
    return soundfile.read(io.BytesIO(content), dtype="int16")[0].tobytes()


def seen(content: bytes) -> bytes:
    """Returns the pixels of a picture, read by Pillow."""
    return Image.open(io.BytesIO(content)).convert("RGB").tobytes()


def pairs(data: Path) -> list[Content]:
    """Returns 2,000 sentences of Multi30k in English and German, with single blanks between words."""
    sides = [gzip.open(data / f"multi30k/train.{side}.gz", "rt", encoding="utf-8") for side in ("en", "de")]
    return [(" ".join(en.split()), " ".join(de.split())) for en, de in itertools.islice(zip(*sides, strict=True), 2000)]


def recordings(data: Path) -> list[tuple[str, Path, str]]:
    """Returns name, file and sentence of each recording in kathleen_arctic/."""
    with open(data / "kathleen_arctic/metadata.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [(row[0], data / f"kathleen_arctic/wavs/{row[0]}.flac", row[1]) for row in rows]


def spoken(data: Path) -> list[Content]:
    """Returns samples and sentence of each recording."""
    return [(heard(file.read_bytes()), text) for _, file, text in recordings(data)]


def captioned(data: Path) -> list[tuple[Path, str]]:
    """Returns file and first caption of each picture in coco_mini/."""
    found = json.loads((data / "coco_mini/annotations/captions_train2017.json").read_text())
    names = {image["id"]: image["file_name"] for image in found["images"]}
    first = {note["image_id"]: note["caption"] for note in reversed(found["annotations"])}
    files = {data / "coco_mini/train2017" / names[key]: " ".join(text.split()) for key, text in first.items()}
    return sorted((file, text) for file, text in files.items() if file.is_file())


def named_columns(data: Path, folder: Path, write: Callable[[Path, list[dict[str, Any]]], str]) -> tuple[str, list[Content]]:
    rows = [{"nr": i, "deutsch": de, "english": en} for i, (en, de) in enumerate(pairs(data))]
    name = write(folder, rows)
    toml = f'kind = "text_pairs"\ntarget_space = "to_german"\ntrain = "{name}"\n'
    return toml + 'columns = {inputs = "english", targets = "deutsch"}\n', pairs(data)


def write_csv(folder: Path, rows: list[dict[str, Any]]) -> str:
    with open(folder / "a.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return "a.csv"


def write_parquet(folder: Path, rows: list[dict[str, Any]]) -> str:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "a.parquet", row_group_size=300)
    return "a.parquet"


def write_saved(folder: Path, rows: list[dict[str, Any]]) -> str:
    table = pyarrow.Table.from_pylist(rows)
    with pyarrow.OSFile(str(folder / "a.arrow"), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    (folder / "state.json").write_text('{"_data_files": [{"filename": "a.arrow"}]}')
    return "."


def one_tsv(data: Path, folder: Path) -> tuple[str, list[Content]]:
    (folder / "deu.tsv").write_text("".join(f"{en}\t{de}\tCC BY\n" for en, de in pairs(data)), encoding="utf-16")
    toml = 'kind = "text_pairs"\ntarget_space = "to_english"\ntrain = "deu.tsv"\nencoding = "utf-16"\n'
    return toml + "columns = {inputs = 2, targets = 1}\n", [(de, en) for en, de in pairs(data)]


SPEECH = f'kind = "speech_manifest"\ntarget_space = "to_english"\nsample_rate = {RATE}\n'


def common_voice(data: Path, folder: Path) -> tuple[str, list[Content]]:
    (folder / "clips").mkdir()
    for name, file, _ in recordings(data):
        (folder / f"clips/{name}.flac").symlink_to(file)
    lines = [f"speaker\t{name}.flac\t{text}\t2\n" for name, _, text in recordings(data)]
    for split, part in (("train", lines[:100]), ("dev", lines[100:])):
        (folder / f"{split}.tsv").write_text("client_id\tpath\tsentence\tup_votes\n" + "".join(part))
    return SPEECH + 'root = "."\n', spoken(data)


def kaldi(data: Path, folder: Path) -> tuple[str, list[Content]]:
    """Joins all recordings into one, with segments whose times are whole samples."""
    whole = [soundfile.read(file, dtype="int16") for _, file, _ in recordings(data)]
    soundfile.write(folder / "long.wav", np.concatenate([samples for samples, _ in whole]), whole[0][1])
    ends = list(itertools.accumulate(len(samples) / rate for samples, rate in whole))
    times = zip(recordings(data), [0.0, *ends[:-1]], ends, strict=True)
    (folder / "segments").write_text("".join(f"{name} rec {start:.6f} {end:.6f}\n" for (name, _, _), start, end in times))
    (folder / "text").write_text("".join(f"{name} {text}\n" for name, _, text in recordings(data)))
    (folder / "wav.scp").write_text(f"rec {folder}/long.wav\n")
    return SPEECH.replace(str(RATE), str(whole[0][1])) + 'train = "."\ndev_fraction = 0.2\n', spoken(data)


def nemo(data: Path, folder: Path) -> tuple[str, list[Content]]:
    rows = [
        {"audio_filepath": str(file), "duration": soundfile.info(file).duration, "text": t} for _, file, t in recordings(data)
    ]
    (folder / "train_manifest.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return SPEECH + 'train = "train_manifest.json"\n', spoken(data)


def libri(data: Path, folder: Path) -> tuple[str, list[Content]]:
    for number, (_, file, text) in enumerate(recordings(data)):
        place = folder / f"train-clean/{number % 30}/1"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number % 30}-1-{number:04}.flac").symlink_to(file)
        with open(place / f"{number % 30}-1.trans.txt", "a") as listed:
            listed.write(f"{number % 30}-1-{number:04} {text}\n")
    return SPEECH + 'root = "."\ndev_fraction = 0.2\n', spoken(data)


def image_folder(data: Path, folder: Path) -> tuple[str, list[Content]]:
    with open(folder / "metadata.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file_name", "text"))
        for picture, text in captioned(data):
            (folder / picture.name).symlink_to(picture)
            writer.writerow((picture.name, text))
    toml = 'kind = "image_captions"\ntarget_space = "to_english"\ntrain = "."\n'
    return toml, [(seen(picture.read_bytes()), text) for picture, text in captioned(data)]


def saved_pictures(data: Path, folder: Path) -> tuple[str, list[Content]]:
    found = captioned(data)
    write_saved(folder, [{"image": {"bytes": p.read_bytes(), "path": p.name}, "text": text} for p, text in found])
    toml = 'kind = "image_captions"\ntarget_space = "to_english"\ntrain = "."\n'
    return toml, [(seen(picture.read_bytes()), text) for picture, text in found]


def torchvision(data: Path, folder: Path) -> tuple[str, list[Content]]:
    found = []
    for split in ("train", "val"):
        (folder / split).symlink_to(data / "grocery_store" / split)
        for path in sorted((data / "grocery_store" / split).rglob("*.jpg")):
            found.append((seen(path.read_bytes()), path.relative_to(data / "grocery_store" / split).parts[0]))
    return 'kind = "image_folder"\nroot = "."\n', found


def layouts() -> Iterator[tuple[str, Layout]]:
    """Yields each layout's name and the function that makes it, which returns the problem and the content to compare with."""
    for name, write in (("CSV", write_csv), ("Parquet", write_parquet), ("saved dataset", write_saved)):
        yield name, lambda data, folder, write=write: named_columns(data, folder, write)  # type: ignore[misc]
    yield from (("columns by number, UTF-16", one_tsv), ("Common Voice", common_voice), ("Kaldi, segments", kaldi))
    yield from (("NeMo", nemo), ("LibriSpeech", libri), ("image folder, metadata.csv", image_folder))
    yield from (("saved dataset, pictures", saved_pictures), ("torchvision's root", torchvision))


def decoded(example: Example) -> Content:
    """Returns an example with pixels or samples in place of a file."""
    content = example["inputs"]
    if isinstance(content, bytes):
        content = heard(content) if content[:4] in (b"RIFF", b"fLaC") else seen(content)
    return content, example["targets"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the data sets")
    data = parser.parse_args().folder.resolve()
    wrong = 0
    for name, make in layouts():
        with tempfile.TemporaryDirectory() as folder:
            toml, expected = make(data, Path(folder))
            found = read(Path(folder), toml)
            read_alike = sorted(decoded(example) for example in found if "inputs" in example) == sorted(expected)
        wrong += not read_alike
        errors = [str(example["error"]) for example in found if "error" in example]
        print(f"{name}: {len(found):,} examples, {'equal' if read_alike else f'NOT equal to {len(expected):,}'}", *errors[:1])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
