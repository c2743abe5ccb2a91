"""COCO captions as they are distributed: zip files or folders, of 2014 or 2017, with or without Karpathy's splits."""

import json

import corpora
import pytest

from t2t_multimodel.problems.mscoco import IMAGE_MSCOCO
from t2t_multimodel.utils.errors import DataError

LAYOUTS = [(packed, year) for packed in (True, False) for year in ("2014", "2017")]


def read(split, folder):
    return list(IMAGE_MSCOCO.generate(split, folder))


@pytest.mark.parametrize(("packed", "year"), LAYOUTS)
def test_every_caption_is_a_training_example(tmp_path, packed, year):
    corpora.mscoco(tmp_path, packed, year)
    found = read("train", tmp_path)
    assert [example["targets"] for example in found] == ["A red bus.", "A bus stands.", "Two dogs."]
    assert all(example["inputs"] == corpora.picture() and "references" not in example for example in found)


@pytest.mark.parametrize(("packed", "year"), LAYOUTS)
def test_dev_has_each_image_once_with_all_its_captions(tmp_path, packed, year):
    corpora.mscoco(tmp_path / "mscoco", packed, year)
    (example,) = read("dev", tmp_path)
    assert example["references"] == corpora.CAPTIONS[3] and example["targets"] == "A cat."
    assert read("test", tmp_path) == []


@pytest.mark.parametrize("packed", [True, False])
def test_karpathys_splits_move_images(tmp_path, packed):
    corpora.mscoco(tmp_path, packed)
    corpora.karpathy(tmp_path)
    assert [example["targets"] for example in read("train", tmp_path)] == corpora.CAPTIONS[3]
    assert [example["targets"] for example in read("dev", tmp_path)] == ["Two dogs."]
    assert [example["references"] for example in read("test", tmp_path)] == [["A red bus.", "A bus stands."]]


def test_the_genuine_json_is_read(shared_data, tmp_path):
    (tmp_path / "mscoco").symlink_to(shared_data / "coco_mini")
    found = read("train", tmp_path)
    assert len(found) == 250 and not [example for example in found if "error" in example]


def test_all_that_is_missing_is_named_at_once(tmp_path):
    with pytest.raises(
        DataError, match=r"put into .*: train2014\.zip, val2014\.zip, annotations_trainval2014\.zip \(from .*cocodata"
    ):
        read("train", tmp_path)
    corpora.mscoco(tmp_path, packed=True, year="2017")
    (tmp_path / "val2017.zip").unlink()
    with pytest.raises(DataError, match=r"COCO 2017 is not complete; put into [^;]*: val2017\.zip \([^;]*$"):
        read("train", tmp_path)


def test_a_missing_and_an_oversized_image_are_error_examples(tmp_path):
    corpora.mscoco(tmp_path, packed=True)
    names = [f"train2014/COCO_train2014_{i:012}.jpg" for i in (1, 2)]
    corpora.write(tmp_path, {"train2014.zip": corpora.zipped({names[0]: bytes(100 << 20)})})
    bomb, missing = read("train", tmp_path)
    assert "train2014.zip: " + names[0] + " has 104,857,600 bytes, more than the 67,108,864" in str(bomb["error"])
    assert f"train2014.zip has no {names[1]}" in str(missing["error"])


def test_a_name_that_leads_out_of_the_folder_is_not_followed(tmp_path):
    corpora.mscoco(tmp_path / "mscoco", packed=False)
    path = tmp_path / "mscoco" / "annotations" / "captions_val2014.json"
    path.write_text(path.read_text().replace("COCO_val2014", "../../secret/COCO_val2014"))
    corpora.write(tmp_path, {f"secret/COCO_val2014_{3:012}.jpg": corpora.picture()})
    (example,) = read("dev", tmp_path)
    assert "leads out of the archive" in str(example["error"])


@pytest.mark.parametrize("content", [b'{"images": [', b"[]", b'{"images": []}', b'{"annotations": 3, "images": []}', b"\xff"])
def test_a_damaged_list_of_captions_is_named(tmp_path, content):
    corpora.mscoco(tmp_path, packed=False)
    corpora.write(tmp_path, {"annotations/captions_val2014.json": content})
    with pytest.raises(DataError, match=r"captions_val2014\.json is damaged"):
        read("dev", tmp_path)


def test_a_damaged_list_of_splits_is_named(tmp_path):
    corpora.mscoco(tmp_path, packed=False)
    corpora.write(tmp_path, {"dataset_coco.json": json.dumps({"images": [{"split": "val", "filename": "x"}]}).encode()})
    (entry,) = read("dev", tmp_path)
    assert "images[0] in " in str(entry["error"]) and "dataset_coco.json is damaged" in str(entry["error"])
    corpora.write(tmp_path, {"dataset_coco.json": b"[]"})
    with pytest.raises(DataError, match=r"dataset_coco\.json is damaged"):
        read("dev", tmp_path)


def test_a_zip_file_cut_short_is_named(tmp_path):
    corpora.mscoco(tmp_path, packed=True)
    path = tmp_path / "val2014.zip"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"val2014\.zip is damaged, cut short"):
        read("dev", tmp_path)
