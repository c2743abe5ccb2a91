"""An error inside `only_informs` is one line and ends nothing."""

import pytest

from t2t_multimodel.utils.console import only_informs


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyError("mixer"), "KeyError: 'mixer'"),
        (OSError(28, "No space left"), "OSError: [Errno 28] No space left"),
        (MemoryError(), "MemoryError"),
        (RuntimeError("two\nlines"), "RuntimeError: two lines"),
        (RuntimeError("word " * 99), f"RuntimeError: {'word ' * 40}".rstrip()),
    ],
)
def test_an_exception_is_one_line(error, told):
    lines = []
    with only_informs("the profile", lines.append):
        raise error
    assert lines == [f"warning: the profile is left out: {told}"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), FileNotFoundError("x")])
def test_signals_and_expected_errors_pass(error):
    with pytest.raises(type(error)), only_informs("the profile", pytest.fail, but=(OSError,)):
        raise error
