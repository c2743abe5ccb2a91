"""ImageNet (ILSVRC2012), image to one of 1,000 classes.

The folder `--tmp_dir`, or imagenet/ in it, holds

* `ILSVRC2012_img_train.tar`, or a folder ILSVRC2012_img_train/ or train/ with one folder per class;
* `ILSVRC2012_img_val.tar`, or a folder ILSVRC2012_img_val/ or val/, flat or with one folder per class;
* `ilsvrc2012_val_synsets.txt`, with the synset of ILSVRC2012_val_%08d.JPEG on line %d, unless val/ has one folder per class.
  The devkit's list cannot replace it, since it numbers the classes in another order.

The words of the classes, as "Border collie" for n02106166, are read from the first of these that is there as well:
`ILSVRC2012_devkit_t12.tar.gz` or the folder ILSVRC2012_devkit_t12/, `LOC_synset_mapping.txt`, `synset_words.txt`, `words.txt`.

If `--tmp_dir` has tensorflow_datasets/imagenet2012/ as tensorflow-datasets prepares it, that is read instead.

CMYK and grey JPEG files, and the PNG file that is named .JPEG, become RGB when they are decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

from t2t_multimodel.data.readers import archives, class_words, corpora, tfds
from t2t_multimodel.data.readers.pictures import class_folders
from t2t_multimodel.features import Image, Label
from t2t_multimodel.problem import Example, Problem, problems
from t2t_multimodel.utils.errors import DataError

# The side of the images that Xception's entry flow reads; tensor2tensor uses the same.
PIXELS = 299
SYNSETS = tuple(Path(__file__).with_name("imagenet_synsets.txt").read_text(encoding="ascii").split())
VAL_SYNSETS = "ilsvrc2012_val_synsets.txt"

_KNOWN = frozenset(SYNSETS)
_SOURCES = {
    "train": ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_train", "train"),
    "dev": ("ILSVRC2012_img_val.tar", "ILSVRC2012_img_val", "val"),
}
_DEVKITS = ("ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_devkit_t12")
_WORDS = ("LOC_synset_mapping.txt", "synset_words.txt", "words.txt")
_PREPARED = "imagenet2012"
_ORIGIN = "https://image-net.org/challenges/LSVRC/2012/, after registration"
_SYNSETS_ORIGIN = (
    "https://github.com/tensorflow/models, research/slim/datasets/imagenet_2012_validation_synset_labels.txt under this name: "
    "the synset of each validation image, a line each"
)


def generate(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields images and their synset ids; "dev" is the official validation set. A damaged image gives an "error" example.

    Raises:
        DataError: a file is missing, or an archive is damaged.
    """
    check(tmp_dir)
    ready = tfds.find(_PREPARED, tmp_dir)
    if ready:
        return _prepared(ready, split)
    folder = corpora.folder_of("imagenet", tmp_dir)
    source = _source(folder, split)
    assert source is not None  # `check` has found it
    return _train(source) if split == "train" else _validation(source, folder / VAL_SYNSETS)


def check(tmp_dir: Path) -> None:
    """Raises a DataError that lists the missing files."""
    if tfds.find(_PREPARED, tmp_dir):
        return
    folder = corpora.folder_of("imagenet", tmp_dir)
    missing = [corpora.Missing(_SOURCES[split][0], _ORIGIN) for split in _SOURCES if _source(folder, split) is None]
    val = _source(folder, "dev")
    sorted_by_class = val is not None and any(path.name in _KNOWN for path in val.glob("n*"))
    if not sorted_by_class and not (folder / VAL_SYNSETS).is_file():
        missing.append(corpora.Missing(VAL_SYNSETS, _SYNSETS_ORIGIN))
    corpora.require("ImageNet (ILSVRC2012)", folder, missing)


def find_words(tmp_dir: Path) -> dict[str, str]:
    """Returns the words of the synsets, from the development kit or a list; nothing if neither is there.

    Raises:
        DataError: the file is damaged.
    """
    folder = corpora.folder_of("imagenet", tmp_dir)
    readers = dict.fromkeys(_DEVKITS, class_words.of_imagenet) | dict.fromkeys(_WORDS, class_words.listed)
    found = next((name for name in readers if (folder / name).exists()), None)
    return readers[found](folder / found) if found else {}


