#!/usr/bin/env bash
# The gradient of a bias of keras.layers.Dense (4 units) stops at 256 on a CPU under "mixed_bfloat16": 1,000 positions with a gradient of 1 each
# give 256. Keras's TensorFlow backend adds a vector by tf.nn.bias_add, whose gradient on a CPU is a running sum in bfloat16, where 256 + 1 is
# 256. The same bias added with as many dimensions as the input (a broadcast addition, whose gradient is a reduce_sum) gives 1,000, and so does
# the JAX backend. In float16 both give 1,000.
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

POSITIONS = 1000


def gradients(precision):
    """The gradient of a Dense layer's bias, and of the same bias in a broadcast addition, for a gradient of 1 at every position."""
    layer = keras.layers.Dense(4, dtype=f"mixed_{precision}")
    layer.build((None, 2))
    x = tf.ones([1, POSITIONS, 2], precision)
    with tf.GradientTape(persistent=True) as tape:
        whole = tf.reduce_sum(tf.cast(layer(x), "float32"))
        products = tf.matmul(x, tf.cast(layer.kernel.value, precision)[None])
        broadcast = tf.reduce_sum(tf.cast(products + tf.cast(layer.bias.value, precision)[None, None], "float32"))
    return tuple(float(tape.gradient(total, layer.bias.value).numpy()[0]) for total in (whole, broadcast))


found = {precision: gradients(precision) for precision in ("bfloat16", "float16")}
print(f"tensorflow {tf.__version__}, keras {keras.__version__}; gradient of a bias over {POSITIONS} positions:")
for precision, (dense, broadcast) in found.items():
    print(f"  {precision}: keras.layers.Dense {dense:g}, a broadcast addition {broadcast:g}")
as_seen = found == {"bfloat16": (256.0, 1000.0), "float16": (1000.0, 1000.0)}
print("Dense's gradient is a running sum in bfloat16" if as_seen else "the behaviour has changed")
sys.exit(not as_seen)
PYTHON
