"""The mixture of experts: gate, dispatch and experts alone, and together against the plain sum."""

import keras
import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf
from keras import ops
from tensors import close, gradients, normal, shake

from t2t_multimodel.layers import mixture_of_experts as moe
from t2t_multimodel.layers.expert_capacity import FixedCapacity, fixed_capacity
from t2t_multimodel.layers.mixture_of_experts import MixtureOfExperts, NoisyTopKGate, Routing
from t2t_multimodel.testing import run_layer_test

# Keras warns of a softmax over one place, which attention to a single position and a single expert a token are.
N, D, E, K = 12, 8, 6, 3


class FixedRouter(keras.layers.Layer):
    """Routes every token to given experts."""

    def __init__(self, experts, gates):
        super().__init__()
        self.experts, self.gates = np.asarray(experts, "int32"), gates

    def call(self, x, mask, training=None):
        zeros = ops.zeros((E,))
        return Routing(ops.convert_to_tensor(self.experts), ops.convert_to_tensor(self.gates), zeros, zeros)


def gate(k=K, experts=E):
    layer = NoisyTopKGate(experts, k, seed=1)
    layer.build((None, D))
    return shake(layer)


def mixture(k=K, router=None):
    layer = MixtureOfExperts(E, 10, k, seed=1)
    if router is not None:
        layer.gate = router
    layer.build((None, None, D))
    return shake(layer)


def ones(*shape):
    return np.ones(shape, "float32")


# The gate


def test_both_gate_matrices_start_at_zero():
    layer = NoisyTopKGate(E, K)
    layer.build((None, D))
    assert len(layer.trainable_weights) == 2 and all(not np.any(weight) for weight in layer.trainable_weights)


@pytest.mark.parametrize("k", [1, 3, E])
def test_without_noise_the_gates_are_a_softmax_over_the_k_largest_products(k):
    layer, x = gate(k), normal(N, D)
    routing = layer(x, ones(N))
    logits = x.astype("float64") @ reference.array(layer.gate_kernel)
    best = np.argsort(-logits, axis=1)[:, :k]
    np.testing.assert_array_equal(routing.experts, best)
    close(routing.gates, reference.softmax(np.take_along_axis(logits, best, axis=1)))
    dense = np.zeros((N, E))
    np.put_along_axis(dense, best, np.asarray(routing.gates), axis=1)
    close(routing.importance, dense.sum(axis=0))
    close(routing.load, (dense > 0).sum(axis=0))


def fix_noise(monkeypatch, noise):
    monkeypatch.setattr(keras.random, "normal", lambda shape, seed=None, dtype=None: ops.convert_to_tensor(noise))


@pytest.mark.parametrize("k", [1, 3])
def test_in_training_noise_gates_and_load_follow_the_papers_formulas(k, monkeypatch):
    layer, x, noise = gate(k), normal(N, D), normal(N, E, seed=7)
    fix_noise(monkeypatch, noise)
    routing = layer(x, ones(N), training=True)
    clean = x.astype("float64") @ reference.array(layer.gate_kernel)
    deviation = np.log1p(np.exp(x.astype("float64") @ reference.array(layer.noise_kernel))) + 1e-2
    noisy = clean + noise * deviation
    best = np.argsort(-noisy, axis=1)[:, :k]
    np.testing.assert_array_equal(routing.experts, best)
    close(routing.gates, reference.softmax(np.take_along_axis(noisy, best, axis=1)))
    close(routing.load, reference.load(clean, noisy, deviation, k), 1e-4)


def test_the_load_estimates_how_often_an_expert_is_chosen_when_its_own_noise_is_drawn_again():
    generator = np.random.default_rng(0)
    clean, deviation = generator.normal(size=(1, E)), np.exp(generator.normal(size=(1, E)))
    noisy = clean + deviation * generator.normal(size=(1, E))
    for i in range(E):
        again = np.repeat(noisy, 20000, axis=0)
        again[:, i] = clean[0, i] + deviation[0, i] * generator.normal(size=20000)
        chosen = (np.argsort(-again, axis=1)[:, :K] == i).any(axis=1).mean()
        top = -np.sort(-noisy, axis=1)[:, : K + 1]
        arguments = (ops.cast(v, "float32") for v in (clean, noisy, deviation, top))
        assert abs(np.asarray(moe.load_probability(*arguments, K))[0, i] - chosen) < 0.015


