"""Settings for all tests: TensorFlow is quiet and on the CPU, tests/helpers can be imported, and where outside data lies."""

import os
import sys
from pathlib import Path

import pytest

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests" / "helpers"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Corpora from outside the repository: $MULTIMODEL_DATA, or ../shared/data; the test is skipped where there are none."""
    folder = Path(os.environ.get("MULTIMODEL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no corpora under {folder}; name their folder with MULTIMODEL_DATA")
    return folder
