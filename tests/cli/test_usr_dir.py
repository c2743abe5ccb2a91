"""--usr_dir loads a folder or a file that registers problems; a mistake in its code is one line."""

import pytest
import registries

from t2t_multimodel.cli.common import load_registries
from t2t_multimodel.config import hparams_sets
from t2t_multimodel.problem import problems
from t2t_multimodel.utils.errors import UserError

SET = "from t2t_multimodel.config import HParams, hparams_sets\nhparams_sets.register({name!r}, HParams)\n"


@pytest.fixture(autouse=True)
def registry_as_before():
    load_registries()
    with registries.as_before(hparams_sets):
        yield


def test_file_is_loaded_once(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(SET.format(name="of_a_file"))
    load_registries(file)
    load_registries(file)
    assert "of_a_file" in hparams_sets


def test_folder_may_have_modules_of_its_own(tmp_path):
    folder = tmp_path / "my-problems"
    folder.mkdir()
    (folder / "__init__.py").write_text("from . import other\n")
    (folder / "other.py").write_text(SET.format(name="of_a_folder"))
    load_registries(folder)
    assert "of_a_folder" in hparams_sets


def message(path) -> str:
    with pytest.raises(UserError) as caught:
        load_registries(path)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_missing_path_is_named(tmp_path):
    assert (
        message(tmp_path / "none") == f"--usr_dir={tmp_path}/none does not exist; give a folder with __init__.py, or a .py file"
    )
    assert message(tmp_path) == f"--usr_dir={tmp_path} has no __init__.py; give a folder with __init__.py, or a .py file"


def test_file_that_is_not_python_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    assert "is not Python" in message(tmp_path / "notes.txt")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = 1\ny = z\n", "line 2: NameError: name 'z' is not defined"),
        ("x = 1\ndef f(:\n", "line 2: invalid syntax"),
        ("import not_there\n", "line 1: ModuleNotFoundError: No module named 'not_there'"),
        (SET.format(name="twice") * 2, "line 4: ValueError: hparams set 'twice' is registered already"),
    ],
)
def test_error_names_file_and_line(code, expected, tmp_path):
    file = tmp_path / "faulty.py"
    file.write_text(code)
    assert message(file).endswith(f"{file}, {expected}")


PROBLEM = """
from t2t_multimodel import Problem, problems
from t2t_multimodel.features import Text
problem = Problem({own!r}, Text(), Text(), "to_german", list, records={records!r})
problems.register({name!r}, problem)
"""
RULE = "a name is made of letters, digits and _ and begins with a letter, as my_problem"


@pytest.mark.parametrize(
    ("name", "own", "records", "expected"),
    [
        ("my-ende", "my-ende", "", f"problem 'my-ende': {RULE}"),
        ("wmt/ende", "wmt/ende", "", f"problem 'wmt/ende': {RULE}"),
        ("2d", "2d", "", f"problem '2d': {RULE}"),
        ("ende", "ende", "../ende", f"problem '../ende': {RULE}"),
        ("my_a", "my_b", "", "problem 'my_a': the Problem's own name is 'my_b'; register it under that name"),
    ],
)
def test_names_that_commands_could_not_write_are_refused(name, own, records, expected, tmp_path):
    file = tmp_path / "named.py"
    file.write_text(PROBLEM.format(name=name, own=own, records=records))
    assert message(file).endswith(f"{file}, line 5: ValueError: {expected}")
    assert name not in problems


def test_name_of_a_group_is_checked_too(tmp_path):
    file = tmp_path / "grouped.py"
    file.write_text("from t2t_multimodel.problem import groups\ngroups.register('my-8', ('mini_ende',))\n")
    assert message(file).endswith(f"{file}, line 2: ValueError: group of problems 'my-8': {RULE}")


def test_error_in_a_module_of_a_folder_names_that_module(tmp_path):
    (tmp_path / "__init__.py").write_text("\nfrom . import inner\n")
    (tmp_path / "inner.py").write_text("\n\n1 / 0\n")
    assert message(tmp_path).endswith(f"{tmp_path / 'inner.py'}, line 3: ZeroDivisionError: division by zero")
