"""Functions that the benchmarks share: the machine's peak, a model's arithmetic, memory, and random batches."""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from t2t_multimodel.cli.quiet import quiet_tensorflow  # noqa: E402

quiet_tensorflow()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from t2t_multimodel.cli.common import load_registries  # noqa: E402
from t2t_multimodel.config import HParams, ModelConfig, get_hparams  # noqa: E402
from t2t_multimodel.features import Audio, Image, Label, ProblemSpec, Text  # noqa: E402
from t2t_multimodel.runs.run_config import RunConfig, build_model  # noqa: E402


def text_model(changes: str, vocab_size: int) -> tuple[ProblemSpec, HParams, Any]:
    """Returns spec, hparams and model of a problem from text to text: the paper's single model with `changes`, untrained."""
    load_registries()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    hparams = get_hparams("multimodel_paper_single", changes)
    spec = ProblemSpec("text", Text(), Text(), "to_english")
    return spec, hparams, build_model(RunConfig("benchmark", hparams, (spec,), vocab_size, "", ""))


def peak_gflops(size: int = 2048, repeats: int = 12) -> float:
    """Returns the best measured rate, in GFLOP/s, of a float32 product of two matrices of `size` x `size`."""
    a = tf.random.normal((size, size))
    product = tf.function(lambda x: tf.matmul(x, x))
    best = min(_seconds(lambda: product(a)[0, 0].numpy()) for _ in range(repeats))
    return 2 * size**3 / best / 1e9


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def training_flops(config: ModelConfig, batch: int, source: int, target: int, vocab_size: int) -> float:
    """Returns the floating-point operations of the matrix products of a training step from text to text.

    The backward pass counts as twice the forward pass. Depthwise convolutions, normalisation, softmax, dropout and the optimizer
    do not count.
    """
    d = config.hidden_size
    product = 2 * d * d
    experts = config.moe_k * 4 * d * config.moe_hidden_size + 4 * d * config.num_experts if config.num_experts else 0
    blocks = config.mixer_blocks + config.decoder_blocks
    attentions = 1 + config.decoder_blocks
    per_source = config.encoder_blocks * 4 * product + experts + attentions * 2 * product
    per_target = blocks * 4 * product + experts + attentions * (2 + 4 + 2) * product + 2 * d * vocab_size
    per_target += attentions * 4 * d * (target + source)
    return 3.0 * batch * (source * per_source + target * per_target)


def random_batch(
    spec: ProblemSpec, hparams: HParams, batch: int, source: int, target: int, vocab_size: int, seed: int = 0
) -> dict[str, tf.Tensor]:
    """Returns a random batch of `spec`'s problem: `source` tokens, frames or samples and `target` tokens, without padding."""
    rng = np.random.default_rng(seed)
    values = {}
    if isinstance(spec.inputs, Text):
        values["inputs"] = rng.integers(3, vocab_size, (batch, source)).astype(np.int32)
    elif isinstance(spec.inputs, Audio):
        bins = (hparams.data.mel_bins,) if hparams.model.audio_input == "spectrogram" else ()
        values["inputs"] = rng.normal(size=(batch, source, *bins)).astype(np.float32)
        values["inputs_length"] = np.full(batch, source, np.int32)
    else:
        assert isinstance(spec.inputs, Image)
        shape = (batch, spec.inputs.height, spec.inputs.width, spec.inputs.channels)
        values["inputs"] = rng.normal(size=shape).astype(np.float32)
    classes = len(spec.targets.classes) if isinstance(spec.targets, Label) else 0
    targets = rng.integers(0, classes, batch) if classes else rng.integers(3, vocab_size, (batch, target))
    values["targets"] = targets.astype(np.int32)
    return {name: tf.constant(value) for name, value in values.items()}


def peak_memory_gib() -> float:
    """Returns the peak resident memory of this process in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
