"""Eight problems over small open data sets: an example of a user module (`--usr_dir=examples/open_small`).

Each data set needs a function that yields raw examples of a split, and a `Problem` that says what they are. Nothing else.
`--tmp_dir` is the folder that holds multi30k/, craft_treebank/, fsdd/, grocery_store/ and coco_mini/.
"""

from __future__ import annotations

import functools
import gzip
import json
import zlib
from collections import defaultdict
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
        digit, speaker, index = path.stem.split("_")
        if (int(index) < 5) == (split == "dev"):
            found.append((int(index), speaker, int(digit), path))
    for _, _, digit, path in sorted(found):
        yield from checked(path, lambda data, name: media.decode_audio(data, SAMPLE_RATE, name), {"targets": DIGITS[digit]})


def groceries(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Photographs and the fine class of each, from lines "path, fine class, coarse class"."""
    folder = Path(tmp_dir) / "grocery_store"
    listing = present(folder / {"train": "train.txt", "dev": "val.txt"}[split])
    for line in listing.read_text(encoding="utf-8").splitlines():
        name, fine, _ = line.split(", ")
        yield from checked(folder / name, media.check_image, {"targets": GROCERIES[int(fine)]})


def coco_captions(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Images and captions: an example for each caption in training, one for each image with all of them as references in "dev"."""
    folder, year = Path(tmp_dir) / "coco_mini", {"train": "train2017", "dev": "val2017"}[split]
    content = json.loads(present(folder / "annotations" / f"captions_{year}.json").read_text(encoding="utf-8"))
    captions = defaultdict(list)
    for annotation in content["annotations"]:
        captions[annotation["image_id"]].append(" ".join(annotation["caption"].split()))
    for image in content["images"]:
        answers = [{"targets": caption} for caption in captions[image["id"]]]
        if split == "dev":
            answers = [{**answer, "references": captions[image["id"]]} for answer in answers[:1]]
        yield from checked(folder / year / image["file_name"], media.check_image, *answers)


def checked(path: Path, check: Callable[[bytes, str], object], *answers: Example) -> Iterator[Example]:
    """An example for each of `answers` with the file's bytes as inputs; one error if the file is missing or `check` refuses it."""
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
    try:
        return gzip.decompress(present(path).read_bytes()).decode("utf-8").removesuffix("\n").split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} should be a whole gzip file of UTF-8 text: {error}") from error


def register() -> None:
    """Registers the eight problems, and all of them together as the group `open_small`."""
    photograph = Image(height=64, width=64, augment=("crop", "flip"))
    members = []
    for name, language, space in (("m30k_ende", "de", "to_german"), ("m30k_enfr", "fr", "to_french")):
        forward = Problem(
            name,
            inputs=Text(),
            targets=Text(),
            target_space=space,
            generate=functools.partial(multi30k, language),
            metrics=("bleu",),
            splits=("train", "dev", "test"),
            source="Multi30k, github.com/multi30k/dataset; for research and education, non-commercial",
        )
        members += [forward, forward.reverse("to_english")]
    members += [
        Problem(
            "craft_parsing",
            inputs=Text(),
            targets=Text(format="tree"),
            target_space="to_parse_tree",
            generate=craft,
            metrics=("parse_f1",),
            source="CRAFT treebank, github.com/UCDenver-ccp/CRAFT; CC BY 3.0",
        ),
        Problem(
            "fsdd_digits",
            inputs=Audio(sample_rate=SAMPLE_RATE),
            targets=Text(),
            target_space="to_english",
            generate=spoken_digits,
            metrics=("wer",),
            source="Free Spoken Digit Dataset, github.com/Jakobovski/free-spoken-digit-dataset; CC BY-SA 4.0",
        ),
        Problem(
            "grocery_class",
            inputs=photograph,
            targets=Label(classes=GROCERIES, class_set="groceries"),
            target_space="to_class",
            generate=groceries,
            source="Grocery Store Dataset, github.com/marcusklasson/GroceryStoreDataset; MIT",
        ),
        Problem(
            "coco_caption",
            inputs=photograph,
            targets=Text(),
            target_space="to_english",
            generate=coco_captions,
            metrics=("cider",),
            source="COCO captions, cocodataset.org; annotations CC BY 4.0, each image has a Flickr licence of its own",
        ),
    ]
    for problem in members:
        problems.register(problem.name, problem)
    groups.register("open_small", tuple(problem.name for problem in members))


register()
