"""What `import t2t_multimodel` offers."""

import inspect
import json
import subprocess
import sys

import pytest

import t2t_multimodel


def run_python(code):
    """Runs `code` in a fresh process and returns what it prints as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", t2t_multimodel.__all__)
def test_every_public_name_exists_and_says_what_it_is(name):
    value = getattr(t2t_multimodel, name)
    assert name in dir(t2t_multimodel)
    assert inspect.ismodule(value) or name == "__version__" or inspect.getdoc(value)


def test_signatures_are_those_of_the_definitions():
    assert "beam_size" in inspect.signature(t2t_multimodel.load).parameters
    assert "target_space" in inspect.signature(t2t_multimodel.Problem).parameters


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        _ = t2t_multimodel.laod


def test_the_import_brings_nothing_heavy_and_the_registries_are_filled_when_they_are_used():
    code = """
import json, sys
import t2t_multimodel as mm
heavy = [name for name in ("tensorflow", "keras", "numpy") if name in sys.modules]
print(json.dumps([heavy, mm.get_hparams("multimodel_tiny").model.hidden_size > 0, "mini8" in mm.groups.names(),
                  mm.problems.get("mini_ende").name, mm.hparams_sets.names() != []]))
"""
    assert run_python(code) == [[], True, True, "mini_ende", True]


def test_a_problem_is_registered_by_public_names_alone():
    from t2t_multimodel import Problem, Text, problems

    with problems.temporary(public_test=Problem("public_test", Text(), Text(), "to_german", lambda split, tmp_dir: [])):
        assert problems.get("public_test").target_space == "to_german"
        with pytest.raises(ValueError, match="registered already"):
            problems.register("public_test", problems.get("public_test"))


def test_errors_share_a_base():
    assert issubclass(t2t_multimodel.DataError, t2t_multimodel.MultiModelError)
    with pytest.raises(t2t_multimodel.MultiModelError, match="unknown problem"):
        t2t_multimodel.problems.get("no_such_problem")
