"""EuroSAT, satellite image (64 x 64) to one of ten kinds of land.

The folder `--tmp_dir`, or eurosat/ in it, holds `EuroSAT_RGB.zip` or `EuroSAT.zip`, or a folder of one of these names with one
folder per class.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from t2t_multimodel.data.readers import archives, corpora
from t2t_multimodel.features import Image, Label
from t2t_multimodel.problem import Example, Problem, problems
from t2t_multimodel.utils.errors import DataError

CLASSES = (
    *("AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial"),
    *("Pasture", "PermanentCrop", "Residential", "River", "SeaLake"),
)
_SOURCES = ("EuroSAT_RGB.zip", "EuroSAT.zip", "EuroSAT_RGB", "EuroSAT")
_NAME = re.compile(r"(?:^|/)(\w+)_(\d+)\.jpg$")
_DEV_EVERY = 10


def generate(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields images and their classes, in the order of the images' numbers, which mixes the classes.

    The set has no splits: the images with every tenth number are "dev". A damaged image gives an "error" example.

    Raises:
        DataError: the set is missing or damaged.
    """
    check(tmp_dir)
    source = _source(tmp_dir)
    assert source is not None  # `check` has found it
    with archives.opened(source) as archive:
        found = [(_NAME.search(member.name), member) for member in archive.members()]
        images = [(int(name.group(2)), name.group(1), member) for name, member in found if name and name.group(1) in CLASSES]
        if not images:
            raise DataError(f"{source} has no images of the classes, as AnnualCrop/AnnualCrop_1.jpg")
        for number, name, member in sorted(images, key=lambda image: image[:2]):
            if (number % _DEV_EVERY == 0) == (split == "dev"):
                yield corpora.file_example(member, targets=name)


def check(tmp_dir: Path) -> None:
    """Raises a DataError if the set is missing."""
    if _source(tmp_dir) is None:
        wanted = corpora.Missing(_SOURCES[0], "https://zenodo.org/records/7711810")
        corpora.require("EuroSAT", corpora.folder_of("eurosat", tmp_dir), [wanted])


def _source(tmp_dir: Path) -> Path | None:
    folder = corpora.folder_of("eurosat", tmp_dir)
    return next((folder / name for name in _SOURCES if (folder / name).exists()), None)


EUROSAT = Problem(
    "eurosat_class",
    Image(64, 64, augment=("crop", "flip")),
    Label(CLASSES, class_set="eurosat"),
    "to_class",
    generate,
    source="EuroSAT, github.com/phelber/EuroSAT; MIT",
    check=check,
)
problems.register(EUROSAT.name, EUROSAT)
