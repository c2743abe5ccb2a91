"""Imports run one way: who may know whom (docs/architecture.md)."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

BASE = {"config", "features", "hyperparameter", "registry"}
MODEL = BASE | {"layers", "modalities", "models"}
DATA = BASE | {"data"}
# What each part may import of the package besides itself.
MAY_IMPORT = {
    "registry": BASE,
    "config": BASE,
    "hyperparameter": set(),
    "features": BASE,
    "layers": set(),
    "modalities": BASE | {"layers"},
    "data": BASE,
    "models": BASE | {"layers", "modalities"},
    "training": DATA,
    "decoding": DATA,
    "evaluation": DATA,
    "run": MODEL | DATA | {"training"},
    "inference": MODEL | DATA | {"decoding", "run"},
    "export": MODEL | DATA | {"decoding", "run", "standard_error"},
    "experiments": MODEL | DATA | {"training", "decoding", "evaluation", "run"},
    "cli": MODEL | DATA | {"training", "decoding", "evaluation", "run", "experiments", "inference", "export", "standard_error"},
    "keras_classes": set(),
    "standard_error": set(),
    "testing": MODEL | DATA,
    "problems": {"data", "registry", "features"},
    "hparams": {"config", "registry"},
}
STANDARD_LIBRARY_ONLY = {"registry", "config", "features", "hyperparameter", "keras_classes", "standard_error"}
WITHOUT_TENSORFLOW = {"layers", "modalities", "models", "problems", "hparams"}
LAZY_IMPORTS_ONLY = {"cli"}
HEAVY = {"tensorflow", "keras", "matplotlib", "nltk", "sacrebleu", "jiwer"}

FILES = sorted(path for folder in ("t2t_multimodel", "problems", "hparams") for path in (ROOT / folder).rglob("*.py"))


def part_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0] if parts[0] != "t2t_multimodel" else parts[1]


def module_of(path: Path) -> tuple[str, ...]:
    """The dotted name of a file's package."""
    parts = path.relative_to(ROOT).parent.parts
    return parts if parts[0] == "t2t_multimodel" else ("t2t_multimodel", *parts)


def imports(nodes, package: tuple[str, ...]) -> set[str]:
    """The dotted names that import statements among `nodes` name."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*start, *([node.module] if node.module else [])])
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def own_parts(names: set[str]) -> set[str]:
    """The parts of this package among dotted names; its version counts as none."""
    parts = {name.split(".")[1] for name in names if name.startswith("t2t_multimodel.")}
    return parts - {"__version__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path):
    if path == ROOT / "t2t_multimodel" / "__init__.py":
        return
    part = part_of(path)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = imports(ast.walk(tree), module_of(path))
    outside = {name.split(".")[0] for name in names} - {"t2t_multimodel", "__future__"}

    assert own_parts(names) <= MAY_IMPORT[part] | {part}, f"{part} may import {sorted(MAY_IMPORT[part])} only"
    assert not outside & {"problems", "hparams", "tests", "setup"}, "problems and hparams have no bare names"
    if part in STANDARD_LIBRARY_ONLY:
        assert outside <= set(sys.stdlib_module_names)
    if part in WITHOUT_TENSORFLOW:
        assert "tensorflow" not in outside, f"{part} is to run on every backend of Keras"
    if part in LAZY_IMPORTS_ONLY:
        at_the_top = imports(tree.body, module_of(path))
        assert not {name.split(".")[0] for name in at_the_top} & HEAVY, "commands import what is heavy inside functions"


def test_layers_import_nothing_but_keras_and_numpy():
    for path in (ROOT / "t2t_multimodel" / "layers").glob("*.py"):
        names = imports(ast.walk(ast.parse(path.read_text(encoding="utf-8"))), module_of(path))
        outside = {name.split(".")[0] for name in names} - {"t2t_multimodel", *sys.stdlib_module_names}
        assert outside <= {"keras", "numpy"}, path


def test_every_part_has_a_rule():
    parts = {part_of(path) for path in FILES} - {"__init__"}
    assert parts <= set(MAY_IMPORT)
