"""Run by test_jax_backend.py with KERAS_BACKEND=jax: jax_program.py WEIGHTS LOGITS PROBLEM...

Reads the weights; writes each problem's logits and, as "steps", those of the first problem computed step by step. Fails if the
compiled gradient of its loss is not finite, or if a gradient with the experts' capacity fixed cannot be lowered for accelerators.
"""

import sys
from typing import Any

import jax
import jax.export
import keras
import numpy as np
import tiny


def compiled(model, function):
    """Returns `function` under jax.jit, as a function of the trainable variables' values and the batch."""

    def run(values, fixed, batch):
        mapping = [*zip(model.trainable_variables, values, strict=True), *zip(model.non_trainable_variables, fixed, strict=True)]
        with keras.StatelessScope(state_mapping=mapping):
            return function(batch)

    return run


def step_by_step(model, name, batch):
    """Returns the logits of a batch with targets [B, T], computed by the model's `step` in one loop."""
    targets = batch["targets"]
    memory = model.precompute(model.encode(batch["inputs"], batch.get("inputs_length"), name))
    before = jax.numpy.pad(targets, [[0, 0], [1, 0]])

    def body(state, position):
        logits, state = model.step(before[:, position], position, state, memory, name)
        return state, logits

    positions = jax.numpy.arange(targets.shape[1], dtype="int32")
    return jax.lax.scan(body, model.init_cache(*targets.shape), positions)[1].swapaxes(0, 1)


def check_lowered(gradient, *arguments):
    """Lowers `gradient` for NVIDIA GPUs and for TPUs, which needs none of them; fails if a shape in it is not known."""
    exported = jax.export.export(jax.jit(gradient), platforms=("cuda", "tpu"))(*arguments)
    module = exported.mlir_module()
    assert exported.platforms == ("cuda", "tpu") and "stablehlo.while" in module
    assert "tensor<?" not in module, "a shape is not known"


def main(weights, output, *names):
    assert keras.backend.backend() == "jax"
    jax.config.update("jax_disable_most_optimizations", True)  # compiles in a third of the time
    model = tiny.make(names)
    stored = np.load(weights)
    values = [stored[key] for key in stored.files]
    fixed = [v.value for v in model.non_trainable_variables]

    def loss(batch, name=names[0], static=False):
        terms = model.loss_terms(batch, name, training=True, label_smoothing=0.1, static=static)
        return terms.total / terms.weight + model.balance_loss(terms.routings)

    logits: dict[str, Any] = {}
    for name in names:
        forward = jax.jit(compiled(model, lambda batch, name=name: model(batch, problem=name)))
        logits[name] = np.asarray(forward(values, fixed, tiny.batch(name)))
    steps = jax.jit(compiled(model, lambda batch: step_by_step(model, names[0], batch)))
    logits["steps"] = np.asarray(steps(values, fixed, tiny.batch(names[0])))
    np.savez(output, **logits)
    gradients = jax.jit(jax.grad(compiled(model, loss)))(values, fixed, tiny.batch(names[0]))
    assert all(np.isfinite(gradient).all() for gradient in gradients), "a gradient is not finite"
    for name in names:
        lowered = compiled(model, lambda batch, name=name: loss(batch, name, static=True))
        check_lowered(jax.grad(lowered), values, fixed, tiny.batch(name))
    moved = {v.path for v, gradient in zip(model.trainable_variables, gradients, strict=True) if np.any(gradient)}
    assert any("gate" in path for path in moved) and any("/table" in path for path in moved), f"a gradient reaches only {moved}"


if __name__ == "__main__":
    main(*sys.argv[1:])
