"""Sets of hyperparameters, one file per family; importing this package registers them.

Import it as `t2t_multimodel.hparams`. Under its bare name it would be a second copy that registers every set again.
"""

if __name__ != "t2t_multimodel.hparams":
    raise ImportError(f"{__name__!r} is no package of its own: import it as t2t_multimodel.hparams")

from t2t_multimodel.hparams import multimodel  # noqa: F401
