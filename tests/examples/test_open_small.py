"""The example user module reads the real data, if it is at hand, and names what is wrong with damaged data."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path
from types import ModuleType

import pytest

from t2t_multimodel import problem as contract
from t2t_multimodel.data.generation.encode import check_example
from t2t_multimodel.utils.errors import DataError

NAMES = (
    "m30k_ende",
    "m30k_ende_rev",
    "m30k_enfr",
    "m30k_enfr_rev",
    "craft_parsing",
    "fsdd_digits",
    "grocery_class",
    "coco_caption",
)


@pytest.fixture(scope="module", autouse=True)
def module(root: Path) -> ModuleType:
    """The user module. It registers its problems when it is imported, so it is imported only once."""
    name = "open_small_under_test"
    if "open_small" not in contract.groups:
        spec = importlib.util.spec_from_file_location(name, root / "examples" / "open_small" / "__init__.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def examples(name: str, split: str, folder: Path) -> list[contract.Example]:
    return list(contract.problems.get(name).generate(split, folder))


def first(name: str, split: str, folder: Path) -> contract.Example:
    return next(iter(contract.problems.get(name).generate(split, folder)))


def test_group_has_the_eight_problems() -> None:
    assert tuple(problem.name for problem in contract.resolve("open_small")) == NAMES
    assert all(problem.source for problem in contract.resolve("open_small"))


def test_reversed_problems_share_records_and_the_command_token() -> None:
    german, french = contract.problems.get("m30k_ende_rev"), contract.problems.get("m30k_enfr_rev")
    assert (german.records_name, french.records_name) == ("m30k_ende", "m30k_enfr")
    assert german.target_space == french.target_space == contract.problems.get("coco_caption").target_space == "to_english"


def test_specs_survive_the_config_file() -> None:
    for problem in contract.resolve("open_small"):
        assert type(problem.spec()).from_dict(problem.spec().to_dict()) == problem.spec()


@pytest.mark.parametrize("name", NAMES)
def test_missing_folder_is_one_clear_error(name: str, tmp_path: Path) -> None:
    message = r"is missing; --tmp_dir should be the folder that holds multi30k/|is not complete; put into .* \(from https://"
    with pytest.raises(DataError, match=message):
        examples(name, "dev", tmp_path)


@pytest.mark.parametrize(
    ("name", "split", "count"),
    [
        ("m30k_ende", "train", 29000),
        ("m30k_ende", "dev", 1014),
        ("m30k_enfr", "test", 1000),
        ("fsdd_digits", "train", 720),
        ("fsdd_digits", "dev", 300),
        ("grocery_class", "train", 1215),
        ("grocery_class", "dev", 238),
        ("coco_caption", "train", 250),
        ("coco_caption", "dev", 51),
    ],
)
def test_counts_of_the_real_data(name: str, split: str, count: int, shared_data: Path) -> None:
    found = examples(name, split, shared_data)
    assert len(found) == count
    assert not [example for example in found if "error" in example]


def test_dev_digits_begin_with_every_digit_in_order(shared_data: Path) -> None:
    words = [e["targets"] for e in itertools.islice(contract.problems.get("fsdd_digits").generate("dev", shared_data), 10)]
    assert words == ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def test_class_names_are_those_of_the_data_set(module: ModuleType, shared_data: Path) -> None:
    rows = (shared_data / "grocery_store" / "classes.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert tuple(row.split(",")[0] for row in rows) == module.GROCERIES
    assert first("grocery_class", "train", shared_data)["targets"] == "Golden-Delicious"


def test_captions_have_five_references_in_dev_only(shared_data: Path) -> None:
    example = first("coco_caption", "dev", shared_data)
    assert len(example["references"]) == 5 and example["targets"] == example["references"][0]
    assert "references" not in first("coco_caption", "train", shared_data)


def test_damaged_listings_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "grocery_store").mkdir()
    (tmp_path / "grocery_store" / "val.txt").write_text("val/apple.jpg, 81, 0\n")
    for name in ("annotations", "train2017", "val2017"):
        (tmp_path / "coco_mini" / name).mkdir(parents=True)
    (tmp_path / "coco_mini" / "annotations" / "captions_val2017.json").write_text('{"images": [')
    for name, file in (("grocery_class", "val.txt"), ("coco_caption", "captions_val2017.json")):
        with pytest.raises(DataError, match=f"{file} is damaged"):
            examples(name, "dev", tmp_path)


def test_damaged_sound_and_missing_photograph_are_named(tmp_path: Path) -> None:
    (tmp_path / "fsdd" / "recordings").mkdir(parents=True)
    (tmp_path / "fsdd" / "recordings" / "3_ann_0.wav").write_bytes(b"RIFF")
    (tmp_path / "grocery_store").mkdir()
    (tmp_path / "grocery_store" / "val.txt").write_text("val/apple.jpg, 0, 0\n")
    assert "apple.jpg" in str(examples("grocery_class", "dev", tmp_path)[0]["error"])
    with pytest.raises(DataError, match=r"3_ann_0\.wav\), inputs is"):
        check_example(contract.problems.get("fsdd_digits"), first("fsdd_digits", "dev", tmp_path), "x")
