"""The CRAFT treebank (biomedical articles), English sentence to parse tree.

The folder `--tmp_dir`, or craft_treebank/ in it, holds a checkout of the set, CRAFT/, or train.mrg.gz and dev.mrg.gz, which have
the set's trees, one per line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from t2t_multimodel.data.readers import archives, corpora, treebank
from t2t_multimodel.features import Text
from t2t_multimodel.problem import Example, Problem, problems

MAX_TRAIN_WORDS = 40
_ORIGIN = "https://github.com/UCDenver-ccp/CRAFT"
_SPLITS = ("train", "dev")


def generate(split: str, tmp_dir: Path) -> Iterator[Example]:
    """Yields sentences of at least two words, in training of at most `MAX_TRAIN_WORDS`, with their linearised trees.

    Other sentences give a "left_out" example, damaged trees an "error" example.

    Raises:
        DataError: a file is missing or damaged.
    """
    check(tmp_dir)
    for path in _files(split, corpora.folder_of("craft_treebank", tmp_dir)):
        for example in treebank.examples(archives.Folder(path.parent).open(path.name)):
            words = len(example["inputs"].split(" ")) if "inputs" in example else 0
            if "inputs" in example and words < 2:
                example = {"left_out": "one_word"}
            elif split == "train" and words > MAX_TRAIN_WORDS:
                example = {"left_out": "max_train_words"}
            yield example


def check(tmp_dir: Path) -> None:
    """Raises a DataError that lists the missing files."""
    folder = corpora.folder_of("craft_treebank", tmp_dir)
    missing = [f"CRAFT/ or {split}.mrg.gz" for split in _SPLITS if not _files(split, folder)]
    corpora.require("the CRAFT treebank", folder, [corpora.Missing(name, _ORIGIN) for name in missing])


def _files(split: str, folder: Path) -> list[Path]:
    """Returns the files of a split: one packed file, or one per article that the set lists; [] if they are missing."""
    packed, listed = folder / f"{split}.mrg.gz", folder / f"CRAFT/articles/ids/craft-ids-{split}.txt"
    if packed.is_file() or not listed.is_file():
        return [packed] if packed.is_file() else []
    with archives.error_context(str(listed)):
        articles = listed.read_text(encoding="utf-8-sig").split()
    return [folder / "CRAFT/structural-annotation/treebank/penn" / f"{article}.tree" for article in articles]


CRAFT_PARSING = Problem(
    "craft_parsing",
    Text(),
    Text("tree"),
    "to_parse_tree",
    generate,
    metrics=("parse_f1",),
    splits=_SPLITS,
    source="CRAFT treebank, github.com/UCDenver-ccp/CRAFT; CC BY 3.0",
    check=check,
)
problems.register(CRAFT_PARSING.name, CRAFT_PARSING)
