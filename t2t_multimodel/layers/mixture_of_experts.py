"""The sparsely-gated mixture of experts (Shazeer et al. 2017, arXiv 1701.06538; arXiv 1706.05137, section 2.3).

A router chooses the experts, a dispatch brings tokens to them and back, and the experts compute. The three are separate, so that
each can be tested alone.

Letters in shapes: N tokens, D depth, E experts, K experts per token, Q capacity per expert (slots of its queue), F hidden width
per expert.
"""

import math
from typing import Any, NamedTuple

import keras
from keras import ops

from t2t_multimodel.layers.expert_capacity import current_capacity, in_passes
from t2t_multimodel.layers.normalization import softmax
from t2t_multimodel.layers.recompute import recomputed
from t2t_multimodel.layers.replicas import draw_for_replica

SMALL_CAPACITY = 8  # slots per expert; 32 rows that choose 4 of 60 experts fill 2 on average


class Routing(NamedTuple):
    """The router's decision for each token.

    Attributes:
        experts: int32 [N, K], the chosen experts; E where a token is padding.
        gates: float32 [N, K], their weights, which sum to 1 over K; 0 where a token is padding.
        importance: float32 [E], the sum of each expert's gates (equation 6).
        load: float32 [E], the number of tokens per expert; in training a smooth estimate of it (equation 10).
        dropped: float32 scalar, the number of pairs of a token and an expert that a capacity leaves out.
    """

    experts: Any
    gates: Any
    importance: Any
    load: Any
    dropped: Any = 0.0


def cv_squared(x):
    """Returns the squared coefficient of variation of x [E], a scalar; it is 0 if x is 0 everywhere."""
    mean = ops.mean(x)
    return ops.mean(ops.square(x - mean)) / (ops.square(mean) + 1e-10)


def balance_loss(routing: Routing, weight: float):
    """Returns weight * (CV(importance)^2 + CV(load)^2), a float32 scalar (equations 7 and 11)."""
    return weight * (cv_squared(routing.importance) + cv_squared(routing.load))


