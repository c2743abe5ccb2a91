#!/usr/bin/env bash
# XLA on a CPU (`jit_compile=True`) computes a depthwise convolution many times slower than TensorFlow's own kernel does without XLA, though it is
# the same operation on the same shapes ([8, 128, 1, 256], 15 taps): a model of separable convolutions is slowed down by being compiled.
# Exits with 0 while XLA takes at least 5 times as long.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow==2.21.0 2>"$folder/pip.log" || { cat "$folder/pip.log"; exit 1; }
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1 "$folder/venv/bin/python" - <<'PYTHON' 2>"$folder/stderr.log" || { cat "$folder/stderr.log"; exit 1; }
import sys
import time

import tensorflow as tf

x = tf.random.stateless_normal([8, 128, 1, 256], [1, 2])
kernel = tf.random.stateless_normal([15, 1, 256, 1], [3, 4])


def best_time(compiled):
    @tf.function(jit_compile=compiled)
    def convolve(x):
        return tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME")

    result = convolve(x)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        convolve(x).numpy()
        times.append(time.perf_counter() - start)
    return min(times), result


plain, wanted = best_time(False)
compiled, found = best_time(True)
difference = float(tf.reduce_max(tf.abs(found - wanted)))
print(f"tensorflow {tf.__version__}: {plain * 1e3:.2f} ms without XLA, {compiled * 1e3:.1f} ms with: {compiled / plain:.0f} times; results differ by {difference:.1e}")
as_seen = compiled > 5 * plain and difference < 1e-3
print("XLA is slower" if as_seen else "the behaviour has changed")
sys.exit(not as_seen)
PYTHON
