"""The paper's eight problems together: from their official layouts to batches."""

import itertools

import corpora
import numpy as np
import pytest

import t2t_multimodel.problems  # noqa: F401  (registers them)
from t2t_multimodel.cli import datagen
from t2t_multimodel.config import HParams
from t2t_multimodel.data import records
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.pipeline import TrainingBatches, evaluation_batches
from t2t_multimodel.features import Image, Label
from t2t_multimodel.problem import resolve
from t2t_multimodel.utils.errors import DataError

NAMES = (
    "audio_wsj_tokens_8k",
    "image_imagenet",
    "image_mscoco_tokens_8k",
    "wsj_parsing_tokens_8k",
    "wmt_ende_tokens_8k",
    "wmt_ende_tokens_8k_rev",
    "wmt_enfr_tokens_8k",
    "wmt_enfr_tokens_8k_rev",
)
COUNTS = {
    "audio_wsj_tokens_8k": {"train": 2, "dev": 1, "test": 1},
    "image_imagenet": {"train": 6, "dev": 4},
    "image_mscoco_tokens_8k": {"train": 3, "dev": 1},
    "wsj_parsing_tokens_8k": {"train": 21, "dev": 1, "test": 1},
    "wmt_ende_tokens_8k": {"train": 5, "dev": 1, "test": 2},
    "wmt_enfr_tokens_8k": {"train": 7, "dev": 1, "test": 2},
}
HPARAMS = HParams().override("batch_images=2,batch_tokens=64,max_length=64,mel_bins=20,shuffle_buffer=10")


def test_the_group_has_the_papers_eight_under_tensor2tensors_names():
    assert tuple(problem.name for problem in resolve("multimodel8")) == NAMES
    assert all(problem.source for problem in resolve("multimodel8"))


@pytest.mark.parametrize("packed", [True, False])
def test_all_eight_make_records(tmp_path, packed):
    corpora.multimodel8(tmp_path / "raw", packed)
    lines, data_dir = [], tmp_path / "data"
    manifests = generate(resolve("multimodel8"), data_dir, tmp_path / "raw", 400, report=lines.append)
    found = {name: {split: entry["examples"] for split, entry in made["splits"].items()} for name, made in manifests.items()}
    assert found == COUNTS
    assert sum(entry["skipped"] for manifest in manifests.values() for entry in manifest["splits"].values()) == 0
    assert "image_mscoco_tokens_8k-test: this data has no such split" in lines
    lines.clear()
    generate(resolve("multimodel8"), data_dir, tmp_path / "gone", 400, report=lines.append)
    assert [line for line in lines if "complete already" in line] == [f"{name}: complete already" for name in COUNTS]


def test_all_eight_make_batches(tmp_path):
    corpora.multimodel8(tmp_path / "raw", packed=True)
    data_dir = tmp_path / "data"
    generate(resolve("multimodel8"), data_dir, tmp_path / "raw", 400, report=lambda line: None)
    for problem in resolve("multimodel8"):
        batch = next(iter(TrainingBatches(problem, data_dir, HPARAMS, seed=1)))
        if isinstance(problem.inputs, Image):
            assert batch["inputs"].shape == (2, 299, 299, 3)
        assert batch["targets"].shape.rank == (1 if isinstance(problem.targets, Label) else 2)
        assert all(np.isfinite(value).all() for value in batch.values())
    (dev,) = evaluation_batches(resolve("image_mscoco_tokens_8k")[0], data_dir, HPARAMS)
    assert [text.decode() for text in dev["references"].numpy()[0]] == corpora.CAPTIONS[3]


def test_packed_and_unpacked_corpora_make_the_same_records(tmp_path):
    """But for the order of ImageNet's validation images: an archive has its own."""
    names = ("image_imagenet", "image_mscoco_tokens_8k", "wsj_parsing_tokens_8k", "wmt_ende_tokens_8k")
    made = []
    for packed in (True, False):
        corpora.multimodel8(tmp_path / f"raw{packed}", packed)
        manifests = generate(resolve(names), tmp_path / f"data{packed}", tmp_path / f"raw{packed}", 400, report=lambda line: None)
        shards = itertools.chain.from_iterable(m["splits"][split]["shards"] for m in manifests.values() for split in m["splits"])
        made.append({shard["file"]: shard["sha256"] for shard in shards if "imagenet-dev" not in shard["file"]})
    assert made[0] == made[1]


def test_what_all_corpora_lack_is_named_before_anything_is_written(tmp_path):
    with pytest.raises(DataError) as error:
        generate(resolve("multimodel8"), tmp_path / "data", tmp_path, 400)
    for corpus in (
        "the WSJ speech corpus",
        "ImageNet (ILSVRC2012)",
        "COCO 2014",
        "the Penn Treebank 3",
        "English-DE",
        "English-FR",
    ):
        assert f"{corpus} is not complete; put into {tmp_path}: " in str(error.value)
    assert not (tmp_path / "data").exists()


def test_the_command_prints_where_the_data_is_from_and_the_manifest_keeps_it(tmp_path, capsys):
    corpora.treebank(tmp_path, packed=True)
    flags = [f"--data_dir={tmp_path / 'data'}", f"--tmp_dir={tmp_path}", "--vocab_size=300"]
    assert datagen.main(["--problems=wsj_parsing_tokens_8k", *flags]) == 0
    assert "wsj_parsing_tokens_8k: Penn Treebank 3, LDC99T42" in capsys.readouterr().err
    assert "LDC99T42" in records.read_manifest(tmp_path / "data", "wsj_parsing_tokens_8k")["source"]
    assert datagen.main(["--problems=wmt_ende_tokens_8k", *flags]) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("mm-datagen: error: WMT14 English-DE is not complete; put into ")
