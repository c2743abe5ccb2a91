"""Experts divided among parameter servers: each of them holds some experts' weights, and their moments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from t2t_multimodel.tf_internals import ShardedVariable

Variable = Any  # a tf.Variable, or several that are the parts of one along its first axis


def by_experts(num_experts: int, servers: int) -> Callable[..., list[int]]:
    """A partitioner of ParameterServerStrategy: variables [num_experts, D, F] get as many parts as there are servers.

    Parts are made on the servers in turn, so that each server has one.
    """

    def partition(shape: tf.TensorShape, dtype: tf.DType, axis: int = 0) -> list[int]:
        parts = servers if len(shape) == 3 and shape[0] == num_experts else 1
        return [parts, *[1] * (len(shape) - 1)]

    return partition


def in_parts(variables: Mapping[str, Variable]) -> dict[str, tf.Variable]:
    """`variables` by name, each part for itself: "w" in two parts becomes "w[0]" and "w[1]"."""
    found: dict[str, tf.Variable] = {}
    for name, variable in variables.items():
        if isinstance(variable, ShardedVariable):
            found |= {f"{name}[{i}]": part for i, part in enumerate(variable.variables)}
        else:
            found[name] = variable
    return found


def joined(parts: Mapping[str, tf.Variable]) -> dict[str, Variable]:
    """The inverse of `in_parts`: variables as a checkpoint holds them, the same whatever they were divided among."""
    found: dict[str, Any] = {}
    for name, variable in parts.items():
        whole, bracket, _ = name.partition("[")
        if bracket:
            found.setdefault(whole, []).append(variable)
        else:
            found[name] = variable
    return {name: ShardedVariable(value) if isinstance(value, list) else value for name, value in found.items()}
