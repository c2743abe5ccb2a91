"""Tries which parts of a trained model convert to LiteRT and ONNX, and prints docs/serving.md's table.

    pip install tf2onnx onnx onnxruntime ai-edge-litert
    python benchmarks/convert.py --output_dir=demo_output

Each part is converted for any batch size and length, and if that fails for one input of a fixed length. A converted part runs,
and its numbers are compared with TensorFlow's.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.metadata
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from t2t_multimodel.decoding.encoding import Source
from t2t_multimodel.decoding.search import generate_tokens
from t2t_multimodel.decoding.strategies import Greedy
from t2t_multimodel.export import ServedModel
from t2t_multimodel.features import Audio, Image, Label, Text, is_tree
from t2t_multimodel.runs.run_config import VOCABULARY, open_run

OPSET = 18
LENGTH = 12
PACKAGES = ("tensorflow", "keras", "tensorflow-text", "ai-edge-litert", "tf2onnx", "onnx", "onnxruntime")


class Part(NamedTuple):
    """A part of the model.

    Attributes:
        name: what it is.
        function: takes and returns tensors.
        inputs: an example of its arguments, of fixed sizes.
        open_axes: for each argument the axes whose sizes may differ.
    """

    name: str
    function: Callable[..., Any]
    inputs: list[np.ndarray]
    open_axes: list[tuple[int, ...]]

    def signature(self, any_size: bool) -> list[tf.TensorSpec]:
        """Returns the TensorSpecs of the arguments, of any size or of the example's."""
        return [
            tf.TensorSpec(
                [None if any_size and axis in axes else size for axis, size in enumerate(value.shape)], value.dtype, f"x{i}"
            )
            for i, (value, axes) in enumerate(zip(self.inputs, self.open_axes, strict=True))
        ]


def parts(output_dir: Path) -> Iterator[Part]:
    """Yields the parts of a run's model: an encoder per kind of input, classes, a decoding step, the loop, the SavedModel."""
    config, _, model, _ = open_run(output_dir)
    random = np.random.default_rng(0)
    seen: set[str] = set()
    for spec in config.problems:
        encode = encoder(model, spec.name)
        if isinstance(spec.inputs, Text):
            ids = random.integers(3, model.vocab_size, (1, LENGTH)).astype(np.int32)
            part = Part("encoder of text", encode, [ids], [(0, 1)])
        elif isinstance(spec.inputs, Image):
            pixels = random.normal(size=(1, spec.inputs.height, spec.inputs.width, spec.inputs.channels)).astype(np.float32)
            part = Part("encoder of pictures", encode, [pixels], [(0,)])
        else:
            frames = random.normal(size=(1, 80, model.mel_bins)).astype(np.float32)
            part = Part("encoder of sound, from its spectrogram", encode, [frames, np.array([80], np.int32)], [(0, 1), (0,)])
        if part.name not in seen:
            seen.add(part.name)
            yield part
        if isinstance(spec.targets, Label) and "classes" not in seen:
            seen.add("classes")
            yield Part("classes of pictures", classifier(model, spec.name), part.inputs, part.open_axes)
    decoded = next(spec for spec in config.problems if isinstance(spec.inputs, Text) and not is_tree(spec.targets))
    states = random.normal(size=(1, LENGTH, config.hparams.model.hidden_size)).astype(np.float32)
    yield Part("one decoding step", step(model, decoded.name), [states, np.array([5], np.int32)], [(0, 1), (0,)])
    yield Part("greedy loop over tokens", loop(model, decoded.name), [states], [(0, 1)])
    for spec in config.problems:
        kind = "sound" if isinstance(spec.inputs, Audio) else "pictures" if isinstance(spec.inputs, Image) else "text"
        if (name := f"signature of {kind}, strings to strings") not in seen:
            seen.add(name)
            served = ServedModel(model, (spec,), (output_dir / VOCABULARY).read_bytes(), config.hparams, Greedy())
            yield Part(name, lambda inputs, f=served.serve[spec.name]: f(inputs)["scores"], [np.array([b"a"])], [(0,)])


def encoder(model: Any, problem: str) -> Callable[..., Any]:
    """Returns the encoder of a problem's inputs."""
    return lambda inputs, length=None: model.encode(inputs, length, problem).states


