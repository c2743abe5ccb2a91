"""A refactoring changes no loss and no gradient of any kind of problem."""

import json

import golden
import numpy as np
import pytest


@pytest.fixture(scope="module")
def found():
    return golden.first_steps()


def wanted():
    return json.loads(golden.GOLDEN.read_text(encoding="utf-8"))


def test_every_kind_of_problem_is_stored():
    assert wanted().keys() == golden.KINDS.keys()
    assert all(np.shape(rows) == (golden.STEPS, 2) for rows in wanted().values())


@pytest.mark.parametrize("kind", golden.KINDS)
def test_losses_and_gradient_norms_are_those_stored(kind, found):
    """If a change is intended, `python tests/helpers/golden.py` stores the new values, and the commit's message says why."""
    np.testing.assert_allclose(found[kind], wanted()[kind], rtol=1e-5, err_msg=f"rows are steps: [loss, gradient norm] of {kind}")
