"""What is installed: every package, no bare names, and commands that start from a checkout without TensorFlow."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ("mm-datagen", "mm-trainer", "mm-decoder", "mm-experiment", "mm-export", "mm-score", "mm-serve")


def python(*args: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, check=False, **options)


def listed_packages() -> set[str]:
    """The packages that setup.py passes to setuptools."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    constants = {node.targets[0].id: ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)}
    return {"t2t_multimodel", *(f"t2t_multimodel.{name}" for name in constants["SUBPACKAGES"] + constants["AT_THE_TOP"])}


def test_setup_lists_every_package():
    inits = [path.parent for folder in ("t2t_multimodel", "problems", "hparams") for path in (ROOT / folder).rglob("__init__.py")]
    names = {".".join(path.relative_to(ROOT).parts) for path in inits}
    assert listed_packages() == {name if name.startswith("t2t_multimodel") else f"t2t_multimodel.{name}" for name in names}


def test_setup_lists_every_data_file():
    (setup,) = [node.value for node in ast.parse((ROOT / "setup.py").read_text()).body if isinstance(node, ast.Expr)][-1:]
    patterns = ast.literal_eval({keyword.arg: keyword.value for keyword in setup.keywords}["package_data"])
    assert patterns == {"t2t_multimodel.problems": ["*.txt"]}
    files = [path for folder in ("t2t_multimodel", "problems", "hparams") for path in (ROOT / folder).rglob("*.*")]
    assert {path.suffix for path in files if "__pycache__" not in path.parts} == {".py", ".txt"}


def test_every_folder_with_modules_is_a_package():
    folders = {path.parent for folder in ("t2t_multimodel", "problems", "hparams") for path in (ROOT / folder).rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]


@pytest.mark.parametrize("name", ["problems", "hparams"])
def test_bare_name_fails_with_the_right_one(name):
    done = python("-c", f"import {name}", cwd=ROOT)
    assert done.returncode != 0
    assert f"ImportError: {name!r} is no package of its own: import it as t2t_multimodel.{name}" in done.stderr


def test_commands_are_scripts_too():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(scripts) == set(COMMANDS) == {path.name for path in (ROOT / "bin").iterdir()}
    for command in COMMANDS:
        assert scripts[command] == f"t2t_multimodel.cli.{command.removeprefix('mm-')}:main"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_runs_from_a_checkout_without_tensorflow(command, tmp_path):
    done = python("-X", "importtime", str(ROOT / "bin" / command), "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {command} ")
    assert not re.search(r"\| +(tensorflow|keras|matplotlib|nltk)$", done.stderr, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_flag_is_one_line_and_code_2(command):
    done = python(str(ROOT / "bin" / command), "--prblems=mini8")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "did you mean --problem" in done.stderr


def test_changelog_knows_the_version():
    import t2t_multimodel

    assert t2t_multimodel.__version__ in (ROOT / "CHANGELOG.md").read_text()
