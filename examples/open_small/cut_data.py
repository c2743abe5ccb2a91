"""Makes the folder of this example's raw data from checkouts of its five sources, which README.md lists.

    python examples/open_small/cut_data.py --checkouts=DIR --tmp_dir=data

DIR holds the checkouts under their repositories' names. What is in the folder already is written again.
"""

from __future__ import annotations

import argparse
import collections
import gzip
import json
import random
import shutil
from pathlib import Path

from PIL import Image

INDICES = 17  # of each speaker's recordings of a digit; 0 to 4 are dev
PICTURES = {"train": 15, "val": 4}  # of each class of groceries
DERIVATIVES = {1, 2, 4, 5}  # the licences in COCO's lists that allow a picture to be changed


def main() -> None:
    """Makes all five folders."""
    parser = argparse.ArgumentParser(description="Makes the raw data of examples/open_small from checkouts of its sources.")
    parser.add_argument("--checkouts", type=Path, required=True, help="folder of the five checkouts")
    parser.add_argument("--tmp_dir", type=Path, required=True, help="the folder to write, mm-datagen's --tmp_dir")
    args = parser.parse_args()
    multi30k(args.checkouts / "dataset", args.tmp_dir / "multi30k")
    craft(args.checkouts / "CRAFT", args.tmp_dir / "craft_treebank")
    digits(args.checkouts / "free-spoken-digit-dataset", args.tmp_dir / "fsdd")
    groceries(args.checkouts / "GroceryStoreDataset", args.tmp_dir / "grocery_store")
    coco(args.checkouts / "COCO-MINI", args.tmp_dir / "coco_mini")


def multi30k(source: Path, target: Path) -> None:
    """Copies train, val and test of 2016 in English, German and French."""
    target.mkdir(parents=True, exist_ok=True)
    for split in ("train", "val", "test_2016_flickr"):
        for language in ("en", "de", "fr"):
            shutil.copy(source / "data" / "task1" / "raw" / f"{split}.{language}.gz", target)


def craft(source: Path, target: Path) -> None:
    """Packs the trees of train and of dev into one file each, in the order of the lists of articles."""
    target.mkdir(parents=True, exist_ok=True)
    for split in ("train", "dev"):
        articles = (source / "articles" / "ids" / f"craft-ids-{split}.txt").read_text(encoding="utf-8-sig").split()
        with gzip.open(target / f"{split}.mrg.gz", "wb") as file:
            for article in articles:
                file.write((source / "structural-annotation" / "treebank" / "penn" / f"{article}.tree").read_bytes())


def digits(source: Path, target: Path) -> None:
    """Copies the first recordings of each digit and speaker, <digit>_<speaker>_<index>.wav."""
    (target / "recordings").mkdir(parents=True, exist_ok=True)
    for path in (source / "recordings").glob("*.wav"):
        if int(path.stem.split("_")[2]) < INDICES:
            shutil.copy(path, target / "recordings")


def groceries(source: Path, target: Path) -> None:
    """Draws photographs of each class with a fixed seed, scales them down, and writes the lists of train and val."""
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "dataset" / "classes.csv", target)
    draw = random.Random(7)
    for split, count in PICTURES.items():
        classes: dict[int, list[str]] = collections.defaultdict(list)
        for line in (source / "dataset" / f"{split}.txt").read_text().splitlines():
            classes[int(line.split(",")[1])].append(line)
        chosen: list[str] = []
        for _, lines in sorted(classes.items()):
            draw.shuffle(lines)
            chosen += lines[:count]
        (target / f"{split}.txt").write_text("".join(f"{line}\n" for line in chosen))
        for line in chosen:
            name = line.split(",")[0]
            shrink(source / "dataset" / name, target / name, 128, quality=80)


def coco(source: Path, target: Path) -> None:
    """Scales down the pictures whose licence allows it, and writes the lists of captions for these alone."""
    (target / "annotations").mkdir(parents=True, exist_ok=True)
    for split in ("train2017", "val2017"):
        content = json.loads((source / "annotations" / f"captions_{split}.json").read_text())
        content["images"] = [image for image in content["images"] if image["license"] in DERIVATIVES]
        for image in content["images"]:
            name = Path(split, image["file_name"])
            image["width"], image["height"] = shrink(source / name, target / name, 256, quality=85)
        kept = {image["id"] for image in content["images"]}
        content["annotations"] = [caption for caption in content["annotations"] if caption["image_id"] in kept]
        (target / "annotations" / f"captions_{split}.json").write_text(json.dumps(content))


def shrink(source: Path, target: Path, shorter: int, quality: int) -> tuple[int, int]:
    """Writes a picture as JPEG, scaled to the shorter side `shorter` if it is larger; returns its width and height."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as image:
        factor = min(1.0, shorter / min(image.size))
        size = round(image.width * factor), round(image.height * factor)
        image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(target, "JPEG", quality=quality)
    return size


if __name__ == "__main__":
    main()
