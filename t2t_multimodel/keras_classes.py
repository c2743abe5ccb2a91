"""Makes Keras know this package's classes, so that a `model.keras` can be loaded after `import t2t_multimodel` alone.

Importing Keras takes seconds, which commands that only read flags need not spend: it is not imported here. Where it is imported
already, or once it is, the model's module is imported too, which registers its classes.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODEL = "t2t_multimodel.models.multimodel"
# Whoever imports one of these first has it import Keras while it is not complete itself, and may not be imported again within.
_PARTS = ("t2t_multimodel.layers", "t2t_multimodel.modalities", "t2t_multimodel.models")


def register_with_keras() -> None:
    """Registers the model's classes with Keras, now or when it is imported."""
    if "keras" in sys.modules:
        importlib.import_module(MODEL)
    else:
        sys.meta_path.insert(0, _KerasFinder())


class _KerasFinder(importlib.abc.MetaPathFinder):
    """Finds Keras as it would be found without this finder, once, and has the model imported behind it."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Followed(spec.loader)
        return spec


class _Followed(importlib.abc.Loader):
    """Loads a module as `loader` does, and then the model."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        if not any(part in sys.modules for part in _PARTS):
            importlib.import_module(MODEL)
