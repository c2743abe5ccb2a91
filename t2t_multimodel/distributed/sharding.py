"""Divides experts among parameter servers: each server holds the weights and the moments of some experts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from t2t_multimodel.tf_internals import ShardedVariable

Variable = Any  # a tf.Variable, or a ShardedVariable, whose parts divide the first axis


def by_experts(num_experts: int, servers: int) -> Callable[..., list[int]]:
    """Returns a partitioner for ParameterServerStrategy that divides variables [num_experts, D, F] into one part per server."""

    def partition(shape: tf.TensorShape, dtype: tf.DType, axis: int = 0) -> list[int]:
        parts = servers if len(shape) == 3 and shape[0] == num_experts else 1
        return [parts, *[1] * (len(shape) - 1)]

    return partition


def in_parts(variables: Mapping[str, Variable]) -> dict[str, tf.Variable]:
    """Returns `variables` by name with every part on its own: "w" in two parts becomes "w[0]" and "w[1]"."""
    found: dict[str, tf.Variable] = {}
    for name, variable in variables.items():
        if isinstance(variable, ShardedVariable):
            found |= {f"{name}[{i}]": part for i, part in enumerate(variable.variables)}
        else:
            found[name] = variable
    return found


def joined(parts: Mapping[str, tf.Variable]) -> dict[str, Variable]:
    """Returns the variables that `in_parts` divided. A checkpoint of them does not depend on the number of parts."""
    found: dict[str, Any] = {}
    for name, variable in parts.items():
        whole, bracket, _ = name.partition("[")
        if bracket:
            found.setdefault(whole, []).append(variable)
        else:
            found[name] = variable
    return {name: ShardedVariable(value) if isinstance(value, list) else value for name, value in found.items()}
