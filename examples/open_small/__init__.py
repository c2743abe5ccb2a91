"""Eight problems over small open data sets: an example of a user module (`--usr_dir=examples/open_small`).

Each data set needs a function that yields raw examples of a split, and a `Problem` that says what they are. Nothing else.
`--tmp_dir` is the folder that holds multi30k/, craft_treebank/, fsdd/, grocery_store/ and coco_mini/.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from t2t_multimodel.data import media, trees
from t2t_multimodel.data.problem import DataError, Example, Problem, groups, problems
from t2t_multimodel.features import Audio, Image, Label, Text

SAMPLE_RATE = 8000
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GROCERIES = tuple(Path(__file__).with_name("grocery_classes.txt").read_text(encoding="utf-8").split())


def multi30k(language: str, split: str, tmp_dir: Path) -> Iterator[Example]:
    """English sentences and their translations; "dev" is the set's val, "test" its test_2016_flickr."""
    stem = {"train": "train", "dev": "val", "test": "test_2016_flickr"}[split]
    english, foreign = (Path(tmp_dir) / "multi30k" / f"{stem}.{name}.gz" for name in ("en", language))
    sources, targets = read_lines(english), read_lines(foreign)
    if len(sources) != len(targets):
        raise DataError(f"{english} has {len(sources)} lines and {foreign} {len(targets)}; they should match line by line")
    for number, (source, target) in enumerate(zip(sources, targets, strict=True), 1):
        if source.strip() and target.strip():
            yield {"inputs": source.strip(), "targets": target.strip()}
        else:
            yield {"error": DataError(f"line {number} of {english if target.strip() else foreign} is empty")}


def craft(split: str, tmp_dir: Path, max_train_words: int = 40) -> Iterator[Example]:
    """Sentences and their parse trees: of two words or more, and in training of at most `max_train_words`."""
    path = Path(tmp_dir) / "craft_treebank" / f"{split}.mrg.gz"
    for number, line in enumerate(read_lines(path), 1):
        try:
            words, tree = trees.linearise(trees.clean(trees.read_tree(line)))
        except DataError as error:
            yield {"error": DataError(f"line {number} of {path}: {error}")}
            continue
        if len(words) >= 2 and (split != "train" or len(words) <= max_train_words):
            yield {"inputs": " ".join(words), "targets": tree}


def spoken_digits(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Recordings <digit>_<speaker>_<index>.wav and the digit in letters; indices 0 to 4 are "dev".

    Sorted by index, so that the first few batches have all speakers and digits.
    """
    found = []
    for path in present(Path(tmp_dir) / "fsdd" / "recordings").glob("[0-9]_*_*.wav"):
        with blaming(path):
            digit, speaker, index = path.stem.split("_")
            found.append((int(index), speaker, int(digit), path))
    for number, _, value, path in sorted(found):
        if (number < 5) == (split == "dev"):
            yield from checked(path, lambda data, name: media.decode_audio(data, SAMPLE_RATE, name), {"targets": DIGITS[value]})


def groceries(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Photographs and the fine class of each, from lines "path, fine class, coarse class"."""
    folder = Path(tmp_dir) / "grocery_store"
    listing = present(folder / {"train": "train.txt", "dev": "val.txt"}[split])
    with blaming(listing):
        rows = [line.split(", ") for line in listing.read_text(encoding="utf-8").splitlines()]
        photographs = [(folder / name, GROCERIES[int(fine)]) for name, fine, _ in rows]
    for path, label in photographs:
        yield from checked(path, media.check_image, {"targets": label})


def coco_captions(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Images and captions: an example for each caption in training, one for each image in "dev", with all as references."""
    folder, year = Path(tmp_dir) / "coco_mini", {"train": "train2017", "dev": "val2017"}[split]
    listing = present(folder / "annotations" / f"captions_{year}.json")
    captions: dict[int, list[str]] = {}
    with blaming(listing):
        content = json.loads(listing.read_text(encoding="utf-8"))
        files = {image["id"]: folder / year / image["file_name"] for image in content["images"]}
        for annotation in content["annotations"]:
            captions.setdefault(annotation["image_id"], []).append(" ".join(annotation["caption"].split()))
        photographs = [(files[image_id], right) for image_id, right in captions.items()]
    for path, right in photographs:
        answers: list[Example] = [{"targets": caption} for caption in right]
        if split == "dev":
            answers = [{"targets": right[0], "references": right}]
        yield from checked(path, media.check_image, *answers)


def checked(path: Path, check: Callable[[bytes, str], object], *answers: Example) -> Iterator[Example]:
    """An example for each of `answers` with the file's bytes as inputs; an error if it is missing or `check` refuses it."""
    try:
        data = present(path).read_bytes()
        check(data, str(path))
    except DataError as error:
        yield {"error": error}
    else:
        yield from ({"inputs": data, **answer} for answer in answers)


def present(path: Path) -> Path:
    """`path`, if there is such a file or folder; raises DataError."""
    if not path.exists():
        raise DataError(f"{path} is missing; --tmp_dir should be the folder that holds multi30k/, craft_treebank/ and the others")
    return path


def read_lines(path: Path) -> list[str]:
    """The lines of a gzip file of UTF-8 text; raises DataError."""
    with blaming(path):
        return gzip.decompress(present(path).read_bytes()).decode("utf-8").removesuffix("\n").split("\n")


@contextlib.contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Turns what reading a damaged file raises into a DataError that names it."""
    try:
        yield
    except (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{path} is damaged or not in its usual format: {error}") from error


def register() -> None:
    """Registers the eight problems, and all of them together as the group `open_small`."""
    sound, photograph = Audio(SAMPLE_RATE), Image(height=64, width=64, augment=("crop", "flip"))
    fine_class = Label(GROCERIES, class_set="groceries")
    members = []
    for name, language, space in (("m30k_ende", "de", "to_german"), ("m30k_enfr", "fr", "to_french")):
        generate, splits = functools.partial(multi30k, language), ("train", "dev", "test")
        source = "Multi30k, github.com/multi30k/dataset; for research and education, non-commercial"
        forward = Problem(name, Text(), Text(), space, generate, metrics=("bleu",), splits=splits, source=source)
        members += [forward, forward.reverse("to_english")]
    source = "CRAFT treebank, github.com/UCDenver-ccp/CRAFT; CC BY 3.0"
    members += [Problem("craft_parsing", Text(), Text("tree"), "to_parse_tree", craft, metrics=("parse_f1",), source=source)]
    source = "Free Spoken Digit Dataset, github.com/Jakobovski/free-spoken-digit-dataset; CC BY-SA 4.0"
    members += [Problem("fsdd_digits", sound, Text(), "to_english", spoken_digits, metrics=("wer",), source=source)]
    source = "Grocery Store Dataset, github.com/marcusklasson/GroceryStoreDataset; MIT"
    members += [Problem("grocery_class", photograph, fine_class, "to_class", groceries, source=source)]
    source = "COCO captions, cocodataset.org; annotations CC BY 4.0, each image has a Flickr licence of its own"
    members += [Problem("coco_caption", photograph, Text(), "to_english", coco_captions, metrics=("cider",), source=source)]
    for problem in members:
        problems.register(problem.name, problem)
    groups.register("open_small", tuple(problem.name for problem in members))


register()
