"""One Keras model for speech, images, captions, parsing and translation (Kaiser et al. 2017, arXiv 1706.05137).

Each public name is imported at its first use, so that `import t2t_multimodel` alone takes milliseconds.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t2t_multimodel.keras_classes import register_with_keras
from t2t_multimodel.utils.tensorflow_log import import_quietly
from t2t_multimodel.version import __version__ as __version__

if TYPE_CHECKING:
    from t2t_multimodel.config import HParams as HParams
    from t2t_multimodel.config import get_hparams as get_hparams
    from t2t_multimodel.config import hparams_sets as hparams_sets
    from t2t_multimodel.data.generation.generate import generate as generate
    from t2t_multimodel.features import Audio as Audio
    from t2t_multimodel.features import Image as Image
    from t2t_multimodel.features import Label as Label
    from t2t_multimodel.features import Text as Text
    from t2t_multimodel.inference import LoadedModel as LoadedModel
    from t2t_multimodel.inference import load as load
    from t2t_multimodel.problem import Problem as Problem
    from t2t_multimodel.problem import groups as groups
    from t2t_multimodel.runs.launch import train_run as train_run
    from t2t_multimodel.utils.errors import DataError as DataError
    from t2t_multimodel.utils.errors import MultiModelError as MultiModelError

# A checkout has problems/ and hparams/ beside this package, an installation inside it (see setup.py).
_CHECKOUT = Path(__file__).resolve().parent.parent
if (_CHECKOUT / "setup.py").is_file() and str(_CHECKOUT) not in __path__:
    __path__.append(str(_CHECKOUT))

# The module of each public name. `problems` is the package of the built-in problems, which has the registry's methods.
_DEFINED_IN = {
    "Audio": "features",
    "DataError": "utils.errors",
    "HParams": "config",
    "Image": "features",
    "Label": "features",
    "LoadedModel": "inference",
    "MultiModelError": "utils.errors",
    "Problem": "problem",
    "Text": "features",
    "generate": "data.generation.generate",
    "get_hparams": "config",
    "groups": "problem",
    "hparams_sets": "config",
    "load": "inference",
    "problems": "problems",
    "train_run": "runs.launch",
}
# Names that use a registry, and the package that fills it when imported.
_FILLED_BY = {"get_hparams": "hparams", "groups": "problems", "hparams_sets": "hparams"}

__all__ = ["__version__", *_DEFINED_IN]  # noqa: PLE0604 (all are strings)

register_with_keras()


def __getattr__(name: str) -> Any:
    if name not in _DEFINED_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _FILLED_BY:
        importlib.import_module(f"{__name__}.{_FILLED_BY[name]}")
    module = import_quietly(f"{__name__}.{_DEFINED_IN[name]}")
    value = module if name == "problems" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
