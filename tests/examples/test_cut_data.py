"""cut_data.py makes folders that the example's problems read, from checkouts in the layouts of the five sources, made here."""

from __future__ import annotations

import gzip
import io
import json
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

MANY = 20


def jpeg(width: int, height: int) -> bytes:
    """Returns a JPEG of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 30)).save(file, "JPEG")
    return file.getvalue()


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Writes {name: content} below `folder`."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture
def checkouts(tmp_path: Path) -> Path:
    """Five small checkouts: more digits and groceries than are kept, and a COCO picture that may not be changed."""
    folder = tmp_path / "checkouts"
    splits = ("train", "val", "test_2016_flickr")
    raw = {f"{split}.{language}.gz": gzip.compress(b"A dog.\n") for split in splits for language in ("en", "de", "fr", "cs")}
    write(folder / "dataset" / "data" / "task1" / "raw", raw)
    trees = {f"{name}.tree": f"( (S ({name} {name})) )\n".encode() for name in ("b", "a", "c")}
    write(folder / "CRAFT" / "structural-annotation" / "treebank" / "penn", trees)
    write(folder / "CRAFT" / "articles" / "ids", {"craft-ids-train.txt": b"b\na\n", "craft-ids-dev.txt": b"c\n"})
    write(folder / "free-spoken-digit-dataset" / "recordings", {f"3_ann_{n}.wav": b"RIFF" for n in range(MANY)})
    lines = [f"train/Fruit/Kiwi/Kiwi_{n:03d}.jpg, {n % 2}, 0" for n in range(2 * MANY)]
    write(
        folder / "GroceryStoreDataset" / "dataset",
        {
            "classes.csv": b"Class Name\n",
            "train.txt": "\n".join(lines).encode(),
            "val.txt": b"val/Fruit/Kiwi/Kiwi_001.jpg, 1, 0\n",
            "val/Fruit/Kiwi/Kiwi_001.jpg": jpeg(348, 464),
            **{line.split(",")[0]: jpeg(64, 64) for line in lines},
        },
    )
    for split in ("train2017", "val2017"):
        images = [{"id": n, "file_name": f"{n}.jpg", "license": n, "width": 640, "height": 480} for n in (1, 3)]
        captions = [{"image_id": n, "id": 10 + n, "caption": "A dog."} for n in (1, 3)]
        listed = json.dumps({"images": images, "annotations": captions}).encode()
        write(folder / "COCO-MINI", {f"annotations/captions_{split}.json": listed, f"{split}/1.jpg": jpeg(640, 480)})
    return folder


def test_folders_hold_what_the_readme_says(checkouts: Path, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "made"
    monkeypatch.setattr(sys, "argv", ["cut_data.py", f"--checkouts={checkouts}", f"--tmp_dir={made}"])
    runpy.run_path(str(root / "examples" / "open_small" / "cut_data.py"), run_name="__main__")

    assert len(list((made / "multi30k").iterdir())) == 9
    assert gzip.decompress((made / "craft_treebank" / "train.mrg.gz").read_bytes()) == b"( (S (b b)) )\n( (S (a a)) )\n"
    indices = sorted(int(path.stem.split("_")[2]) for path in (made / "fsdd" / "recordings").iterdir())
    assert indices == list(range(17))
    lines = (made / "grocery_store" / "train.txt").read_text().splitlines()
    assert [sum(line.endswith(f", {label}, 0") for line in lines) for label in (0, 1)] == [15, 15]
    assert all((made / "grocery_store" / line.split(",")[0]).is_file() for line in lines)
    with Image.open(made / "grocery_store" / "val" / "Fruit" / "Kiwi" / "Kiwi_001.jpg") as photograph:
        assert photograph.size == (128, 171)
    listed = json.loads((made / "coco_mini" / "annotations" / "captions_val2017.json").read_text())
    assert [(image["id"], image["width"], image["height"]) for image in listed["images"]] == [(1, 341, 256)]
    assert [caption["image_id"] for caption in listed["annotations"]] == [1]
    assert [path.name for path in (made / "coco_mini" / "val2017").iterdir()] == ["1.jpg"]
