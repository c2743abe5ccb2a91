"""ImageNet as it is distributed: a tar of tars, a flat tar, a list of labels."""

import corpora
import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel.data.generation.encode import check_example
from t2t_multimodel.data.preprocess import image_pixels
from t2t_multimodel.problems.imagenet import IMAGE_IMAGENET, SYNSETS
from t2t_multimodel.utils.errors import DataError


def read(split, folder):
    return list(IMAGE_IMAGENET.generate(split, folder))


@pytest.mark.parametrize("packed", [True, False])
def test_training_images_come_a_class_in_turn_with_their_synsets(tmp_path, packed):
    corpora.imagenet(tmp_path / "imagenet", packed)
    found = read("train", tmp_path)
    assert [example["targets"] for example in found] == list(corpora.SYNSETS) * 2
    assert [example["origin"][-16:] for example in found] == [f"{s}_{n}.JPEG" for n in (0, 1) for s in corpora.SYNSETS]


@pytest.mark.parametrize("packed", [True, False])
def test_validation_labels_go_by_the_number_in_the_name(tmp_path, packed):
    corpora.imagenet(tmp_path, packed)
    labels = {example["origin"][-13:-5]: example["targets"] for example in read("dev", tmp_path)}
    assert labels == {f"{n:08}": (*corpora.SYNSETS, corpora.SYNSETS[0])[n - 1] for n in (1, 2, 3, 4)}


def test_validation_images_in_folders_of_classes_need_no_list(tmp_path):
    corpora.imagenet(tmp_path, packed=True)
    (tmp_path / "ILSVRC2012_img_val.tar").unlink()
    (tmp_path / "ilsvrc2012_val_synsets.txt").unlink()
    corpora.write(tmp_path / "val" / corpora.SYNSETS[2], {"ILSVRC2012_val_00000007.JPEG": corpora.picture()})
    assert [example["targets"] for example in read("dev", tmp_path)] == [corpora.SYNSETS[2]]


def test_grey_and_cmyk_and_png_images_are_read_in_their_colours(tmp_path):
    corpora.imagenet(tmp_path, packed=True)
    wanted = {0: (0, 90, 200), 2: (100, 90, 200), 3: (0, 90, 200), 1: (91, 91, 91)}
    found = read("train", tmp_path)
    for place, colour in wanted.items():
        inputs, label, *_ = check_example(IMAGE_IMAGENET, found[place], "x")
        assert SYNSETS[label] == corpora.SYNSETS[place % 3]
        pixels = tf.io.decode_image(inputs, channels=3, expand_animations=False).numpy()
        np.testing.assert_allclose(pixels.mean(axis=(0, 1)), colour, atol=8)
        assert image_pixels(tf.constant(inputs), IMAGE_IMAGENET.inputs, tf.constant([1, 2])).shape == (299, 299, 3)


def test_the_classes_are_those_of_the_real_lists(shared_data):
    folder = shared_data / "imagenet_labels"
    assert tuple(line.split()[0] for line in (folder / "synset_words.txt").read_text().splitlines()) == SYNSETS
    assert set((folder / "ilsvrc2012_val_synsets.txt").read_text().split()) == set(SYNSETS)


def test_all_that_is_missing_is_named_at_once_with_its_origin(tmp_path):
    with pytest.raises(DataError) as error:
        read("train", tmp_path)
    for part in (
        "ILSVRC2012_img_train.tar",
        "ILSVRC2012_img_val.tar",
        "ilsvrc2012_val_synsets.txt",
        "image-net.org",
        str(tmp_path),
    ):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_class_archives_that_are_not_unpacked_are_told(tmp_path):
    corpora.imagenet(tmp_path, packed=True)
    (tmp_path / "ILSVRC2012_img_train.tar").unlink()
    corpora.write(tmp_path / "train", {"n01440764.tar": corpora.tar({})})
    with pytest.raises(DataError, match=r"train has no classes: .* n01440764/ and others in a folder"):
        read("train", tmp_path)


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_cut_training_archive_is_named(tmp_path, kept):
    corpora.imagenet(tmp_path, packed=True)
    path = tmp_path / "ILSVRC2012_img_train.tar"
    path.write_bytes(path.read_bytes()[: int(30720 * kept) // 512 * 512 + 100])
    with pytest.raises(DataError, match=r"ILSVRC2012_img_train\.tar.* is damaged, cut short"):
        read("train", tmp_path)


def test_a_cut_image_is_named_when_it_is_checked(tmp_path):
    corpora.imagenet(tmp_path, packed=False)
    path = tmp_path / "ILSVRC2012_img_train" / "n01440764" / "n01440764_0.JPEG"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"^x \(.*n01440764_0\.JPEG\), inputs is "):
        check_example(IMAGE_IMAGENET, read("train", tmp_path)[0], "x")


def test_labels_of_another_kind_and_too_few_labels_are_told(tmp_path):
    corpora.imagenet(tmp_path, packed=True)
    labels = tmp_path / "ilsvrc2012_val_synsets.txt"
    labels.write_text("n01440764\nn01443537\n")
    found = {str(example.get("error", ""))[-60:] for example in read("dev", tmp_path)}
    assert any("has no line for it" in message for message in found)
    labels.write_text("n01440764\n490\n")
    with pytest.raises(DataError, match=r"ilsvrc2012_val_synsets\.txt, line 2: '490' is no synset"):
        read("dev", tmp_path)
