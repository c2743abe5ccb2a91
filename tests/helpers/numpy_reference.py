"""The paper's equations in float64 NumPy loops: slow, plain, and written independently of the layers that they check."""

import math

import numpy as np

EPSILON = 1e-6


def array(variable):
    """Returns a Keras variable or a tensor as a float64 array."""
    return np.asarray(variable, dtype="float64")


def timing_signal(length, depth):
    """The timing signal of section 2.2, [length, depth], one number at a time."""
    signal = np.zeros((length, depth))
    for t in range(length):
        for channel in range(depth):
            angle = t * 1e4 ** (-(channel - channel % 2) / depth)
            signal[t, channel] = math.cos(angle) if channel % 2 else math.sin(angle)
    return signal


def layer_norm(x, gamma, beta):
    """Layer normalisation over the last axis."""
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + EPSILON) * gamma + beta


def depthwise_1d(x, kernel, dilation=1, causal=False):
    """y[t] = sum over taps k of kernel[k] * x[t + (k - centre) * dilation], zeros outside; the last tap is `centre` if causal."""
    size, length = len(kernel), x.shape[1]
    centre = size - 1 if causal else size // 2
    y = np.zeros_like(x)
    for t in range(length):
        for k in range(size):
            source = t + (k - centre) * dilation
            if 0 <= source < length:
                y[:, t] += kernel[k] * x[:, source]
    return y


def depthwise_2d(x, kernel, stride=1):
    """The same over two axes, undilated and centred, at every stride-th position."""
    batch, height, width, channels = x.shape
    y = np.zeros((batch, math.ceil(height / stride), math.ceil(width / stride), channels))
    for i, j in np.ndindex(y.shape[1:3]):
        for a, b in np.ndindex(kernel.shape[:2]):
            row, column = i * stride + a - kernel.shape[0] // 2, j * stride + b - kernel.shape[1] // 2
            if 0 <= row < height and 0 <= column < width:
                y[:, i, j] += kernel[a, b] * x[:, row, column]
    return y


def max_pool(x, strides, mask=None):
    """The largest of 3 (or 3 x 3) neighbours that lie inside the input and inside `mask` [B, L]; -inf if there is none."""
    flat = len(strides) == 1
    x, strides = (x[:, :, None], (*strides, 1)) if flat else (x, strides)
    batch, height, width, channels = x.shape
    y = np.full((batch, math.ceil(height / strides[0]), math.ceil(width / strides[1]), channels), -np.inf)
    for n, i, j in np.ndindex(y.shape[:3]):
        for row in range(max(i * strides[0] - 1, 0), min(i * strides[0] + 2, height)):
            for column in range(max(j * strides[1] - 1, 0), min(j * strides[1] + 2, width)):
                if mask is None or mask[n, row]:
                    y[n, i, j] = np.maximum(y[n, i, j], x[n, row, column])
    return y[:, :, 0] if flat else y


def relu(x):
    return np.maximum(x, 0.0)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def normal_cdf(x):
    return 0.5 * (1.0 + np.vectorize(math.erf)(x / math.sqrt(2.0)))


def conv_step(step, x):
    """LN(SepConv(W, ReLU(x))) with the weights of a ConvStep layer, section 2.1."""
    h = relu(x) if step.relu else x
    if max(step.kernel_size) == 1:
        h = h[:, :: step.strides[0]] if h.ndim == 3 else h[:, :: step.strides[0], :: step.strides[1]]
    elif len(step.kernel_size) == 1:
        h = depthwise_1d(h, array(step.depthwise), step.dilation, step.causal)
    else:
        h = depthwise_2d(h, array(step.depthwise), step.strides[0])
    return layer_norm(h @ array(step.pointwise), array(step.norm.gamma), array(step.norm.beta))


def conv_block(block, x):
    """hidden4 of section 2.1: the output of a convolution block."""
    hidden1 = conv_step(block.steps[0], x)
    hidden2 = x + conv_step(block.steps[1], hidden1)
    hidden3 = conv_step(block.steps[2], hidden2)
    return x + conv_step(block.steps[3], hidden3)


def conv_res(block, x):
    """MaxPool(ConvStep(ConvStep(x))) + ConvStep_strided_1x1(x), section 2.5.2."""
    return max_pool(conv_step(block.step2, conv_step(block.step1, x)), block.strides) + conv_step(block.shortcut, x)


def attention(layer, target, source, mask):
    """Multi-head dot-product attention, head by head; mask [B or 1, T or 1, S]."""
    depth = target.shape[-1] // layer.num_heads
    mask = np.broadcast_to(mask, (target.shape[0], target.shape[1], source.shape[1]))
    query, key, value = (array(getattr(layer, f"{name}_kernel")) for name in ("query", "key", "value"))
    heads = []
    for head in range(layer.num_heads):
        part = slice(head * depth, (head + 1) * depth)
        logits = (target @ query[:, part]) @ np.swapaxes(source @ key[:, part], 1, 2) / math.sqrt(depth)
        heads.append(softmax(np.where(mask > 0, logits, -1e30)) @ (source @ value[:, part]))
    return np.concatenate(heads, axis=-1) @ array(layer.output_kernel)


def attention_block(block, target, source, source_mask):
    """Attention(source, target) of section 2.2."""
    length = target.shape[1]
    x = target + timing_signal(length, target.shape[-1])
    for step in block.steps:
        x = conv_step(step, x)
    x = attention(block.self_attention, x, x, np.tril(np.ones((1, length, length))))
    return attention(block.source_attention, x, source, source_mask[:, None, :])


def mixture_of_experts(layer, x, experts, gates):
    """The sum over each token's chosen experts. x [N, D], experts and gates [N, K]; the index E stands for no expert."""
    y = np.zeros_like(x)
    w1, w2 = array(layer.w1), array(layer.w2)
    for n in range(len(x)):
        for expert, gate in zip(experts[n], gates[n], strict=True):
            if expert < layer.num_experts:
                y[n] += gate * (relu(x[n] @ w1[expert]) @ w2[expert])
    return y


def load(clean, noisy, deviation, k):
    """Equations 8 to 10 of arXiv 1701.06538: the expected number of tokens of every expert."""
    probability = np.zeros_like(clean)
    for n, i in np.ndindex(clean.shape):
        kth_excluding = np.sort(np.delete(noisy[n], i))[-k]
        probability[n, i] = normal_cdf((clean[n, i] - kth_excluding) / deviation[n, i])
    return probability.sum(axis=0)


def cv_squared(x):
    """The squared coefficient of variation."""
    return x.var() / x.mean() ** 2


def numerical_gradient(function, x, weights, step=1e-5):
    """d sum(weights * function(x)) / dx by central differences, in float64."""
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        above, below = x.copy(), x.copy()
        above[place] += step
        below[place] -= step
        gradient[place] = (weights * (function(above) - function(below))).sum() / (2 * step)
    return gradient
