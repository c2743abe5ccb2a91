"""One Keras model for speech, images, captions, parsing and translation (Kaiser et al. 2017, arXiv 1706.05137)."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from t2t_multimodel.keras_classes import register_with_keras

if TYPE_CHECKING:
    from t2t_multimodel.inference import LoadedModel

from t2t_multimodel.version import __version__ as __version__

# In a checkout, problems/ and hparams/ stand beside this package; an installation has them inside it (see setup.py).
_CHECKOUT = Path(__file__).resolve().parent.parent
if (_CHECKOUT / "setup.py").is_file() and str(_CHECKOUT) not in __path__:
    __path__.append(str(_CHECKOUT))


register_with_keras()


def load(output_dir: "Path | str", **search: Any) -> "LoadedModel":
    """A trained model to decode with, loaded and warm; see t2t_multimodel.inference.load for the search's options."""
    from t2t_multimodel.inference import load as load_model  # imports TensorFlow, which most of the package does without

    return load_model(output_dir, **search)