def _source(folder: Path, split: str) -> Path | None:
    return next((folder / name for name in _SOURCES[split] if (folder / name).exists()), None)


def _prepared(folder: Path, split: str) -> Iterator[Example]:
    for row in tfds.read(folder, ["train" if split == "train" else "validation"]):
        yield {"inputs": row["image"], "targets": row["label"], "origin": f"{row['file_name']} in {folder}"}


def _train(source: Path) -> Iterator[Example]:
    """Yields one image of each class in turn, since the archive has the classes one after another.

    Classes that are a thousand images long are too long for a shuffle buffer to mix them.
    """
    with ExitStack() as stack:
        if source.is_dir():
            folders = [source / synset for synset in SYNSETS if (source / synset).is_dir()]
            classes = [_class_images(stack.enter_context(archives.opened(path)), path.name) for path in folders]
        else:
            outer = stack.enter_context(archives.opened(source))
            tars = [member for member in outer.members() if member.name.endswith(".tar")]
            classes = [_packed_class(member) for member in tars]
        if not classes:
            raise DataError(
                f"{source} has no classes: n01440764.tar and 999 others in the archive, n01440764/ and others in a folder"
            )
        yield from corpora.round_robin(classes)


def _packed_class(member: archives.Member) -> Iterator[Example]:
    """Yields the images of a class. If its archive is damaged or belongs to no class, an "error" example follows them."""
    synset = PurePosixPath(member.name).stem
    try:
        if synset not in _KNOWN:
            raise DataError(f"{member.origin}: {synset[:40]!r} is no synset of ImageNet's 1000, as {SYNSETS[0]!r} is")
        yield from _class_images(archives.Tar(member.origin, member.open()), synset)
    except DataError as error:
        yield {"error": error}


def _class_images(archive: archives.Archive, synset: str) -> Iterator[Example]:
    for member in archive.members():
        if class_folders.is_hidden(member.name):
            continue
        if class_folders.is_picture(member.name):
            yield _example(member, synset)
        else:
            yield {"left_out": class_folders.other_kind(member.name)}


def _validation(source: Path, labels: Path) -> Iterator[Example]:
    synsets = _val_synsets(labels) if labels.is_file() else []
    with archives.opened(source) as archive:
        for member in archive.members():
            parent = PurePosixPath(member.name).parent.name
            number = re.search(r"(?:^|/)ILSVRC2012_val_(\d{8})\.\w+$", member.name)
            if class_folders.is_hidden(member.name):
                continue
            if not number:
                yield {"left_out": class_folders.other_kind(member.name)}
            elif parent in _KNOWN:
                yield _example(member, parent)
            elif 1 <= int(number.group(1)) <= len(synsets):
                yield _example(member, synsets[int(number.group(1)) - 1])
            else:
                yield {"error": DataError(f"{member.origin}: {labels} has no line for it")}


def _val_synsets(path: Path) -> list[str]:
    with archives.error_context(str(path)):
        synsets = path.read_text(encoding="utf-8-sig").split()
    for number, synset in enumerate(synsets, 1):
        if synset not in _KNOWN:
            raise DataError(f"{path}, line {number}: {synset[:40]!r} is no synset of ImageNet's 1000, as {SYNSETS[0]!r} is")
    return synsets


def _example(member: archives.Member, synset: str) -> Example:
    return corpora.file_example(member, targets=synset)


IMAGE_IMAGENET = Problem(
    "image_imagenet",
    Image(PIXELS, PIXELS, augment=("crop", "flip")),
    Label(SYNSETS, class_set="imagenet"),
    "to_class",
    generate,
    source="ImageNet ILSVRC2012, image-net.org; for non-commercial research and education, after registration",
    check=check,
    find_words=find_words,
)
problems.register(IMAGE_IMAGENET.name, IMAGE_IMAGENET)
