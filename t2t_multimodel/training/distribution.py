"""On which devices a run trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

STRATEGIES = ("auto", "one_device", "mirrored")


def make_strategy(name: str = "auto") -> tf.distribute.Strategy:
    """The strategy that `--strategy` names.

    "one_device" is the first GPU, or the CPU. "mirrored" divides each batch among all GPUs of this machine, or all logical CPUs:
    a step then gives what one device gives, noise and dropout included, up to rounding. "auto" is mirrored where there are
    several GPUs.

    Raises:
        ValueError: another name.
    """
    import tensorflow as tf

    if name not in STRATEGIES:
        raise ValueError(f"the strategy is one of {', '.join(STRATEGIES)}, got {name!r}")
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        return tf.distribute.MirroredStrategy([device.name for device in gpus or tf.config.list_logical_devices("CPU")])
    return tf.distribute.get_strategy()


def described(strategy: tf.distribute.Strategy) -> str:
    """The devices of several replicas in a line: "2 replicas: GPU:0, GPU:1"."""
    names = ", ".join(":".join(device.split(":")[-2:]) for device in strategy.extended.worker_devices)
    return f"{strategy.num_replicas_in_sync} replicas: {names}"
