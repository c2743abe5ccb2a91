"""COCO captions, image to English sentence.

The folder `--tmp_dir`, or mscoco/ in it, holds `train2014.zip`, `val2014.zip` and `annotations_trainval2014.zip`, or the folders
train2014/, val2014/ and annotations/ that these archives contain; or the same of 2017. If it has both years, 2014 is read.

With Karpathy's `dataset_coco.json` beside them, "train" is its train and restval, "dev" its val, "test" its test. Without it
"dev" is the official validation set and there is no "test", since the captions of COCO's test images are not published.

If `--tmp_dir` has tensorflow_datasets/coco_captions/2014/ as tensorflow-datasets prepares it, that is read instead, with
Karpathy's splits.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from t2t_multimodel.data.normalization import normalize_spaces
from t2t_multimodel.data.readers import archives, captions, corpora, tfds
from t2t_multimodel.features import Image, Text
from t2t_multimodel.problem import Example, Problem, problems
from t2t_multimodel.utils.errors import DataError

from .imagenet import PIXELS

KARPATHY = "dataset_coco.json"
_KARPATHY_SPLITS = {"train": ("train", "restval"), "dev": ("val",), "test": ("test",)}
_PREPARED = "coco_captions/2014"

_YEARS = ("2014", "2017")
_MAX_JSON_BYTES = 1 << 30
T = TypeVar("T")


class Captioned(NamedTuple):
    """An image and its captions, or the error of a damaged entry of the list.

    Attributes:
        name: the image's file, like "train2014/COCO_train2014_000000057870.jpg".
        captions: its captions.
        error: why the entry cannot be read; None if it can.
    """

    name: str
    captions: list[str]
    error: DataError | None = None


def generate(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields images and captions: one example per caption in "train", elsewhere one per image with all captions as references.

    A damaged image or entry of the list gives an "error" example.

    Raises:
        DataError: an archive or a list of captions is missing or damaged.
    """
    check(tmp_dir)
    ready = tfds.find(_PREPARED, tmp_dir)
    if ready:
        yield from _prepared(ready, split)
        return
    folder = corpora.folder_of("mscoco", tmp_dir)
    listed = _karpathy(split, folder) if (folder / KARPATHY).is_file() else _official(split, folder)
    with ExitStack() as stack:
        opened: dict[str, archives.Archive] = {}
        for image in listed:
            if image.error:
                yield {"error": image.error}
                continue
            part = image.name.partition("/")[0]
            if part not in opened:
                opened[part] = stack.enter_context(archives.opened(_source(folder, part, part) or folder))
            yield from captions.examples(functools.partial(opened[part].open, image.name), image.captions, split)


def check(tmp_dir: Path) -> None:
    """Raises a DataError that lists the missing files."""
    if tfds.find(_PREPARED, tmp_dir):
        return
    folder = corpora.folder_of("mscoco", tmp_dir)
    year = _year(folder)
    parts = {f"train{year}": f"train{year}", f"val{year}": f"val{year}"}
    if not (folder / KARPATHY).is_file():
        parts[f"annotations_trainval{year}"] = f"annotations/captions_val{year}.json"
    missing = [f"{part}.zip" for part, unpacked in parts.items() if _source(folder, part, unpacked) is None]
    corpora.require(f"COCO {year}", folder, [corpora.Missing(name, "https://cocodataset.org/#download") for name in missing])


def _prepared(folder: Path, split: str) -> Iterator[Example]:
    for row in tfds.read(folder, _KARPATHY_SPLITS[split]):
        texts = [_tidy(text) for text in row["captions"]["text"]]
        yield from captions.of_image({"inputs": row["image"], "origin": f"{row['image/filename']} in {folder}"}, texts, split)


def _year(folder: Path) -> str:
    """Returns the year to read: 2014 with Karpathy's splits, which are of that year, else the first year with images."""
    found = (
        year for year in _YEARS if _source(folder, f"train{year}", f"train{year}") or _source(folder, f"val{year}", f"val{year}")
    )
    return _YEARS[0] if (folder / KARPATHY).is_file() else next(found, _YEARS[0])


def _source(folder: Path, part: str, unpacked: str) -> Path | None:
    """Returns the zip file of a part of the corpus, or `folder` if `unpacked` is in it, or None.

    The names of members are the same in both.
    """
    packed = folder / f"{part}.zip"
    if packed.is_file():
        return packed
    return folder if (folder / unpacked).exists() else None


def _official(split: str, folder: Path) -> list[Captioned]:
    if split == "test":
        return []
    year = _year(folder)
    part = {"train": f"train{year}", "dev": f"val{year}"}[split]
    name = f"annotations/captions_{part}.json"
    with archives.opened(_source(folder, f"annotations_trainval{year}", name) or folder) as archive:
        member = archive.open(name)
        content = _json(member)
    origin = member.origin
    named, errors = _entries(content, "images", origin, lambda image: (int(image["id"]), f"{part}/{image['file_name']}"))
    files = dict(named)
    captioned, more = _entries(
        content, "annotations", origin, lambda entry: (files[int(entry["image_id"])], _tidy(entry["caption"]))
    )
    listed: dict[str, list[str]] = {}
    for image, caption in captioned:
        listed.setdefault(image, []).append(caption)
    return errors + more + [Captioned(image, right) for image, right in listed.items()]


def _karpathy(split: str, folder: Path) -> list[Captioned]:
    wanted = _KARPATHY_SPLITS[split]
    member = archives.Folder(folder).open(KARPATHY)

    def captioned(image: Any) -> Captioned | None:
        if image["split"] not in wanted:
            return None
        name = str(image["filename"])
        return Captioned(f"{name.split('_')[1]}/{name}", [_tidy(sentence["raw"]) for sentence in image["sentences"]])

    listed, errors = _entries(_json(member), "images", member.origin, captioned)
    return errors + [image for image in listed if image]


def _json(member: archives.Member) -> Any:
    with archives.error_context(member.origin):
        return json.loads(archives.read(member, _MAX_JSON_BYTES))


def _entries(content: Any, key: str, origin: str, read: Callable[[Any], T]) -> tuple[list[T], list[Captioned]]:
    """Returns read(entry) for each entry of the list content[key], and the errors of the entries that cannot be read."""
    with archives.error_context(origin):
        entries = enumerate(list(content[key]))
    found, errors = [], []
    for number, entry in entries:
        try:
            with archives.error_context(f"{key}[{number}] in {origin}"):
                found.append(read(entry))
        except DataError as error:
            errors.append(Captioned("", [], error))
    return found, errors


def _tidy(caption: Any) -> str:
    if not isinstance(caption, str):
        raise TypeError(f"a caption must be a text, not {type(caption).__name__}")
    return normalize_spaces(caption)


IMAGE_MSCOCO = Problem(
    "image_mscoco_tokens_8k",
    Image(PIXELS, PIXELS, augment=("crop",)),
    Text(),
    "to_english",
    generate,
    metrics=("cider",),
    splits=("train", "dev", "test"),
    source="COCO captions, cocodataset.org; annotations CC BY 4.0, each image has a Flickr licence of its own",
    check=check,
)
COCO_64 = dataclasses.replace(IMAGE_MSCOCO, name="coco_64", inputs=Image(64, 64, augment=("crop",)))
for _one in (IMAGE_MSCOCO, COCO_64):
    problems.register(_one.name, _one)
