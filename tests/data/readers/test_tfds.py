"""Data sets that tensorflow-datasets has prepared (here by its own writer) are read; the line about a missing one says how."""

import io
import json

import corpora
import pytest
import tensorflow as tf

import t2t_multimodel.problems  # noqa: F401  (registers them)
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.readers import tfds as reader
from t2t_multimodel.problem import problems
from t2t_multimodel.utils.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow_datasets")


@pytest.fixture(scope="module")
def tfds():
    import tensorflow_datasets

    return tensorflow_datasets


def store(tmp_dir, tfds, name, features, splits, config=None, **options):
    """Writes a data set of {split: [example]} into the folder that `tfds build` writes to."""
    config = config and tfds.core.BuilderConfig(name=config, version="1.2.0")
    features = tfds.features.FeaturesDict(features)
    options |= {"config": config, "version": "1.2.0", "data_dir": tmp_dir / reader.FOLDER, "disable_shuffling": True}
    numbered = {split: list(enumerate(rows)) for split, rows in splits.items()}
    tfds.dataset_builders.store_as_tfds_dataset(name=name, features=features, split_datasets=numbered, **options)


def read(name, split, tmp_dir):
    return [{key: row[key] for key in row if key != "origin"} for row in problems.get(name).generate(split, tmp_dir)]


def test_imagenet(tfds, tmp_path):
    features = {"image": tfds.features.Image(), "file_name": tfds.features.Text()}
    features["label"] = tfds.features.ClassLabel(names=corpora.SYNSETS)
    pictures = {kind: corpora.picture(kind) for kind in (corpora.RGB, corpora.GREY, corpora.CMYK, corpora.PNG)}
    rows = [
        {"image": io.BytesIO(picture), "label": kind % 3, "file_name": f"{corpora.SYNSETS[kind % 3]}_{kind}.JPEG"}
        for kind, picture in pictures.items()
    ]
    store(tmp_path, tfds, "imagenet2012", features, {"train": rows[:3], "validation": rows[3:]})
    problems.get("image_imagenet").check(tmp_path)
    assert read("image_imagenet", "dev", tmp_path) == [{"inputs": pictures[corpora.PNG], "targets": corpora.SYNSETS[2]}]
    found = {example["inputs"]: example["targets"] for example in read("image_imagenet", "train", tmp_path)}
    assert found == {pictures[kind]: corpora.SYNSETS[kind % 3] for kind in (corpora.RGB, corpora.GREY, corpora.CMYK)}
    manifest = generate([problems.get("image_imagenet")], tmp_path / "data", tmp_path, 400, report=str)["image_imagenet"]
    assert {split: entry["examples"] for split, entry in manifest["splits"].items()} == {"train": 3, "dev": 1}


def few_synsets(tfds):
    """Returns the features of ImageNet, and three examples."""
    features = {"image": tfds.features.Image(), "file_name": tfds.features.Text()}
    features["label"] = tfds.features.ClassLabel(names=corpora.SYNSETS)
    pictures = [corpora.picture(kind) for kind in (corpora.RGB, corpora.GREY, corpora.PNG)]
    return features, [{"image": io.BytesIO(picture), "label": i, "file_name": f"{i}.JPEG"} for i, picture in enumerate(pictures)]


def test_array_record_is_read_too(tfds, tmp_path):
    features, rows = few_synsets(tfds)
    contents = [row["image"].getvalue() for row in rows]
    store(tmp_path, tfds, "imagenet2012", features, {"train": rows}, file_format="array_record")
    expected = [{"inputs": content, "targets": corpora.SYNSETS[i]} for i, content in enumerate(contents)]
    assert read("image_imagenet", "train", tmp_path) == expected

    [file] = tmp_path.rglob("*array_record-0*")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"imagenet2012/1\.2\.0, split train, is damaged: .*; prepare it again"):
        read("image_imagenet", "train", tmp_path)


def test_a_format_that_loses_examples_is_refused(tfds, tmp_path):
    features, rows = few_synsets(tfds)
    store(tmp_path, tfds, "imagenet2012", features, {"train": rows}, file_format="parquet")
    with pytest.raises(
        DataError, match=r"1\.2\.0 is in the format parquet, .* prepare it with --file_format=tfrecord or array_record"
    ):
        read("image_imagenet", "train", tmp_path)


def test_coco_captions(tfds, tmp_path):
    captions = tfds.features.Sequence({"id": tf.int64, "text": tf.string})
    features = {"image": tfds.features.Image(), "image/filename": tfds.features.Text(), "captions": captions}
    splits = {}
    for i, split in enumerate(("train", "restval", "val", "test")):
        texts = [{"id": 1, "text": f"Picture\n {i}."}, {"id": 2, "text": f"A {split}  picture."}]
        splits[split] = [{"image": io.BytesIO(corpora.picture()), "image/filename": f"{i}.jpg", "captions": texts}]
    store(tmp_path, tfds, "coco_captions", features, splits, "2014")
    train = read("image_mscoco_tokens_8k", "train", tmp_path)
    assert [row["targets"] for row in train] == ["Picture 0.", "A train picture.", "Picture 1.", "A restval picture."]
    assert train[0]["inputs"] == corpora.picture()
    (dev,) = read("image_mscoco_tokens_8k", "dev", tmp_path)
    assert dev == {"inputs": corpora.picture(), "targets": "Picture 2.", "references": ["Picture 2.", "A val picture."]}
    assert len(read("image_mscoco_tokens_8k", "test", tmp_path)) == 1


def test_wmt(tfds, tmp_path):
    rows = [{"en": "Bread\x01and tea .", "de": "Brot und Tee ."}, {"en": "", "de": "Leer ."}]
    splits = {
        "train": rows,
        "validation": rows[:1],
        "test": [rows[1], {"en": "&quot;Bread &amp; tea&quot;", "de": "Brot &amp; Tee"}],
    }
    store(tmp_path, tfds, "wmt14_translate", tfds.features.Translation(["de", "en"]), splits, "de-en")
    assert read("wmt_ende_tokens_8k", "train", tmp_path) == [{"inputs": "Bread and tea .", "targets": "Brot und Tee ."}]
    assert read("wmt_ende_tokens_8k", "dev", tmp_path)
    # The same text as from the archives, whose SGML has the same entities.
    assert read("wmt_ende_tokens_8k", "test", tmp_path) == [{"inputs": '"Bread & tea"', "targets": "Brot & Tee"}]
    with pytest.raises(DataError, match="WMT14 English-FR is not complete"):
        problems.get("wmt_enfr_tokens_8k").check(tmp_path)
    folder = reader.find("wmt14_translate/de-en", tmp_path)
    with pytest.raises(DataError, match=r"de-en/1\.2\.0 has no split dev, only "):
        list(reader.read(folder, ["dev"]))
    (shard,) = folder.glob("*-train.tfrecord*")
    shard.write_bytes(shard.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"de-en/1\.2\.0, split train, is damaged: "):
        read("wmt_ende_tokens_8k", "train", tmp_path)


def info(tmp_path, version):
    corpora.write(tmp_path / reader.FOLDER / "imagenet2012" / version, {"dataset_info.json": json.dumps({}).encode()})


def test_the_newest_version_is_found(tmp_path):
    assert reader.find("imagenet2012", tmp_path) is None
    for version in ("5.0.0", "5.10.0", "5.9.0", "incomplete.6.0.0"):
        info(tmp_path, version)
    assert reader.find("imagenet2012", tmp_path).name == "5.10.0"
