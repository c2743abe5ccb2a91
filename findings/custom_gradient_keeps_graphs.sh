#!/usr/bin/env bash
# Every call of tf.custom_gradient (and so of keras.ops.custom_gradient and tf.recompute_grad) inside of a tf.function puts a closure into a registry of
# the process, from which nothing removes it, and the closure holds the graph. A tf.function that is dropped then keeps its graph, its function in the
# runtime and their memory for ever; without custom_gradient all of it is freed. A process that traces again and again (a test run, a server that
# reloads models, a search over hyperparameters) grows without bound.
# Exits with 0 while graphs with a custom gradient stay and graphs without one go.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow==2.21.0 2>"$folder/pip.log" || { cat "$folder/pip.log"; exit 1; }
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1 "$folder/venv/bin/python" - <<'PYTHON' 2>"$folder/stderr.log" || { cat "$folder/stderr.log"; exit 1; }
import gc
import sys
import weakref

import tensorflow as tf


@tf.custom_gradient
def custom(x):
    return tf.tanh(x), lambda dy: dy * (1.0 - tf.tanh(x) ** 2)


def memory():
    """Returns the resident memory of this process in MiB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


def kept(activation, functions=20):
    """Returns how many graphs of dropped functions are still there, and by how many MiB the process has grown."""
    graphs = []

    def make():
        @tf.function(input_signature=[tf.TensorSpec([None, 8])], autograph=False)
        def slope(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = x
                for _ in range(200):
                    y = activation(y)
            return tape.gradient(y, x)

        slope(tf.ones([2, 8]))
        graphs.append(weakref.ref(slope.get_concrete_function().graph))

    make()
    gc.collect()
    before = memory()
    for _ in range(functions):
        make()
        gc.collect()
    return sum(graph() is not None for graph in graphs[1:]), memory() - before


print(f"tensorflow {tf.__version__}: graphs of 20 dropped functions that are still in memory, and growth of the process")
found = {}
for name, activation in (("tf.tanh", tf.tanh), ("tf.custom_gradient", custom)):
    found[name], growth = kept(activation)
    print(f"{name}: {found[name]} graphs, {growth:.0f} MiB")
as_seen = found["tf.tanh"] == 0 and found["tf.custom_gradient"] == 20
print("custom gradients keep graphs" if as_seen else "the behaviour has changed")
sys.exit(not as_seen)
PYTHON
