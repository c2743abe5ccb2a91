#!/usr/bin/env bash
# Keras's optimizers under tf.distribute clip the gradient of each replica before they sum over replicas. `global_clipnorm=1` therefore bounds
# no global gradient: two replicas move the weights twice as far as one device does with the joined batch. Shown with SGD on two logical CPUs.
# Exits with 0 while that is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow==2.21.0 keras==3.15.1 2>"$folder/pip.log" || { cat "$folder/pip.log"; exit 1; }
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1 KERAS_BACKEND=tensorflow "$folder/venv/bin/python" - <<'PYTHON' 2>"$folder/stderr.log" || { cat "$folder/stderr.log"; exit 1; }
import sys

import keras
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def moved(strategy):
    """How far one step moves a weight from 0, where the gradient of the whole batch is 10, half of it from each replica."""
    with strategy.scope():
        weight = keras.Variable([0.0], trainable=True)
        optimizer = keras.optimizers.SGD(1.0, global_clipnorm=1.0)
        optimizer.build([weight])
    share = 10.0 / strategy.num_replicas_in_sync

    @tf.function
    def step():
        strategy.run(lambda: optimizer.apply([tf.constant([share])], [weight]))

    step()
    return -float(weight.value[0] if strategy.num_replicas_in_sync == 1 else weight.value.values[0][0])


one = moved(tf.distribute.get_strategy())
two = moved(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
print(f"tensorflow {tf.__version__}, keras {keras.__version__}; clipped to a norm of 1, a step moves {one:g} on one device, {two:g} on two replicas")
as_seen = abs(one - 1) < 1e-5 and abs(two - 2) < 1e-5
print("each replica is clipped by itself" if as_seen else "the behaviour has changed")
sys.exit(not as_seen)
PYTHON
