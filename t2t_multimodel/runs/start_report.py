"""The first lines of a run: parameters and arithmetic per part of the model, and whether training fits in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator

import tensorflow as tf

from t2t_multimodel.config import HParams
from t2t_multimodel.features import Audio, Image, ProblemSpec, Text
from t2t_multimodel.modalities import modality_key
from t2t_multimodel.model_protocol import Model
from t2t_multimodel.runs.memory_estimate import count_memory
from t2t_multimodel.runs.run_config import RunConfig
from t2t_multimodel.tf_internals import float_operations, gpu_memory, traced
from t2t_multimodel.training.memory import parameter_counts, state_bytes
from t2t_multimodel.utils.console import only_informs

# A step is traced, which takes seconds, to count its memory only if the state takes more than this share of a computer's memory.
SMALL_PART = 0.1


def start_report(model: Model, config: RunConfig) -> list[str]:
    """Returns the lines of the report on the built `model` of a run of `config`."""
    hparams = config.hparams
    counts, flops = parameter_counts(model), flops_forward(model, hparams)
    width = max(map(len, counts))
    lines = [f"  {part:<{width}} {count / 1e6:9.3f} M{_arithmetic(flops, part)}" for part, count in counts.items()]
    lines.append(f"  {'together':<{width}} {sum(counts.values()) / 1e6:9.3f} M")
    with only_informs("the estimate of memory", lines.append):
        lines += _memory_lines(model, config, *_memory())
    return ["parameters, and floating-point operations forward:", *lines]


def flops_forward(model: Model, hparams: HParams) -> dict[str, tuple[float, str]]:
    """Returns the floating-point operations of a forward pass, by part of the model, each with its unit: (number, "token").

    Encoder, mixer and decoder take two operations per weight and token. The products of attention, which grow with the length,
    are not counted. Of a mixture, moe_k experts and the gate are counted. The nets of images and sound are counted in their
    graphs, per picture and per second.
    """
    c, counts = model.config, parameter_counts(model)
    found = {part: (2.0 * counts.get(part, 0), "token") for part in ("encoder", "mixer", "decoder")}
    found["experts"] = (4.0 * c.moe_k * c.hidden_size * c.moe_hidden_size + 2.0 * c.hidden_size * c.num_experts, "token")
    found["language"] = (2.0 * c.hidden_size * model.vocab_size, "output token")
    for spec in model.specs.values():
        if isinstance(spec.inputs, Image):
            found[_net(model, spec)] = (
                _net_flops(model, spec, hparams),
                f"picture of {spec.inputs.height} x {spec.inputs.width}",
            )
        elif isinstance(spec.inputs, Audio):
            found[_net(model, spec)] = (_net_flops(model, spec, hparams), "second")
    return {part: value for part, value in found.items() if part in counts}


def _arithmetic(flops: dict[str, tuple[float, str]], part: str) -> str:
    return f" {flops[part][0] / 1e6:10.3f} MFLOP per {flops[part][1]}" if part in flops else ""


def _net(model: Model, spec: ProblemSpec) -> str:
    return modality_key(spec.inputs, model.config)[1]


def _net_flops(model: Model, spec: ProblemSpec, hparams: HParams) -> float:
    """Returns the operations of the input's modality net for one picture or one second of sound."""
    arguments = [tf.TensorSpec(shape, tf.float32) for shape in [_input_shape(spec, hparams, 1, 1.0)]]
    if isinstance(spec.inputs, Audio):
        arguments.append(tf.TensorSpec([1], tf.int32))
    net = model.nets[_net(model, spec)]
    graph = traced(lambda *values: net.bottom(*values).states).get_concrete_function(*arguments).graph
    return float_operations(graph)


def _input_shape(spec: ProblemSpec, hparams: HParams, batch: int, seconds: float) -> tuple[int, ...]:
    if isinstance(spec.inputs, Text):
        return batch, hparams.data.max_length
    if isinstance(spec.inputs, Image):
        return batch, spec.inputs.height, spec.inputs.width, spec.inputs.channels
    assert isinstance(spec.inputs, Audio)  # a Label is never an input
    if hparams.model.audio_input == "waveform":
        return batch, int(seconds * spec.inputs.sample_rate)
    return batch, int(seconds * 1000 / hparams.data.hop_ms), hparams.data.mel_bins


def _memory_lines(model: Model, config: RunConfig, where: str, room: int) -> list[str]:
    """Returns a line on the memory of training beside the `room` bytes of `where`; a second line warns if that is too much."""
    hparams = config.hparams
    state = state_bytes(model, hparams)
    total, parts = sum(state.values()), [f"{name} {_size(size)}" for name, size in state.items() if size]
    if where == "GPU" or total > SMALL_PART * room:
        steps = count_memory(config, dict(_largest_batches(model, hparams))).steps
        problem = max(steps, key=steps.__getitem__)
        parts.append(f"a step of {problem} {_size(steps[problem])}")
        total += max(0, steps[problem] - state["gradients"])  # the step's count includes the gradients
    lines = [f"memory: {', '.join(parts)}; together {_size(total)} of the {where}'s {_size(room)}"]
    if total > room:
        remedies = "smaller batch_tokens, batch_images or batch_seconds, recompute=true, optimizer=adafactor"
        lines.append(f"warning: that does not fit; what helps in --hparams: {remedies}")
    return lines


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size < 2**30 else f"{size / 2**30:.1f} GiB"


def _largest_batches(model: Model, hparams: HParams) -> Iterator[tuple[str, dict[str, tuple[int, ...]]]]:
    """Yields one problem per traced step function, with the shapes of a full batch of the longest examples."""
    c, seen = hparams.data, set()
    for name, spec in model.specs.items():
        if model.trace_key(name) in seen:
            continue
        seen.add(model.trace_key(name))
        batches = {
            "text": c.batch_tokens // (2 * c.max_length),
            "image": c.batch_images,
            "audio": c.batch_seconds / c.max_seconds,
        }
        batch = max(1, int(batches[spec.inputs.kind]))
        shapes: dict[str, tuple[int, ...]] = {"inputs": _input_shape(spec, hparams, batch, c.max_seconds)}
        if isinstance(spec.inputs, Audio):
            shapes["inputs_length"] = (batch,)
        yield name, shapes | {"targets": (batch, c.max_length) if isinstance(spec.targets, Text) else (batch,)}


def _memory() -> tuple[str, int]:
    """Returns the memory that holds the model and its bytes: ("GPU", size) of the first GPU, or ("computer", size)."""
    found = gpu_memory()
    return ("GPU", found) if found else ("computer", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
