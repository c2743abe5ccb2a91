"""All uses of TensorFlow outside its public API of version 2, each with the reason why there is no public way."""

from __future__ import annotations

import contextlib
import functools
import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

# The class of a variable that ParameterServerStrategy divides among parameter servers; it has no public name.
ShardedVariable = tf.__internal__.distribute.ShardedVariable


def server_config(threads: int) -> Any:
    """Returns a configuration for tf.distribute.Server with `threads` inter-op threads; it takes only version 1's ConfigProto."""
    config = tf.compat.v1.ConfigProto()
    config.inter_op_parallelism_threads = threads
    return config


def write_checkpoint_state(folder: Path, newest: str, times: Sequence[float]) -> None:
    """Writes the file `checkpoint` of a folder, as tf.train.CheckpointManager reads it, with the times at which each was saved.

    CheckpointManager writes it only for checkpoints that it has saved itself.
    """
    tf.compat.v1.train.update_checkpoint_state(str(folder), newest, all_model_checkpoint_timestamps=times)


def begin_session(writer: Any, step: int) -> None:
    """Tells TensorBoard to drop what it read of `step` and later ones from the folder of a tf.summary writer.

    There is no public function for events other than summaries, nor a public name for a writer's resource.
    """
    log = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
    event = tf.compat.v1.Event(wall_time=time.time(), step=step, session_log=log)
    tf.raw_ops.ImportEvent(writer=writer._resource, event=event.SerializeToString())


@contextlib.contextmanager
def connecting_within(seconds: float) -> Iterator[None]:
    """Makes a MultiWorkerMirroredStrategy raise DeadlineExceededError if a worker does not connect, instead of waiting for long.

    It waits in C++ and holds the interpreter's lock, so that neither a thread nor a signal's handler could end the wait. The
    strategy sets up the service that connects the workers by a private function, and offers no timeout.
    """
    from tensorflow.python.eager import context

    current = context.context()
    configure = functools.partial(current.configure_coordination_service, cluster_register_timeout_in_ms=round(1000 * seconds))
    current.configure_coordination_service = configure
    try:
        yield
    finally:
        del current.configure_coordination_service


def float_operations(graph: tf.Graph) -> float:
    """Returns the floating-point operations of a graph; only version 1's profiler counts them without running it."""
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    return float(tf.compat.v1.profiler.profile(graph, options=options).total_float_ops)


def gpu_memory() -> int | None:
    """Returns the bytes of the first GPU that TensorFlow may use, or None; the public list of devices does not have them."""
    from tensorflow.python.client import device_lib

    gpus = [device for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    return int(gpus[0].memory_limit) if gpus else None


def traced(function: Callable[..., Any], **options: Any) -> Any:
    """Returns tf.function(function, autograph=False, **options), whose graph is freed when nobody holds the function any more.

    Gradients of the function's results must be computed inside of it.
    """

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with _custom_gradients_forgotten():
            return function(*args, **kwargs)

    return tf.function(run, autograph=False, **options)


@contextlib.contextmanager
def _custom_gradients_forgotten() -> Iterator[None]:
    """Takes the custom gradients that the graph built within has registered out of TensorFlow's registry.

    tf.custom_gradient registers a closure per call in a graph, for ever, and the closure holds the graph
    (findings/custom_gradient_keeps_graphs.sh). Other threads' graphs keep theirs, which they may still need.
    """
    from tensorflow.python.framework.ops import gradient_registry

    graph, before = tf.compat.v1.get_default_graph(), set(gradient_registry.list())
    try:
        yield
    finally:
        for name in set(gradient_registry.list()) - before:
            if name.startswith("CustomGradient-") and _is_within(gradient_registry.lookup(name), graph):
                del gradient_registry._registry[name]


def _is_within(gradient: Callable[..., Any], graph: tf.Graph) -> bool:
    """Returns whether a registered custom gradient is of a call in `graph`, or in a graph inside of it such as a branch."""
    closure = inspect.getclosurevars(inspect.getclosurevars(gradient).nonlocals["tape_grad_fn"]).nonlocals
    found = {id(value.graph): value.graph for value in tf.nest.flatten(closure["result"]) if isinstance(value, tf.Tensor)}
    while found and id(graph) not in found:
        outer = [getattr(inner, "outer_graph", None) for inner in found.values()]
        found = {id(each): each for each in outer if each is not None}
    return bool(found)
