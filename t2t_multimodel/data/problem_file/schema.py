"""The keys of a problem file: the keys of each kind of problem, and their valid values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from t2t_multimodel.features import BLEU_TOKENIZERS, WER_IGNORES, Audio, Feature, Image, Label, Text
from t2t_multimodel.problem import NAME
from t2t_multimodel.registry import unknown
from t2t_multimodel.utils.errors import DataError

METRICS = ("bleu", "chrf", "ter", "wer", "cer", "cider", "parse_f1")
SPLITS = ("train", "dev", "test")
SIDES = ("inputs", "targets")
_AUGMENT = ("crop", "flip")


class Key(NamedTuple):
    """A key's valid values, in words and as a test."""

    must_be: str
    holds: Callable[[Any], bool]


class Kind(NamedTuple):
    """A kind of problem.

    Attributes:
        keys: the keys that it has besides the keys of all kinds.
        features: returns the input and target features, from the problem's name and the values of its keys.
        metrics: the names of its metrics, if the file names none.
        target_space: its target space, if the file names none.
    """

    keys: dict[str, Key]
    features: Callable[[str, Mapping[str, Any]], tuple[Feature, Feature]]
    metrics: tuple[str, ...]
    target_space: str = ""


def check_table(place: str, values: Mapping[str, Any], known: Mapping[str, Key], needed: tuple[str, ...]) -> None:
    """Raises a DataError for the first key that is misspelt or missing, or has a wrong value."""
    for key, value in values.items():
        if key not in known:
            raise DataError(f"{place}: {unknown('key', key, list(known))}")
        if not known[key].holds(value):
            got = json.dumps(value, default=str, ensure_ascii=False)
            raise DataError(f"{place}, {key}: must be {known[key].must_be}, got {got[:80]}")
    for key in needed:
        if key not in values:
            raise DataError(f"{place}: the key {key} is missing; it must be {known[key].must_be}")


def columns_of(place: str, kind: str, values: Mapping[str, Any]) -> dict[str, str | int]:
    """Returns the names or numbers of the columns in a problem's lists, by our names for them.

    Raises:
        DataError: a key is misspelt or given twice, a value is wrong, or a needed column has no number while others have one.
    """
    given, known = values.get("columns", {}), COLUMNS.get(kind, {})
    check_table(f"{place}, columns", given, dict.fromkeys(known, _COLUMN), ())
    found = {known[key]: value for key, value in given.items()}
    if len(found) < len(given):
        raise DataError(f"{place}, columns: text and {known['text']} are one; leave one of them out")
    numbers = [value for value in found.values() if isinstance(value, int)]
    missing = [name for name in list(known)[:2] if name not in found]
    if numbers and (missing or len(numbers) < len(found)):
        wanted = f"the number of {' and '.join(missing)} too" if missing else "numbers alone"
        raise DataError(
            f"{place}, columns: names and numbers do not mix, since lists either name their columns or not; give {wanted}"
        )
    return found


def _image(values: Mapping[str, Any]) -> Image:
    sizes = {key: values[key] for key in ("height", "width") if key in values}
    return Image(**sizes, augment=tuple(values.get("augment", ())))


def _classified(name: str, values: Mapping[str, Any]) -> tuple[Feature, Feature]:
    return _image(values), Label(tuple(values.get("classes", ())), values.get("class_set", name))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value)) and len(set(value)) == len(value)


def _are_paths(value: Any) -> bool:
    return _is_text(value) or _is_list(value)


