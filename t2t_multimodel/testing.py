"""Helpers for tests: a check for any layer, and problems with made-up examples."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from t2t_multimodel.features import Feature, Text
from t2t_multimodel.problem import Example, Problem


def run_layer_test(
    make_layer: Callable[[], Any],
    inputs: Any,
    *,
    call_args: dict[str, Any] | None = None,
    output_shape: tuple[int, ...] | None = None,
    weights: int | None = None,
    trainable_weights: int | None = None,
    without_gradient: Sequence[str] = (),
    symbolic: bool = True,
) -> Any:
    """Checks that a Keras layer builds, is restored from its configuration, can be called symbolically, and learns.

    Args:
        make_layer: returns a new, unbuilt layer.
        inputs: an array, or a tuple of arrays that are the call's positional arguments.
        call_args: further arguments of the call, by name.
        output_shape: the shape of the (first) output; None is not checked.
        weights, trainable_weights: the layer's numbers of variables; None is not checked.
        without_gradient: parts of variables' paths; these variables may have no gradient.
        symbolic: False for a layer that Keras cannot call symbolically, such as one that returns None in a tuple.

    Returns:
        The outputs of an inference call.

    Raises:
        AssertionError: a check failed; the message says which.
    """
    positional = inputs if isinstance(inputs, tuple) else (inputs,)
    layer = make_layer()
    outputs = _call(layer, positional, call_args)
    name = type(layer).__name__
    assert layer.built, f"{name} is not built after a call"
    if output_shape is not None:
        assert tuple(_arrays(outputs)[0].shape) == tuple(output_shape), f"{name} returns {_arrays(outputs)[0].shape}"
    if weights is not None:
        assert len(layer.weights) == weights, f"{name} has {len(layer.weights)} weights: {[v.path for v in layer.weights]}"
    if trainable_weights is not None:
        assert len(layer.trainable_weights) == trainable_weights, f"{name} trains {[v.path for v in layer.trainable_weights]}"
    _check_configuration(layer, outputs, positional, call_args)
    if symbolic:
        _check_symbolic(make_layer(), outputs, positional, call_args)
    _check_training(layer, positional, call_args, without_gradient)
    return outputs


def _call(layer: Any, inputs: tuple, call_args: dict[str, Any] | None, training: bool = False) -> Any:
    mode = {"training": training} if "training" in inspect.signature(layer.call).parameters else {}
    return layer(*inputs, **(call_args or {}), **mode)


def _arrays(outputs: Any) -> list[Any]:
    import keras

    return [array for array in keras.tree.flatten(outputs) if array is not None]


def _check_configuration(layer: Any, outputs: Any, inputs: tuple, call_args: dict[str, Any] | None) -> None:
    """Checks that a layer made from the configuration's JSON form, with the same weights, returns the same outputs."""
    import numpy as np
    from keras import ops

    name, config = type(layer).__name__, layer.get_config()
    clone = type(layer).from_config(json.loads(json.dumps(config)))
    restored = clone.get_config()
    assert json.dumps(restored) == json.dumps(config), (
        f"{name}.from_config(config) has another configuration: {restored} for {config}"
    )
    _call(clone, inputs, call_args)
    clone.set_weights(layer.get_weights())
    for wanted, got in zip(_arrays(outputs), _arrays(_call(clone, inputs, call_args)), strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(got), ops.convert_to_numpy(wanted), rtol=1e-5, atol=1e-6)


def _check_symbolic(layer: Any, outputs: Any, inputs: tuple, call_args: dict[str, Any] | None) -> None:
    """Checks that a call on symbolic inputs of unknown batch size promises the shapes of the eager call."""
    import keras

    def symbolic(array: Any) -> Any:
        return keras.KerasTensor((None, *array.shape[1:]), dtype=keras.backend.standardize_dtype(array.dtype))

    is_array = {key: hasattr(value, "shape") for key, value in (call_args or {}).items()}
    call_args = {key: symbolic(value) if is_array[key] else value for key, value in (call_args or {}).items()}
    promised = _arrays(_call(layer, tuple(symbolic(array) for array in inputs), call_args))
    for tensor, array in zip(promised, _arrays(outputs), strict=True):
        fits = len(tensor.shape) == len(array.shape) and all(
            p in (None, a) for p, a in zip(tensor.shape, array.shape, strict=True)
        )
        assert fits, f"{type(layer).__name__} promises shape {tensor.shape} and returns {array.shape}"


def _check_training(layer: Any, inputs: tuple, call_args: dict[str, Any] | None, without_gradient: Sequence[str]) -> None:
    """Checks that every trainable variable gets a finite gradient and that a step of SGD changes the variables.

    Only the TensorFlow backend is checked.
    """
    import keras
    import numpy as np

    if keras.backend.backend() != "tensorflow" or not layer.trainable_weights:
        return
    import tensorflow as tf

    generator = np.random.default_rng(0)
    with tf.GradientTape() as tape:
        outputs = [array for array in _arrays(_call(layer, inputs, call_args, training=True)) if array.dtype.is_floating]
        loss = tf.add_n([tf.reduce_sum(array * generator.normal(size=array.shape).astype("float32")) for array in outputs])
        loss += tf.add_n([tf.zeros(()), *layer.losses])
    variables = [v for v in layer.trainable_weights if not any(part in v.path for part in without_gradient)]
    found = tape.gradient(loss, [v.value for v in variables])
    missing = [v.path for v, gradient in zip(variables, found, strict=True) if gradient is None]
    assert not missing, f"{type(layer).__name__}: no gradient reaches {missing}"
    gradients = [tf.convert_to_tensor(gradient) for gradient in found]
    infinite = [v.path for v, gradient in zip(variables, gradients, strict=True) if not np.isfinite(gradient).all()]
    assert not infinite, f"{type(layer).__name__}: the gradient of {infinite} is not finite"
    before = layer.get_weights()
    keras.optimizers.SGD(0.1).apply(gradients, variables)
    moved = any((old != new).any() for old, new in zip(before, layer.get_weights(), strict=True))
    assert moved, f"{type(layer).__name__}: a training step changes nothing"


def fake_problem(
    name: str = "fake",
    examples: Iterable[Example] = ({"inputs": "a b", "targets": "b a"},),
    inputs: Feature | None = None,
    targets: Feature | None = None,
    **changes: Any,
) -> Problem:
    """Returns a problem that generates `examples` for every split.

    Args:
        name: its name.
        examples: raw examples.
        inputs, targets: its features; None means plain text.
        **changes: other fields of Problem.
    """
    fixed = list(examples)

    def generate(split: str, tmp_dir: Path) -> Iterable[Example]:
        return iter(fixed)

    return Problem(name, inputs or Text(), targets or Text(), changes.pop("target_space", "to_fake"), generate, **changes)
