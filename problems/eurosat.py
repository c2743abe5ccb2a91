"""EuroSAT, satellite image (64 x 64) to one of ten kinds of land.

In `--tmp_dir`, or its folder eurosat/: `EuroSAT_RGB.zip` or `EuroSAT.zip`, or the folder of that name with one for
each class in it.
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
_PLACES = ("EuroSAT_RGB.zip", "EuroSAT.zip", "EuroSAT_RGB", "EuroSAT")
_NAME = re.compile(r"(?:^|/)(\w+)_(\d+)\.jpg$")
_DEV_EVERY = 10


def generate(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Images and their classes, by number, so that the classes are mixed; every tenth number is "dev", as the set has no splits.

    A damaged image is an error example; raises DataError where the archive is missing or damaged.
    """
    check(tmp_dir)
    place = _place(tmp_dir)
    assert place is not None  # `check` has found it
    with archives.opened(place) as archive:
        found = [(_NAME.search(member.name), member) for member in archive.members()]
        images = [(int(name.group(2)), name.group(1), member) for name, member in found if name and name.group(1) in CLASSES]
        if not images:
            raise DataError(f"{place} has no images of the classes, as AnnualCrop/AnnualCrop_1.jpg")
        for number, name, member in sorted(images, key=lambda image: image[:2]):
            if (number % _DEV_EVERY == 0) == (split == "dev"):
                yield corpora.file_example(member, targets=name)


def check(tmp_dir: Path) -> None:
    """Raises a DataError if the set is missing."""
    if _place(tmp_dir) is None:
        wanted = corpora.Missing(_PLACES[0], "https://zenodo.org/records/7711810")
        corpora.require("EuroSAT", corpora.folder_of("eurosat", tmp_dir), [wanted])


def _place(tmp_dir: Path) -> Path | None:
    folder = corpora.folder_of("eurosat", tmp_dir)
    return next((folder / name for name in _PLACES if (folder / name).exists()), None)


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