def classifier(model: Any, problem: str) -> Callable[..., Any]:
    """Returns the function from pixels to logits of classes."""
    return lambda pixels: model.classify(model.encode(pixels, None, problem), problem)


def step(model: Any, problem: str) -> Callable[..., Any]:
    """Returns the function from an encoded input and a token to the logits of the second position."""

    def first_two(states: Any, token: Any) -> Any:
        constants = model.precompute(Source(states, tf.ones(tf.shape(states)[:2])))
        state = model.init_cache(tf.shape(states)[0], 4)
        _, state = model.step(token, tf.constant(0), state, constants, problem)
        return model.step(token, tf.constant(1), state, constants, problem)[0]

    return first_two


def loop(model: Any, problem: str) -> Callable[..., Any]:
    """Returns the function from an encoded input to the ids of its output, decoded greedily."""

    def decode(states: Any) -> Any:
        limits = tf.fill(tf.shape(states)[:1], 16)
        spaces = tf.fill(tf.shape(limits), model.space_index(problem))
        source = Source(states, tf.ones(tf.shape(states)[:2]))
        return generate_tokens(model, problem, source, limits, tf.constant(16), spaces, Greedy()).ids

    return decode


def to_litert(part: Part, flex: bool, any_size: bool) -> float:
    """Converts to LiteRT, runs the result, and returns the largest difference from TensorFlow's numbers."""
    function = tf.function(part.function, input_signature=part.signature(any_size), autograph=False)
    module = tf.Module()
    module.function = function
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], module)
    if flex:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    content = converter.convert()
    if flex:  # ai-edge-litert's interpreter has no TensorFlow operations, TensorFlow's own has
        interpreter = tf.lite.Interpreter(model_content=content)
    else:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=content)
    for detail, value in zip(interpreter.get_input_details(), part.inputs, strict=True):
        interpreter.resize_tensor_input(detail["index"], value.shape)
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), part.inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return float(np.abs(found - function(*part.inputs).numpy()).max())


def to_onnx(part: Part, any_size: bool) -> float:
    """Converts to ONNX, runs the result in onnxruntime, and returns the largest difference from TensorFlow's numbers."""
    import onnxruntime
    import tf2onnx

    function = tf.function(part.function, input_signature=part.signature(any_size), autograph=False)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "part.onnx")
        tf2onnx.convert.from_function(function, function.input_signature, opset=OPSET, output_path=path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        names = [each.name for each in session.get_inputs()]
        (found, *_) = session.run(None, dict(zip(names, part.inputs, strict=True)))
    return float(np.abs(found - function(*part.inputs).numpy()).max())


def tried(convert: Callable[[bool], float]) -> str:
    """Returns a cell of the table: the largest difference, or the message of the failure."""
    try:
        return f"works, within {convert(True):.0e}"
    except Exception as any_size:  # noqa: BLE001 (whatever a converter raises is its answer)
        with contextlib.suppress(Exception):
            return f"for fixed sizes, within {convert(False):.0e}; else: {short(any_size)}"
        return f"fails: {short(any_size)}"


def short(error: Exception) -> str:
    """Returns what a converter's message says, on one line."""
    text = " ".join(str(error).split())
    patterns = (
        r"(TF Select|Custom) ops: [\w, ]+?(?= Details|$)",
        r"Tensorflow op \[[^]]*\] is not supported",
        r"failed to legalize[^.:]*",
    )
    found = next(filter(None, (re.search(pattern, text) for pattern in patterns)), None)
    return f"`{type(error).__name__}: {(found[0] if found else text)[:160]}`".replace("|", "/")


def main() -> None:
    """Prints the versions and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True, help="a trained run")
    args = parser.parse_args()
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for name in PACKAGES:
            print(name, importlib.metadata.version(name), end="; ")
    print("\n\n| part | LiteRT | LiteRT with TensorFlow's operations | ONNX |\n|---|---|---|---|", flush=True)
    for part in parts(args.output_dir):
        cells = [
            tried(functools.partial(to_litert, part, False)),
            tried(functools.partial(to_litert, part, True)),
            tried(functools.partial(to_onnx, part)),
        ]
        print(f"| {part.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
