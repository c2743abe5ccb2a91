"""Sets of hyperparameters, a file for each family; importing this package registers them."""

if __name__ != "t2t_multimodel.hparams":
    raise ImportError(f"import t2t_multimodel.hparams instead of {__name__}: a second copy would register every set twice")

from t2t_multimodel.hparams import multimodel  # noqa: F401
