"""The documentation's site: it builds without a warning, and its Python reference has every public name with a docstring."""

import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys

import pages
import pytest

import t2t_multimodel

REFERENCE = pages.ROOT / "docs" / "reference.md"
REGISTRIES = {"problems", "groups", "hparams_sets"}


def test_every_public_name_is_in_the_reference():
    listed = {path.rpartition(".")[2] for path in documented_paths()}
    in_words = set(re.findall(r"`t2t_multimodel\.(\w+)`", REFERENCE.read_text()))
    assert REGISTRIES <= in_words
    assert set(t2t_multimodel.__all__) - {"__version__"} <= listed | in_words


def documented_paths():
    """The dotted paths of the objects that the reference shows."""
    return re.findall(r"^::: (\S+)$", REFERENCE.read_text(), re.MULTILINE)


def test_every_page_is_in_the_menu():
    menu = re.findall(r'"([\w/]+\.md)"', (pages.ROOT / "zensical.toml").read_text())
    assert sorted(menu) == sorted(path.name for path in (pages.ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("path", documented_paths())
def test_what_the_reference_shows_has_docstrings(path):
    module, _, name = path.rpartition(".")
    shown = getattr(importlib.import_module(module), name)
    assert inspect.getdoc(shown)
    if inspect.isclass(shown):
        methods = {key: value for key, value in vars(shown).items() if not key.startswith("_") and callable(value)}
        assert [key for key, value in methods.items() if not inspect.getdoc(value)] == []


def test_the_site_builds_without_a_warning(tmp_path):
    """A dead link, a page that is not there, or a docstring that does not fit its signature is a warning."""
    for name in ("docs", "t2t_multimodel", "problems", "hparams"):
        shutil.copytree(pages.ROOT / name, tmp_path / name)
    shutil.copy(pages.ROOT / "zensical.toml", tmp_path)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
    assert done.returncode == 0, done.stderr
    assert [line for line in (done.stdout + done.stderr).splitlines() if "griffe" in line or "warning" in line.lower()] == []
    site = tmp_path / "site"
    page_names = [path.stem for path in (pages.ROOT / "docs").glob("*.md") if path.stem != "index"]
    assert [name for name in page_names if not (site / name / "index.html").exists()] == []
    assert "LoadedModel" in (site / "reference" / "index.html").read_text()
