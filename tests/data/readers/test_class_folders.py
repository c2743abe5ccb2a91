"""Folders of pictures as people have them: other formats, hidden files, links, splits, and names that look the same."""

import unicodedata

import corpora
import pictures
import pytest

from t2t_multimodel.data.generation.encode import label_index
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.problem_file.load import read_problem_file
from t2t_multimodel.data.readers import archives, captions
from t2t_multimodel.decoding.files import read_raw
from t2t_multimodel.features import Image, Label
from t2t_multimodel.utils.errors import DataError

FILES = pictures.files()
JPEG = FILES["baseline.jpg"]
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))


def problem(folder, lines=""):
    (folder / "p.toml").write_text(f'[problems.ph]\nkind = "image_folder"\ntrain = "photos"\n{lines}')
    return read_problem_file(folder / "p.toml")[0]


def made(folder, lines="", **options):
    """Makes records of a folder of photos; returns the manifest and the reported lines."""
    said = []
    (folder / "data").mkdir(exist_ok=True)
    manifest = generate([problem(folder, lines)], folder / "data", folder, 300, 1, report=said.append, **options)["ph"]
    return manifest, said


def examples(manifest):
    return sum(entry["examples"] for entry in manifest["splits"].values())


def test_all_formats_are_read_and_what_is_passed_over_is_counted_by_kind(tmp_path):
    good = {f"photos/oak/{name.replace('<', 'l').replace('>', 'b')}": content for name, content in FILES.items()}
    other = {"photos/oak/a.heic": b"x", "photos/oak/b.HEIC": b"x", "photos/oak/c.txt": b"x", "photos/oak/README": b"x"}
    other |= {"photos/d.jpg": JPEG, "photos/e.txt": b"x"}
    hidden = ["photos/.DS_Store", "photos/oak/Thumbs.db", "photos/oak/._a.jpg", "photos/oak/.ipynb_checkpoints/a.jpg"]
    hidden += ["photos/.cache/a.jpg", "photos/oak/__MACOSX/._a.jpg"]
    corpora.write(tmp_path, good | other | dict.fromkeys(hidden, b"no picture") | {"photos/elm/photograph.jfif": JPEG})
    manifest, said = made(tmp_path, "dev_fraction = 0.3\n")
    assert examples(manifest) == len(good) + 1 and not any(entry["skipped"] for entry in manifest["splits"].values())
    left_out = {}
    for entry in manifest["splits"].values():
        for reason, count in entry["left_out"].items():
            left_out[reason] = left_out.get(reason, 0) + count
    expected = {".heic files": 2, ".txt files": 2, "other files": 1, "pictures beside the folders of the classes": 1}
    assert left_out == expected
    assert any("left out (" in line and ".txt files" in line for line in said)


def test_links_are_followed_and_dead_ones_are_error_examples(tmp_path):
    corpora.write(tmp_path, {f"photos/elm/{i}.jpg": JPEG for i in range(4)} | {f"more/{i}.jpg": JPEG for i in range(3)})
    (tmp_path / "photos/elm/linked").symlink_to(tmp_path / "more")
    (tmp_path / "photos/elm/above").symlink_to(tmp_path / "photos")
    (tmp_path / "photos/ash").symlink_to(tmp_path / "more")
    (tmp_path / "photos/elm/gone.jpg").symlink_to("../../.git/annex/objects/gone.jpg")
    found = [each for split in ("train", "dev") for each in problem(tmp_path, "dev_fraction = 0.3\n").generate(split, tmp_path)]
    assert len([example for example in found if "inputs" in example]) == 10
    (error,) = [str(example["error"]) for example in found if "error" in example]
    assert error.endswith("gone.jpg is missing: it is a link to ../../.git/annex/objects/gone.jpg")
    manifest, _ = made(tmp_path, "dev_fraction = 0.3\n", on_error="skip")
    assert examples(manifest) == 10 and sum(entry["skipped"] for entry in manifest["splits"].values()) == 1


def test_classes_without_a_training_picture_are_named(tmp_path):
    corpora.write(tmp_path, {f"photos/elm/{i}.jpg": JPEG for i in range(3)} | {"photos/ash/a.heic": b"x", "dev/ash/a.jpg": JPEG})
    (tmp_path / "photos/fir").mkdir()
    manifest, said = made(tmp_path, 'dev = "dev"\n')
    assert manifest["splits"]["train"]["classes_without_examples"] == ["ash", "fir"]
    assert "classes_without_examples" not in manifest["splits"]["dev"]
    assert "ph-train: classes without an example: 2 (ash, fir)" in said


def test_folders_of_splits_are_no_classes(tmp_path):
    corpora.write(tmp_path, {f"photos/{split}/{name}/0.jpg": JPEG for split in ("train", "val") for name in ("cat", "dog")})
    photos = tmp_path / "photos"
    with pytest.raises(
        DataError, match=f'{photos} holds splits, not classes; write train = "{photos}/train", dev = "{photos}/val"'
    ):
        problem(tmp_path).check(tmp_path)
    corpora.write(tmp_path, {"photos/boat/0.jpg": JPEG})
    problem(tmp_path).check(tmp_path)
    corpora.write(tmp_path, {"other/train/0.jpg": JPEG, "other/test/0.jpg": JPEG})
    (tmp_path / "p.toml").write_text('[problems.ph]\nkind = "image_folder"\ntrain = "other"\n')
    read_problem_file(tmp_path / "p.toml")[0].check(tmp_path)


def test_classes_whose_names_look_the_same_are_one(tmp_path):
    corpora.write(tmp_path, {f"photos/{COMPOSED}/{i}.jpg": JPEG for i in range(3)} | {f"photos/{DECOMPOSED}/4.jpg": JPEG})
    corpora.write(tmp_path, {f"dev/{DECOMPOSED}/0.jpg": JPEG, "photos/oak/0.jpg": JPEG})
    manifest, _ = made(tmp_path, 'dev = "dev"\n')
    assert len(manifest["targets"]["classes"]) == 2
    assert {split: entry["examples"] for split, entry in manifest["splits"].items()} == {"train": 5, "dev": 1}
    assert label_index(Label(("oak", COMPOSED)), DECOMPOSED, "x") == label_index(Label(("oak", DECOMPOSED)), COMPOSED, "x") == 1
    assert label_index(Label((COMPOSED, DECOMPOSED)), DECOMPOSED, "x") == 1


def test_paths_whose_letters_are_composed_otherwise_are_found(tmp_path):
    corpora.write(tmp_path, {f"{DECOMPOSED}/{DECOMPOSED}.jpg": JPEG, "list.tsv": f"{COMPOSED}/{COMPOSED}.jpg\ta cup\n".encode()})
    toml = '[problems.c]\nkind = "image_captions"\ntrain = "list.tsv"\ndev = "list.tsv"\ntarget_space = "to_english"\n'
    (tmp_path / "p.toml").write_text(toml)
    (example,) = read_problem_file(tmp_path / "p.toml")[0].generate("train", tmp_path)
    assert example["inputs"] == JPEG and example["targets"] == "a cup"
    assert read_raw(Image(), f"{COMPOSED}/{COMPOSED}.jpg", tmp_path).content == JPEG
    with pytest.raises(DataError, match="other.jpg is missing"):
        archives.Folder(tmp_path).open(f"{COMPOSED}/other.jpg")


def test_an_image_without_captions_is_an_error_example_that_names_it():
    for split in ("train", "dev", "test"):
        (example,) = captions.of_image({"inputs": JPEG, "origin": "a.jpg"}, [], split)
        assert str(example["error"]) == "a.jpg has no caption"
