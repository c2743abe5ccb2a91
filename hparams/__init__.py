"""Sets of hyperparameters, a file for each family; importing this package registers them.

It is imported as `t2t_multimodel.hparams`. Under its bare name a second copy would register every set twice.
"""

if __name__ != "t2t_multimodel.hparams":
    raise ImportError(f"{__name__!r} is no package of its own: import it as t2t_multimodel.hparams")

from t2t_multimodel.hparams import multimodel  # noqa: F401
