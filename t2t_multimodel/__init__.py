"""One Keras model for speech, images, captions, parsing and translation (Kaiser et al. 2017, arXiv 1706.05137)."""

from pathlib import Path

__version__ = "0.1.0"

# In a checkout, problems/ and hparams/ stand beside this package; an installation has them inside it (see setup.py).
_CHECKOUT = Path(__file__).resolve().parent.parent
if (_CHECKOUT / "setup.py").is_file() and str(_CHECKOUT) not in __path__:
    __path__.append(str(_CHECKOUT))
