"""Reads what the names of classes mean to people: lists with a class per line, and the synsets in ImageNet's development kit."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from t2t_multimodel.data.normalization import normalize_spaces
from t2t_multimodel.data.readers import archives
from t2t_multimodel.utils.errors import DataError

_SYNSETS = "data/meta.mat"


def listed(path: Path) -> dict[str, str]:
    """Returns the words per class of a list, with one class per line.

    In a line the words stand behind a tab, in a .csv file behind a comma, and in a file without tabs behind the first blank, as
    in "n02106166 Border collie".

    Raises:
        DataError: the file is missing or is no text, a line has no words, or a class has two different ones.
    """
    text = archives.text(archives.Folder(path.parent).open(path.name))
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if path.suffix.lower() == ".csv":
        rows = [(number, next(csv.reader(io.StringIO(line), strict=True))) for number, line in lines]
    else:
        delimiter = "\t" if "\t" in text else None
        rows = [(number, line.strip().split(delimiter, 1)) for number, line in lines]
    found: dict[str, str] = {}
    for number, columns in rows:
        name, words = map(normalize_spaces, [*columns, ""][:2])
        if not words:
            raise DataError(
                f"{path}, line {number}: expected a class and its words, as 'n02106166 Border collie', got {name[:60]!r}"
            )
        if found.setdefault(name, words) != words:
            raise DataError(f"{path}, line {number}: {name[:60]!r} has other words in an earlier line")
    return found


def of_imagenet(path: Path) -> dict[str, str]:
    """Returns the words per synset in ImageNet's development kit, an archive or a folder.

    Raises:
        DataError: it is damaged, or has no data/meta.mat.
    """
    from scipy.io import loadmat

    with archives.opened(path) as archive:
        member = next((member for member in archive.members() if member.name.endswith(_SYNSETS)), None)
        if member is None:
            raise DataError(f"{path} has no {_SYNSETS}")
        content = archives.read(member)
    try:
        synsets = loadmat(io.BytesIO(content), squeeze_me=True)["synsets"]
        return {str(row["WNID"]): normalize_spaces(str(row["words"])) for row in synsets}
    except Exception as error:  # SciPy raises almost any exception on damaged bytes.
        raise DataError(f"{member.origin} is damaged or has no synsets: {error}") from None
