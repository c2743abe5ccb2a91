"""A profiler that fails does not end the run."""

import pytest
import tensorflow as tf

from t2t_multimodel.training.profiling import ProfiledSteps


def failing(*args):
    raise tf.errors.AlreadyExistsError(None, None, "Another profiler is running.")


@pytest.mark.parametrize("broken", ["start", "stop"])
def test_a_profiler_that_fails_is_one_warning(broken, tmp_path, monkeypatch, capsys):
    for name in ("start", "stop"):
        monkeypatch.setattr(tf.profiler.experimental, name, failing if name == broken else lambda *args: None)
    profile = ProfiledSteps((1, 3), tmp_path)
    written = []
    for step in (1, 2, 3):
        with profile.step(step):
            pass
        written.append(profile.after(step))
    assert written == ["", "", ""] and profile.close() == ""
    assert capsys.readouterr().err.splitlines() == [
        "warning: the profile is left out: AlreadyExistsError: Another profiler is running."
    ]
