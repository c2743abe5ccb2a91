"""The MultiModel, and a Transformer to compare it with; `models` maps values of the hyperparameter `architecture` to them."""

from t2t_multimodel.models.multimodel import MultiModel
from t2t_multimodel.models.transformer import Transformer
from t2t_multimodel.registry import Registry

models: Registry[type[MultiModel]] = Registry("model")
models.register("multimodel", MultiModel)
models.register("transformer", Transformer)

__all__ = ["MultiModel", "Transformer", "models"]
