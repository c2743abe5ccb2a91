"""Settings for all tests: TensorFlow is quiet and on the CPU, tests/helpers can be imported, and where outside data lies."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import absl.logging
import pytest

from t2t_multimodel.cli.console_log import console_logging

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests" / "helpers"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """--corpora."""
    parser.addoption(
        "--corpora", default=str(ROOT.parent / "shared" / "data"), help="folder of corpora from outside the repository"
    )


@pytest.fixture(autouse=True)
def shown_log() -> Iterator[None]:
    """What is logged is on stderr, as in the commands."""
    with console_logging():
        absl.logging.set_verbosity(absl.logging.INFO)
        yield


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """A test leaves no signal blocked, since the processes of later tests would inherit that."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, set())
    yield
    assert signal.pthread_sigmask(signal.SIG_BLOCK, set()) == blocked


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data(request: pytest.FixtureRequest) -> Path:
    """Corpora from outside the repository, the folder of --corpora; the test is skipped where there are none."""
    folder = Path(request.config.getoption("corpora"))
    if not folder.is_dir():
        pytest.skip(f"no corpora under {folder}; name their folder with --corpora")
    return folder