def _are_sides(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == set(SIDES) and all(_is_text(v) and "*" not in v for v in value.values())


def _is_source(value: Any, sides: bool) -> bool:
    """Whether a value is one source of train: a path, or a table of a path or two sides, maybe with a weight."""
    if not isinstance(value, dict):
        return _is_text(value)
    files = {key: file for key, file in value.items() if key != "weight"}
    return _is_number(value.get("weight", 1)) and (
        files.keys() == {"path"} and _is_text(files["path"]) or sides and _are_sides(files)
    )


def _are_sources(value: Any, sides: bool) -> bool:
    each = value if isinstance(value, list) else [value]
    return bool(each) and all(_is_source(one, sides) for one in each) and all(each.count(one) == 1 for one in each)


def _is_encoding(value: Any) -> bool:
    try:
        return _is_text(value) and "".encode(value) is not None
    except (LookupError, ValueError):
        return False


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < float("inf")


def _one_of(names: tuple[str, ...]) -> Key:
    return Key(f"a list of some of {', '.join(names)}", lambda value: isinstance(value, list) and all(v in names for v in value))


_TEXT, _COUNT = Key("a text in quotes", _is_text), Key("a whole number above 0", _is_count)
_TOKEN = Key('the command token in quotes, as "to_german"', lambda value: _is_text(value) and not re.search(r"\s", value))
_PATHS = Key("a path in quotes, or a list of them; * stands for any characters", _are_paths)
_SIDES_OR_PATHS = Key(
    '{inputs = "...", targets = "..."}, or the path of a file with both', lambda value: _are_sides(value) or _are_paths(value)
)
_WEIGHTED = "; of train a list may have tables, as {{path = {0}, weight = 2}}"
_TRAIN = Key(_PATHS.must_be + _WEIGHTED.format('"..."'), lambda value: _are_sources(value, sides=False))
_TRAIN_SIDES = Key(
    f"{_SIDES_OR_PATHS.must_be}, or a list of them, each maybe with weight = 2", lambda value: _are_sources(value, sides=True)
)
_COLUMN = Key(
    "a name in quotes, or in lists without names the number of the column, from 1", lambda v: _is_text(v) or _is_count(v)
)
COMMON = {
    "kind": _TEXT,
    "target_space": _TOKEN,
    **dict.fromkeys(SPLITS, _PATHS),
    "train": _TRAIN,
    "root": Key("a folder, in quotes, with train and maybe dev and test in it", _is_text),
    "folder": Key("the folder, in quotes, that paths are relative to, if not that of this file", _is_text),
    "encoding": Key('the name of an encoding, as "utf-8", "cp1252" or "utf-16"', _is_encoding),
    "dev_fraction": Key("a number between 0 and 1", lambda value: _is_number(value) and value < 1),
    "metrics": _one_of(METRICS),
    "source": _TEXT,
    "loss_weight": Key("a number above 0", _is_number),
}
_SCORED_TEXT = {
    "bleu_tokenizer": Key(f"one of {', '.join(BLEU_TOKENIZERS)}", BLEU_TOKENIZERS.__contains__),
    "wer_ignores": _one_of(WER_IGNORES),
}
REVERSE = {"name": Key("letters, digits and _, in quotes", lambda value: _is_text(value) and bool(NAME.fullmatch(value)))}
REVERSE |= {"target_space": _TOKEN, "bleu_tokenizer": _SCORED_TEXT["bleu_tokenizer"]}
_PICTURE = {"height": _COUNT, "width": _COUNT, "augment": _one_of(_AUGMENT)}
_WORDS_OF_CLASSES = Key("the path, in quotes, of a list with a class and its words per line", lambda value: _is_text(value))
_WORDS = {"max_train_words": _COUNT}
_LISTS = {"columns": Key('a table, as {path = "file_name", text = "sentence"}', lambda value: isinstance(value, dict))}
_FILES = _LISTS | {"files_in": Key("a folder, in quotes, relative to the list", _is_text)}
# The keys of `columns`, with our names for the columns.
COLUMNS = {
    "text_pairs": {"inputs": "inputs", "targets": "targets"},
    "image_folder": {"path": "path", "label": "label"},
    "image_captions": {"path": "path", "caption": "caption", "text": "caption"},
    "speech_manifest": {"path": "path", "transcript": "transcript", "text": "transcript"}
    | {name: name for name in ("start", "end", "offset", "duration", "speaker")},
}
KINDS = {
    "text_pairs": Kind(
        dict.fromkeys(SPLITS, _SIDES_OR_PATHS)
        | {"train": _TRAIN_SIDES}
        | _LISTS
        | _WORDS
        | _SCORED_TEXT
        | {"reverse": Key('a table, as {target_space = "to_english"}', lambda value: isinstance(value, dict))},
        lambda name, values: (Text(), Text()),
        ("bleu",),
    ),
    "image_folder": Kind(
        _PICTURE
        | _FILES
        | {"classes": Key("a list of different texts", _is_list), "class_set": _TEXT, "class_words": _WORDS_OF_CLASSES},
        _classified,
        (),
        "to_class",
    ),
    "image_captions": Kind(_PICTURE | _FILES | _SCORED_TEXT, lambda name, values: (_image(values), Text()), ("cider",)),
    "speech_manifest": Kind(
        {"sample_rate": _COUNT} | _FILES | _SCORED_TEXT,
        lambda name, values: (Audio(values.get("sample_rate", 16000)), Text()),
        ("wer",),
    ),
    "treebank_files": Kind(_WORDS, lambda name, values: (Text(), Text("tree")), ("parse_f1",), "to_parse_tree"),
}
