"""Holds back what TensorFlow logs while it is imported, before it reads TF_CPP_MIN_LOG_LEVEL."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from t2t_multimodel.utils.standard_error import standard_error_held_back

_INFORMS = re.compile(rb"I\d{4} |WARNING: All log messages before absl|To enable the following instructions: ")
_WARNS = re.compile(rb"[WE]\d{4} ")


@contextlib.contextmanager
def tensorflow_log_held_back() -> Iterator[None]:
    """Holds back the lines of TensorFlow's log that only inform, and without an NVIDIA driver those that miss a GPU.

    Other lines on stderr are shown at the end; all lines are if an exception is raised.
    """
    gpu = has_nvidia_driver()
    with standard_error_held_back(lambda line: not _INFORMS.match(line) and (gpu or not _WARNS.match(line))):
        yield


def import_quietly(module: str) -> ModuleType:
    """Returns the module; if its import is the first of TensorFlow, TensorFlow's log is held back meanwhile.

    GPUs are looked for at once, since TensorFlow logs then too. No option or environment variable is changed.
    """
    if "tensorflow" in sys.modules or sys.stderr is None:
        return importlib.import_module(module)
    with tensorflow_log_held_back():
        imported = importlib.import_module(module)
        if "tensorflow" in sys.modules:
            sys.modules["tensorflow"].config.list_physical_devices()
    return imported


def has_nvidia_driver() -> bool:
    """Returns whether an NVIDIA driver is loaded on this machine."""
    return Path("/dev/nvidiactl").exists() or Path("/proc/driver/nvidia").exists()
