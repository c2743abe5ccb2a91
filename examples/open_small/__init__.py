"""Eight problems over small open data sets: an example of a user module (`--usr_dir=examples/open_small`).

A data set needs a function that yields the raw examples of a split, and a `Problem` that describes them. The group `open_small`
has the three problems of this module and the built-in ones for translation and parsing, `m30k_ende`, `m30k_enfr` (both also
reversed) and `craft_parsing`. `--tmp_dir` is the folder that holds multi30k/, craft_treebank/, fsdd/, grocery_store/ and
coco_mini/; README.md beside this file says where they are got.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from t2t_multimodel.data.readers import archives
from t2t_multimodel.features import Audio, Image, Label, Text
from t2t_multimodel.problem import Example, Problem, groups, problems
from t2t_multimodel.problems import mscoco
from t2t_multimodel.utils.errors import DataError

SAMPLE_RATE = 8000
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GROCERIES = tuple(Path(__file__).with_name("grocery_classes.txt").read_text(encoding="utf-8").split())


def spoken_digits(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields the recordings <digit>_<speaker>_<index>.wav with the digit in letters; indices 0 to 4 are "dev".

    They are sorted by index, so that the first batches have all speakers and digits.
    """
    found = []
    for path in present(Path(tmp_dir) / "fsdd" / "recordings").glob("[0-9]_*_*.wav"):
        with archives.error_context(str(path)):
            digit, speaker, index = path.stem.split("_")
            found.append((int(index), speaker, int(digit), path))
    for number, _, value, path in sorted(found):
        if (number < 5) == (split == "dev"):
            yield example(path, DIGITS[value])


def groceries(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields photographs with their fine class, from lists with the lines "path, fine class, coarse class"."""
    folder = Path(tmp_dir) / "grocery_store"
    listing = present(folder / {"train": "train.txt", "dev": "val.txt"}[split])
    with archives.error_context(str(listing)):
        rows = [line.split(", ") for line in listing.read_text(encoding="utf-8").splitlines()]
        photographs = [(folder / name, GROCERIES[int(fine)]) for name, fine, _ in rows]
    for path, label in photographs:
        yield example(path, label)


def coco_captions(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields pictures and captions of a part of COCO 2017 in COCO's layout, with the reader of the built-in problem."""
    return mscoco.generate(split, present(Path(tmp_dir) / "coco_mini"))


def coco_check(tmp_dir: Path) -> None:
    """Raises a DataError that lists the missing files of coco_mini/."""
    mscoco.check(present(Path(tmp_dir) / "coco_mini"))


def example(path: Path, targets: str) -> Example:
    """Returns a raw example with the file's bytes; an error example if the file is missing. mm-datagen finds damaged files."""
    try:
        return {"inputs": present(path).read_bytes(), "targets": targets, "origin": str(path)}
    except DataError as error:
        return {"error": error}


def present(path: Path) -> Path:
    """Returns `path`; raises DataError if there is no such file or folder."""
    if not path.exists():
        raise DataError(f"{path} is missing; --tmp_dir should be the folder that holds multi30k/, craft_treebank/ and the others")
    return path


def register() -> None:
    """Registers three problems, and these with five built-in ones as the group `open_small`."""
    sound, photograph = Audio(SAMPLE_RATE), Image(height=64, width=64, augment=("crop", "flip"))
    fine_class = Label(GROCERIES, class_set="groceries")
    members = []
    source = "Free Spoken Digit Dataset, github.com/Jakobovski/free-spoken-digit-dataset; CC BY-SA 4.0"
    members += [Problem("fsdd_digits", sound, Text(), "to_english", spoken_digits, metrics=("wer",), source=source)]
    source = "Grocery Store Dataset, github.com/marcusklasson/GroceryStoreDataset; MIT"
    members += [Problem("grocery_class", photograph, fine_class, "to_class", groceries, source=source)]
    captions = dataclasses.replace(mscoco.COCO_64, name="coco_caption", inputs=photograph, splits=("train", "dev"))
    members += [dataclasses.replace(captions, generate=coco_captions, check=coco_check)]
    for problem in members:
        problems.register(problem.name, problem)
    built_in = ("m30k_ende", "m30k_ende_rev", "m30k_enfr", "m30k_enfr_rev", "craft_parsing")
    groups.register("open_small", (*built_in, *(problem.name for problem in members)))


register()
