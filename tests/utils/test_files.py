"""Folders are checked before long work, written whole or not at all, and named when the disk is full."""

import errno
import os
import tempfile

import pytest
import tensorflow as tf

from t2t_multimodel.utils import files
from t2t_multimodel.utils.errors import DataError


def test_a_folder_that_may_not_be_written_is_named(tmp_path, monkeypatch):
    files.check_writable(tmp_path / "new" / "newer")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=f"^{tmp_path}/file: Not a directory; name a folder that may be written to$"):
        files.check_writable(tmp_path / "file")

    def refused(dir):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    with pytest.raises(DataError, match=f"^{tmp_path}: Permission denied; name a folder that may be written to$"):
        files.check_writable(tmp_path / "new")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        tf.errors.ResourceExhaustedError(None, None, "a; No space left on device"),
    ],
)
def test_a_full_disk_leaves_no_folder_and_is_named(tmp_path, error):
    (tmp_path / ".served.new").mkdir()  # of a run that was killed
    (tmp_path / ".served.new" / "old").touch()
    with pytest.raises(OSError, match="No space left on device") as caught, files.whole_folder(tmp_path / "served") as folder:
        assert not folder.exists()
        folder.mkdir()
        raise error
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "served"))
    assert not list(tmp_path.iterdir())


def test_the_error_of_a_full_disk_keeps_its_own_file_and_other_errors_are_left_alone(tmp_path):
    with pytest.raises(OSError, match="named") as caught, files.naming_full_disk(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "named")
    assert caught.value.filename == "named"
    with pytest.raises(ValueError, match="^x$"), files.naming_full_disk(tmp_path):
        raise ValueError("x")


def test_a_folder_appears_when_it_is_whole(tmp_path):
    with files.whole_folder(tmp_path / "served") as folder:
        folder.mkdir()
        (folder / "a").write_text("b")
        assert not (tmp_path / "served").exists()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["served", "served/a"]
