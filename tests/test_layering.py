"""Imports run one way: who may know whom (docs/architecture.md)."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

BASE = {"utils", "registry", "features", "hyperparameter", "config", "problem"}
BODY = BASE | {"layers", "modalities", "models"}
TRAINING = BASE | {"model_protocol", "data", "distributed", "tf_internals"}
# The rooms, the lowest first, and what each may import of the package besides itself.
MAY_IMPORT = {
    "version": set(),
    "utils": set(),
    "registry": {"utils"},
    "features": {"utils"},
    "hyperparameter": set(),
    "keras_classes": set(),
    "config": {"utils", "registry", "hyperparameter"},
    "problem": {"utils", "registry", "features"},
    "model_protocol": {"config", "features"},
    "testing": {"features", "problem"},
    "layers": {"utils"},
    "modalities": {"config", "features", "registry", "layers"},
    "models": {"config", "features", "layers", "modalities", "registry", "utils"},
    "data": BASE,
    "tf_internals": set(),
    "distributed": {"utils", "tf_internals"},
    "training": TRAINING,
    "decoding": BASE | {"data", "model_protocol", "tf_internals"},
    "evaluation": BASE | {"data"},
    "hparams": {"config", "registry"},
    "problems": BASE | {"data"},
    "runs": BODY | TRAINING | {"training", "decoding", "evaluation", "version"},
    "inference": BODY | {"model_protocol", "data", "decoding", "evaluation", "runs"},
    "export_weights": set(),
    "export": BODY | {"model_protocol", "data", "tf_internals", "decoding", "runs", "export_weights"},
    "reports": BODY | TRAINING | {"training", "decoding", "evaluation", "runs", "inference"},
    "serving": BASE | {"data", "decoding", "reports"},
    "experiments": {"config", "problem", "registry", "reports", "runs", "training", "utils", "version"},
    "__init__": BASE | {"version", "keras_classes", "data", "runs", "inference"},
    "cli": BODY
    | TRAINING
    | {"training", "decoding", "evaluation", "runs", "inference", "export", "reports", "serving", "experiments", "version"},
}
STANDARD_LIBRARY_ONLY = {"model_protocol", "version", "registry", "hyperparameter", "config", "features", "keras_classes"}
WITHOUT_TENSORFLOW = {"layers", "modalities", "models", "problems", "hparams"}
LAZY_IMPORTS_ONLY = {"cli", "__init__"}
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
    """The rooms of this package among dotted names."""
    return {name.split(".")[1] for name in names if name.startswith("t2t_multimodel.")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path):
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


def test_every_room_has_a_rule():
    assert {part_of(path) for path in FILES} == set(MAY_IMPORT)


def test_no_arrow_runs_back_up():
    rooms = list(MAY_IMPORT)
    for room, below in MAY_IMPORT.items():
        assert below <= set(rooms[: rooms.index(room)]), room


def test_what_is_internal_to_tensorflow_is_used_in_one_file():
    internal = ("tf.__internal__", "tensorflow.python", "compat.v1")
    found = [path.name for path in FILES if any(name in path.read_text(encoding="utf-8") for name in internal)]
    assert found == ["tf_internals.py"]


@pytest.mark.parametrize("folder", ["t2t_multimodel", "hparams", "problems", "benchmarks", "examples", "tests"])
def test_files_have_at_most_400_lines_and_functions_70(folder):
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for path in sorted((ROOT / folder).rglob("*.py")):
        text = path.read_text()
        assert len(text.splitlines()) <= 400, path
        found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, functions)]
        assert [node.name for node in found if (node.end_lineno or 0) - node.lineno >= 70] == [], path