@keras.saving.register_keras_serializable("t2t_multimodel")
class NoisyTopKGate(keras.layers.Layer):
    """The gate softmax(top K of H(x)) with H(x) = x Wg + N(0, 1) (softplus(x Wnoise) + floor); noise in training alone.

    Both matrices start at zero, so that all experts are equally likely at first. Everything is computed in float32.

    Args:
        num_experts: experts E.
        k: experts K per token.
        noise_floor: smallest standard deviation of the noise.
        seed: initial value of the noise's random state; None takes it from Keras's global seed.

    Call: x [N, D] and padding_mask [N] (1 real, 0 padding), or x [B, L, D] and padding_mask [B, L] with N = B * L; returns a
    Routing.

    Raises:
        ValueError: `k` is not between 1 and `num_experts`.
    """

    def __init__(self, num_experts, k=4, noise_floor=1e-2, seed=None, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        if not 1 <= k <= num_experts:
            raise ValueError(f"k must lie between 1 and num_experts={num_experts}, got {k}")
        self.num_experts = num_experts
        self.k = k
        self.noise_floor = noise_floor
        self.seed = seed

    def build(self, input_shape):
        self.noise = keras.random.SeedGenerator(self.seed, name="noise")
        shape = (input_shape[-1], self.num_experts)
        self.gate_kernel = self.add_weight(shape=shape, initializer="zeros", name="gate")
        self.noise_kernel = self.add_weight(shape=shape, initializer="zeros", name="noise_kernel")

    def call(self, x, padding_mask, training=None):
        shape = (*ops.shape(x)[:-1], self.num_experts)
        x, padding_mask = ops.reshape(x, (-1, x.shape[-1])), ops.reshape(padding_mask, (-1,))
        clean = ops.matmul(x, self.gate_kernel)
        noisy, deviation = clean, None
        if training:
            deviation = ops.softplus(ops.matmul(x, self.noise_kernel)) + self.noise_floor
            noise = draw_for_replica(lambda whole: keras.random.normal(whole, dtype=self.compute_dtype, seed=self.noise), shape)
            noisy = clean + deviation * ops.reshape(noise, (-1, self.num_experts))
        top, experts = ops.top_k(noisy, min(self.k + 1, self.num_experts))
        gates = softmax(top[:, : self.k]) * padding_mask[:, None]
        experts = ops.where(padding_mask[:, None] > 0, ops.cast(experts[:, : self.k], "int32"), self.num_experts)
        ids = ops.reshape(experts, (-1,))
        importance = ops.segment_sum(ops.reshape(gates, (-1,)), ids, self.num_experts + 1)[:-1]
        if training and self.k < self.num_experts:
            load = ops.sum(load_probability(clean, noisy, deviation, top, self.k) * padding_mask[:, None], axis=0)
        else:
            load = ops.segment_sum(ops.ones_like(ids, dtype="float32"), ids, self.num_experts + 1)[:-1]
        return Routing(experts, gates, importance, load, ops.zeros((), "float32"))

    def get_config(self):
        names = ("num_experts", "k", "noise_floor", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def load_probability(clean, noisy, deviation, top, k: int):
    """Returns P(x, i) of appendix A: the probability that expert i stays among the top k when its own noise is drawn again.

    Args:
        clean, noisy, deviation: [N, E]: x Wg, H(x), and the noise's standard deviation.
        top: [N, k + 1], the largest values of H(x), in descending order.

    Returns:
        [N, E]: Phi(((x Wg)_i - kth_excluding(H(x), k, i)) / deviation_i).
    """
    selected = noisy > top[:, k : k + 1]
    threshold = ops.where(selected, top[:, k : k + 1], top[:, k - 1 : k])
    z = (clean - threshold) / deviation
    return 0.5 * (1.0 + ops.erf(z / math.sqrt(2.0)))


class Dispatch(NamedTuple):
    """The slot of each chosen (token, expert) pair in the experts' queues, which are laid end to end.

    Attributes:
        slots: int32 [N, K], the slot of each pair, from 0 to E * Q - 1; E * Q for padding and for a pair without a slot.
        tokens: int32 [E * Q], the token in each slot; N in an empty slot.
        pairs: int32 [E * Q, 1], the pair n * K + k in each slot; N * K in an empty slot.
        capacity: Q, the slots per expert.
    """

    slots: Any
    tokens: Any
    pairs: Any
    capacity: Any


def queue_lengths(experts, num_experts: int):
    """Returns the number of pairs per expert, int32 [E], of `experts`, int32 [N, K] (E = padding)."""
    ids = ops.reshape(experts, (-1,))
    return ops.segment_sum(ops.ones_like(ids), ids, num_experts + 1)[:-1]


def dispatch(experts, num_experts: int, capacity=None, first=0) -> Dispatch:
    """Returns the slots of the pairs of `experts`, int32 [N, K] (E = padding), in the order of tokens.

    Args:
        capacity: the capacity Q; None measures the longest queue. Where shapes must be known beforehand (JAX under jit), None
            means Q = N. Neither leaves a pair without a slot.
        first: the place in each queue of the first pair that gets a slot. Pairs before it, and from first + Q on, get none.
    """
    tokens, k = ops.shape(experts)[0], experts.shape[1]
    ids = ops.reshape(experts, (-1,))
    order = ops.cast(ops.argsort(ids), "int32")
    in_order = ops.take(ids, order)
    counts = queue_lengths(experts, num_experts)
    if capacity is None:
        capacity = tokens if keras.backend.backend() == "jax" else ops.maximum(ops.max(counts), 1)
    starts = ops.pad(ops.cumsum(counts), [[1, 0]])
    rank = ops.arange(tokens * k, dtype="int32") - ops.take(starts, in_order) - first
    total = num_experts * capacity
    has_slot = (in_order < num_experts) & (rank >= 0) & (rank < capacity)
    slot = ops.where(has_slot, in_order * capacity + rank, total)
    slots = ops.scatter(order[:, None], slot, (tokens * k,))
    pair_numbers = ops.scatter(slot[:, None], order + 1, (total + 1,))[:-1]  # counted from 1; 0 is an empty slot
    pairs = ops.where(pair_numbers > 0, pair_numbers - 1, tokens * k)
    return Dispatch(ops.reshape(slots, (-1, k)), pairs // k, pairs[:, None], capacity)


def gather_rows(x, index, inverse):
    """Returns the rows of x [R, D] at index [M], where index R gives a row of zeros.

    The gradient is a gather as well; the gradient of ops.take would be a scatter.

    Args:
        inverse: int32 [R, J], for each row of x the rows of the output that are its copies; M means none.

    Returns:
        [M, D].
    """

    @ops.custom_gradient
    def gather(x):
        def gradient(*args, upstream=None):
            dy = args[0] if upstream is None else upstream
            return ops.sum(ops.take(_with_zero_row(dy), inverse, axis=0), axis=1)

        return ops.take(_with_zero_row(ops.convert_to_tensor(x)), index, axis=0), gradient

    return gather(x)


def _with_zero_row(x):
    return ops.pad(x, [[0, 1], [0, 0]])


@keras.saving.register_keras_serializable("t2t_multimodel")
class MixtureOfExperts(keras.layers.Layer):
    """The mixture of experts y(x) = sum over the K chosen experts of gate * W2 relu(W1 x), section 2.3.

    Args:
        num_experts, k, noise_floor, seed: as in NoisyTopKGate.
        hidden_size: width F of an expert's hidden layer.
        recompute: True computes the experts' inputs and hidden values again for the gradient instead of keeping them. The
            routing is kept.

    Call: x [B, L, D], padding_mask [B, L]; returns (y [B, L, D], Routing). Padded positions get zeros. Within `fixed_capacity`
    the experts have that capacity.
    """

    def __init__(self, num_experts, hidden_size, k=4, noise_floor=1e-2, seed=None, recompute=False, **kwargs):
        super().__init__(**kwargs)
        self.num_experts = num_experts
        self.hidden_size = hidden_size
        self.k = k
        self.noise_floor = noise_floor
        self.seed = seed
        self.recompute = recompute
        self.gate = NoisyTopKGate(num_experts, k, noise_floor, seed, name="gate")

    def build(self, input_shape):
        depth = input_shape[-1]
        self.gate.build(input_shape)
        for name, fan_in, fan_out in (("w1", depth, self.hidden_size), ("w2", self.hidden_size, depth)):
            limit = math.sqrt(6.0 / (fan_in + fan_out))
            initializer = keras.initializers.RandomUniform(-limit, limit)
            shape = (self.num_experts, fan_in, fan_out)
            setattr(self, name, self.add_weight(shape=shape, initializer=initializer, name=name))

    def call(self, x, padding_mask, training=None):
        depth, length = x.shape[-1], ops.shape(x)[1]
        rows = ops.reshape(x, (-1, depth))
        routing = self.gate(ops.cast(x, "float32"), padding_mask, training=training)
        limit = current_capacity()
        capacity = limit.slots(ops.shape(rows)[0], self.k, self.num_experts) if limit else None
        if limit and limit.drop:
            beyond = ops.maximum(queue_lengths(routing.experts, self.num_experts) - capacity, 0)
            routing = routing._replace(dropped=ops.cast(ops.sum(beyond), "float32"))

        def mix(rows, gates):
            given = routing._replace(gates=gates)
            if limit and not limit.drop:
                return self._in_passes(rows, given, capacity)
            return self._dispatched(rows, given, capacity)

        recompute = self.recompute and training
        y = recomputed(mix, (), rows, routing.gates) if recompute else mix(rows, routing.gates)
        return ops.reshape(y, (-1, length, depth)), routing

    def _dispatched(self, rows, routing, capacity=None):
        """Returns the outputs [N, D] for rows [N, D], one product over all experts' slots; `capacity` as in `dispatch`."""
        depth = rows.shape[-1]
        plan = dispatch(routing.experts, self.num_experts, capacity)
        inputs = ops.reshape(gather_rows(rows, plan.tokens, plan.slots), (self.num_experts, -1, depth))
        w1, w2 = (ops.cast(weights, inputs.dtype) for weights in (self.w1, self.w2))
        outputs = ops.matmul(ops.relu(ops.matmul(inputs, w1)), w2)
        chosen = gather_rows(ops.reshape(outputs, (-1, depth)), ops.reshape(plan.slots, (-1,)), plan.pairs)
        return self._weighted(chosen, routing)

    def _in_passes(self, rows, routing, capacity):
        """Returns the outputs [N, D] for rows [N, D], in as many passes as the capacity asks for."""
        w1, w2 = (ops.cast(weights, rows.dtype) for weights in (self.w1, self.w2))
        longest = ops.max(queue_lengths(routing.experts, self.num_experts))

        def slots(first):
            return dispatch(routing.experts, self.num_experts, capacity, first)

        return self._weighted(in_passes(slots, longest, capacity, rows, w1, w2), routing)

    def _weighted(self, outputs, routing):
        """Returns the sums [N, D] of the experts' outputs [N * K, D], weighted by the gates."""
        gates = ops.cast(routing.gates, outputs.dtype)[:, :, None]
        return ops.sum(ops.reshape(outputs, (-1, self.k, outputs.shape[-1])) * gates, axis=1)

    def step(self, x, padding_mask, measured: bool = False):
        """Returns the outputs [N, D] for the few tokens x [N, D] of a decoding step, padding_mask [N].

        The weights of each token's own experts are fetched where N * K <= E. Above that, fetching would move more than the
        weights of all experts, and the tokens are dispatched.

        Args:
            measured: whether the capacity is that of the longest queue. XLA has to know it beforehand: False makes it
                SMALL_CAPACITY unless a queue is longer, and N then.
        """
        routing = self.gate(ops.cast(x, "float32"), padding_mask, training=False)
        tokens = ops.shape(x)[0]
        longest = ops.max(routing.load)

        def fetched():
            return self._fetched(x, routing)

        def dispatched():
            if measured:
                return self._dispatched(x, routing)
            small, full = (lambda: self._dispatched(x, routing, SMALL_CAPACITY)), (lambda: self._dispatched(x, routing, tokens))
            return ops.cond(longest <= SMALL_CAPACITY, small, full)

        few = tokens * self.k <= self.num_experts
        if isinstance(few, bool):
            return fetched() if few else dispatched()
        return ops.cond(few, fetched, dispatched)

    def _fetched(self, x, routing):
        """Returns the outputs [N, D] for x [N, D], one product per chosen (token, expert) pair."""
        experts = ops.reshape(ops.minimum(routing.experts, self.num_experts - 1), (-1,))  # padding has gates of 0
        hidden = ops.relu(ops.matmul(ops.repeat(x, self.k, axis=0)[:, None], _fetch(self.w1, experts, x.dtype)))
        return self._weighted(ops.matmul(hidden, _fetch(self.w2, experts, x.dtype))[:, 0], routing)

    def get_config(self):
        names = ("num_experts", "hidden_size", "k", "noise_floor", "seed", "recompute")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _fetch(weights, experts, dtype):
    """Returns the weights [N, D, F] of experts [N], taken from weights [E, D, F] and cast to `dtype`.

    They are fetched as long rows, since XLA copies a row at once and smaller slices number by number.
    """
    rows = ops.take(ops.reshape(weights, (weights.shape[0], -1)), experts, axis=0)
    return ops.cast(ops.reshape(rows, (-1, *weights.shape[1:])), dtype)
