"""Trains the same way by one strategy after another, and writes NAME-WORKER.npz for each: FOLDER STEPS HPARAMS NAME..."""

import sys
import unittest.mock
from pathlib import Path
from typing import Any

from t2t_multimodel.cli.quiet import quiet_tensorflow

quiet_tensorflow()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from t2t_multimodel.config import HParams  # noqa: E402
from t2t_multimodel.data.fixed_shapes import pad_batch  # noqa: E402
from t2t_multimodel.distributed.cluster import cluster_of_environment  # noqa: E402
from t2t_multimodel.distributed.strategies import described, make_strategy  # noqa: E402
from t2t_multimodel.features import Batch, Image, Label, ProblemSpec, Text  # noqa: E402
from t2t_multimodel.runs.run_config import RunConfig, build_model  # noqa: E402
from t2t_multimodel.training.checkpoints import by_path  # noqa: E402
from t2t_multimodel.training.optimizer import make_optimizer  # noqa: E402
from t2t_multimodel.training.steps import StepFunctions  # noqa: E402

VOCAB = 23
# With the experts' noise and dropout; the gradient is clipped to a small part of its norm.
HPARAMS = HParams().override(
    "hidden_size=16,num_heads=2,encoder_blocks=2,mixer_blocks=1,decoder_blocks=1,num_experts=4,moe_k=2,moe_hidden_size=12,"
    "moe_loss_weight=0.1,categorical_sizes=10:12,image_channels=4:4:4,dropout=0.1,attention_dropout=0.1,output_norm=true,clip_norm=0.3"
)
SPECS = (
    ProblemSpec("german", Text(), Text(), "to_german"),
    ProblemSpec("caption", Image(16, 12), Text(), "to_german"),
    ProblemSpec("topic", Text(), Label(tuple("abcdefg"), "topics"), "to_topic"),
)


def batch(name: str, step: int, hparams: HParams) -> Batch:
    """Returns 1, 3 or 5 rows of different lengths, so that two replicas get different numbers of rows, or one gets none.

    With fixed shapes there are 5 rows, of which the second replica gets 2 and one that is added.
    """
    random = np.random.default_rng(step)
    rows = (5, 3, 1)[step % 3]
    ids = np.zeros((2, rows, 9), "int32")
    for side in ids:
        for row in side:
            length = random.integers(2, 10)
            row[:length] = [*random.integers(3, VOCAB, length - 1), 1]
    inputs = random.normal(size=(rows, 16, 12, 3)).astype("float32") if name == "caption" else ids[0]
    targets = random.integers(0, 7, rows).astype("int32") if name == "topic" else ids[1]
    made: Batch = {"inputs": tf.constant(inputs), "targets": tf.constant(targets)}
    spec = next(spec for spec in SPECS if spec.name == name)
    return pad_batch(made, spec, hparams) if hparams.data.fixed_shapes else made


def train(strategy: tf.distribute.Strategy, steps: int, hparams: HParams) -> dict[str, Any]:
    """Returns losses and norms of every step, and after the first one weights (w/PATH) and first slots (m/PATH)."""
    with strategy.scope():
        model = build_model(RunConfig("tiny", hparams, SPECS, VOCAB, "", ""))
        optimizer = make_optimizer(by_path(model.trainable_variables), hparams)
    with unittest.mock.patch.object(tf.distribute, "TPUStrategy", type(strategy) if hparams.data.fixed_shapes else ()):
        trained = StepFunctions(model, optimizer, hparams, strategy)  # with fixed shapes as on a TPU
    joint, count = hparams.training.problems_per_step > 1, hparams.training.accumulate_steps
    losses: list[float] = []
    norms: list[float] = []
    found: dict[str, Any] = {}
    for step in range(1, steps + 1):
        name = {0: "topic", 3: "caption"}.get(step % 5, "german")
        if joint:
            drawn = [(spec.name, [batch(spec.name, step + 100 * i, hparams) for i in range(count)]) for spec in SPECS]
            result = trained.train_on_several(drawn, 0.003, step)[0]
        else:
            result = trained.train(name, batch(name, step, hparams), 0.003, step)
        losses.append(float(result.loss))
        norms.append(float(result.gradient_norm))
        if step == 1:
            found |= {f"m/{path}": slot.numpy() for path, slot in next(iter(optimizer.slots.values())).items()}
            found |= {f"w/{path}": value.numpy() for path, value in by_path(model.trainable_variables).items()}
    devices = described(strategy) if strategy.num_replicas_in_sync > 1 else "one device"
    return {**found, "losses": losses, "norms": norms, "devices": devices}


def main() -> None:
    """Trains by each strategy that the arguments name."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    folder, steps, hparams = Path(sys.argv[1]), int(sys.argv[2]), HPARAMS.override(sys.argv[3])
    cluster = cluster_of_environment()
    for name in sys.argv[4:]:
        np.savez(folder / f"{name}-{cluster.index if cluster else 0}.npz", **train(make_strategy(name), steps, hparams))


if __name__ == "__main__":
    main()
