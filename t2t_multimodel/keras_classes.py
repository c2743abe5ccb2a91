"""Registers this package's classes with Keras, so that `import t2t_multimodel` alone suffices to load a `model.keras`.

Importing Keras takes seconds, too long for commands that only read flags. So this module does not import it. The model's module,
which registers the classes, is imported at once if Keras has been imported, and otherwise right after Keras.
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
# If one of these is what imports Keras, it is itself half imported then, and the model's module cannot import it yet.
_PARTS = ("t2t_multimodel.layers", "t2t_multimodel.modalities", "t2t_multimodel.models")


def register_with_keras() -> None:
    """Registers the model's classes with Keras, now or when Keras is imported."""
    if "keras" in sys.modules:
        importlib.import_module(MODEL)
    else:
        sys.meta_path.insert(0, _KerasFinder())


class _KerasFinder(importlib.abc.MetaPathFinder):
    """Finds Keras once, as the other finders do, and makes its loader import the model's module afterwards."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Followed(spec.loader)
        return spec


class _Followed(importlib.abc.Loader):
    """Loads a module with `loader`, then imports the model's module."""

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