def test_padding_gets_no_expert_and_counts_nowhere(monkeypatch):
    layer, x, noise = gate(), normal(N, D), normal(N, E, seed=7)
    mask = ones(N)
    mask[8:] = 0
    for training in (False, True):
        fix_noise(monkeypatch, noise)
        padded = layer(x, mask, training=training)
        fix_noise(monkeypatch, noise[:8])
        alone = layer(x[:8], ones(8), training=training)
        assert (np.asarray(padded.experts)[8:] == E).all() and not np.asarray(padded.gates)[8:].any()
        np.testing.assert_array_equal(padded.experts[:8], alone.experts)
        close(padded.importance, alone.importance)
        close(padded.load, alone.load)


def test_noise_is_drawn_in_training_alone_and_anew_each_time():
    layer, x = gate(), normal(N, D)
    close(layer(x, ones(N)).gates, layer(x, ones(N)).gates)
    first, second = (np.asarray(layer(x, ones(N), training=True).gates) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3


def test_noise_spreads_tokens_over_the_experts_of_a_new_gate():
    layer = NoisyTopKGate(E, K, seed=1)
    load = np.asarray(layer(normal(200, D), ones(200), training=True).load)
    close(load.sum(), 200 * K, 0.1)
    assert load.min() > 80 and load.max() < 120


def test_the_gate_is_a_layer():
    run_layer_test(lambda: NoisyTopKGate(E, K, seed=1), (normal(N, D), ones(N)), output_shape=(N, K), trainable_weights=2)


@pytest.mark.parametrize("k", [0, 7])
def test_a_k_that_experts_cannot_fill_is_refused(k):
    with pytest.raises(ValueError, match=f"between 1 and num_experts=6, got {k}"):
        NoisyTopKGate(E, k)


def test_balance_loss_is_the_sum_of_squared_variations():
    importance, load = abs(normal(E)), abs(normal(E, seed=1))
    routing = Routing(None, None, importance, load)
    close(moe.balance_loss(routing, 0.1), 0.1 * (reference.cv_squared(importance) + reference.cv_squared(load)), 1e-4)
    close(moe.balance_loss(Routing(None, None, ones(E), ones(E)), 1.0), 0.0)
    close(moe.balance_loss(Routing(None, None, 0 * ones(E), 0 * ones(E)), 1.0), 0.0)
    one = np.eye(E, dtype="float32")[0]
    close(moe.balance_loss(Routing(None, None, one, one), 1.0), 2 * (E - 1))


# Dispatch

CHOICES = {
    "random": np.random.default_rng(0).permuted(np.tile(np.arange(E), (N, 1)), axis=1)[:, :2],
    "all to one expert": np.tile([4, 2], (N, 1)),
    "padding within and behind": np.where(np.arange(N)[:, None] % 3 == 0, E, np.tile([1, 5], (N, 1))),
    "padding alone": np.full((N, 2), E),
}


@pytest.mark.parametrize("name", CHOICES)
def test_every_pair_has_one_slot_in_its_experts_queue_in_order_of_tokens(name):
    experts = CHOICES[name].astype("int32")
    plan = moe.dispatch(ops.convert_to_tensor(experts), E)
    slots, tokens, pairs = (np.asarray(part) for part in plan[:3])
    capacity = int(plan.capacity)
    counts = np.bincount(experts.ravel(), minlength=E + 1)[:E]
    assert capacity == max(counts.max(), 1) and tokens.shape == (E * capacity,)
    wanted = np.full((E, capacity), N)
    for expert in range(E):
        waiting = np.nonzero((experts == expert).any(axis=1))[0]
        wanted[expert, : len(waiting)] = waiting
    np.testing.assert_array_equal(tokens.reshape(E, capacity), wanted)
    for (n, k), slot in np.ndenumerate(slots):
        assert (
            (slot == E * capacity) if experts[n, k] == E else (pairs[slot, 0] == 2 * n + k and slot // capacity == experts[n, k])
        )
    assert (pairs[tokens == N] == 2 * N).all()


@pytest.mark.parametrize("name", CHOICES)
def test_gather_rows_and_its_gradient_equal_a_product_with_a_matrix_of_ones_and_zeros(name):
    plan = moe.dispatch(ops.convert_to_tensor(CHOICES[name].astype("int32")), E)
    tokens = np.asarray(plan.tokens)
    x, weights = normal(N, D), normal(len(tokens), D, seed=2)
    selection = (tokens[:, None] == np.arange(N)).astype("float32")
    close(moe.gather_rows(tf.constant(x), plan.tokens, plan.slots), selection @ x)
    close(gradients(lambda x: moe.gather_rows(x, plan.tokens, plan.slots), x, weights=weights)[0], selection.T @ weights)

    y, back = normal(len(tokens), D, seed=3), normal(2 * N, D, seed=4)
    flat = np.asarray(plan.slots).ravel()
    selection = (flat[:, None] == np.arange(len(tokens))).astype("float32")
    gather = lambda y: moe.gather_rows(y, ops.reshape(plan.slots, (-1,)), plan.pairs)  # noqa: E731
    close(gather(tf.constant(y)), selection @ y)
    close(gradients(gather, y, weights=back)[0], selection.T @ back)


# Together


@pytest.mark.parametrize("k", [1, 3, E])
@pytest.mark.parametrize("training", [False, True])
def test_equals_the_plain_sum_over_the_chosen_experts(k, training):
    layer, x, mask = mixture(k), normal(2, 9, D), ones(2, 9)
    mask[1, 5:] = 0
    y, routing = layer(x, mask, training=training)
    wanted = reference.mixture_of_experts(
        layer, x.reshape(-1, D).astype("float64"), np.asarray(routing.experts), np.asarray(routing.gates)
    )
    close(y, wanted.reshape(2, 9, D), 1e-4)
    assert not np.asarray(y)[1, 5:].any()


@pytest.mark.parametrize("name", CHOICES)
def test_a_fixed_router_is_obeyed(name):
    gates = np.random.default_rng(3).dirichlet([1, 1], N).astype("float32")
    layer, x = mixture(2, FixedRouter(CHOICES[name], gates)), normal(1, N, D)
    y, _ = layer(x, ones(1, N))
    close(y[0], reference.mixture_of_experts(layer, x[0].astype("float64"), CHOICES[name], gates), 1e-4)


@pytest.mark.parametrize("name", CHOICES)
def test_gradients_equal_those_of_all_experts_computed_densely(name):
    gates = np.random.default_rng(3).dirichlet([1, 1], N).astype("float32")
    layer, x, weights = mixture(2, FixedRouter(CHOICES[name], gates)), normal(1, N, D), normal(1, N, D, seed=5)
    dense_gates = (np.eye(E + 1, dtype="float32")[CHOICES[name]] * gates[:, :, None]).sum(axis=1)[:, :E]

    def dense(x):
        hidden = tf.nn.relu(tf.einsum("nd,edf->enf", x[0], layer.w1.value))
        return tf.einsum("ne,enf,efd->nd", dense_gates, hidden, layer.w2.value)[None]

    found = []
    for function in (lambda x: layer(x, ones(1, N))[0], dense):
        inputs = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(function(inputs) * weights)
        found.append(tape.gradient(loss, [inputs, layer.w1.value, layer.w2.value]))
    for got, wanted in zip(*found, strict=True):
        close(got, wanted, 1e-4)


def test_the_gates_own_gradient_equals_that_of_the_plain_sum():
    layer, x, weights = mixture(), normal(1, N, D), normal(1, N, D, seed=5)
    best = np.asarray(layer(x, ones(1, N))[1].experts)

    def plain():
        logits = tf.gather(x[0] @ layer.gate.gate_kernel.value, best, batch_dims=1)
        hidden = tf.nn.relu(tf.einsum("nd,edf->nef", x[0], layer.w1.value))
        outputs = tf.gather(tf.einsum("nef,efd->ned", hidden, layer.w2.value), best, batch_dims=1)
        return tf.reduce_sum(tf.nn.softmax(logits)[:, :, None] * outputs, axis=1)[None]

    found = []
    for function in (lambda: layer(x, ones(1, N))[0], plain):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(function() * weights)
        found.append(tape.gradient(loss, layer.gate.gate_kernel.value))
    close(*found, 1e-4)


def test_a_batch_equals_its_examples_one_by_one():
    layer, x = mixture(), normal(3, 7, D)
    whole = layer(x, ones(3, 7))[0]
    for i in range(3):
        close(layer(x[i : i + 1], ones(1, 7))[0][0], whole[i])


# A capacity that is known beforehand


def output_and_gradients(layer, x, capacity=None, compiled=False):
    """Returns y [1, N, D] and the gradients by x, W1 and W2 of its weighted sum."""
    weights = normal(*x.shape, seed=5)

    def run(x):
        with tf.GradientTape() as tape, fixed_capacity(capacity):
            tape.watch(x)
            y, routing = layer(x, ones(*x.shape[:2]))
            loss = tf.reduce_sum(y * weights)
        return y, routing.dropped, *tape.gradient(loss, [x, layer.w1.value, layer.w2.value])

    return (tf.function(run, jit_compile=True) if compiled else run)(tf.constant(x))


@pytest.mark.parametrize("factor", [1e-6, 0.5, 1.0, 100.0])
@pytest.mark.parametrize("name", CHOICES)
def test_queues_beyond_the_capacity_are_computed_in_further_passes(name, factor):
    """The capacities are 1, 2, 4 and N; up to 12 tokens wait for one expert."""
    gates = np.random.default_rng(3).dirichlet([1, 1], N).astype("float32")
    layer, x = mixture(2, FixedRouter(CHOICES[name], gates)), normal(1, N, D)
    found = output_and_gradients(layer, x, FixedCapacity(factor))
    for got, wanted in zip(found, output_and_gradients(layer, x), strict=True):
        close(got, wanted, 1e-4)


def test_further_passes_are_the_same_compiled_and_where_values_are_computed_again():
    gates = np.random.default_rng(3).dirichlet([1, 1], N).astype("float32")
    layer, x = mixture(2, FixedRouter(CHOICES["all to one expert"], gates)), normal(1, N, D)
    layer.recompute = True
    for got, wanted in zip(
        output_and_gradients(layer, x, FixedCapacity(0.5), compiled=True), output_and_gradients(layer, x), strict=True
    ):
        close(got, wanted, 1e-4)


def test_dropped_pairs_are_the_last_of_their_queue_and_are_counted():
    gates = np.full((N, 2), 0.5, "float32")
    layer, x = mixture(2, FixedRouter(CHOICES["all to one expert"], gates)), normal(1, N, D)
    y, dropped, *_ = output_and_gradients(layer, x, FixedCapacity(1.0, drop=True))
    assert int(dropped) == 2 * (N - 4)  # 12 tokens and 2 experts each for 6 experts are 4 slots per expert
    close(y[:, :4], layer(x, ones(1, N))[0][:, :4], 1e-4)
    assert not np.any(y[:, 4:])
    assert int(output_and_gradients(layer, x, FixedCapacity(100.0, drop=True))[1]) == 0


@pytest.mark.parametrize(("tokens", "slots"), [(30, 20), (1, 1), (0, 1), (4, 3)])
def test_the_capacity_is_a_multiple_of_the_mean(tokens, slots):
    capacity = FixedCapacity(2.0)
    assert capacity.slots(tokens, K, 9) == slots
    assert int(capacity.slots(tf.constant(tokens), K, 9)) == slots


def test_lengths_known_only_when_it_runs():
    layer = mixture()
    traced = tf.function(
        lambda x, m: layer(x, m)[0], input_signature=[tf.TensorSpec((None, None, D)), tf.TensorSpec((None, None))]
    )
    with fixed_capacity(FixedCapacity(0.5)):
        in_passes = tf.function(
            lambda x, m: layer(x, m)[0], input_signature=[tf.TensorSpec((None, None, D)), tf.TensorSpec((None, None))]
        )
        in_passes.get_concrete_function()
    for shape in ((1, 1), (2, 9)):
        x = normal(*shape, D)
        for function in (traced, in_passes):
            close(function(x, ones(*shape)), layer(x, ones(*shape))[0])


def test_the_mixture_is_a_layer():
    inputs = normal(2, 5, D), ones(2, 5)
    run_layer_test(lambda: MixtureOfExperts(E, 10, K, seed=1), inputs, output_shape=(2, 5, D), trainable_weights=4)
