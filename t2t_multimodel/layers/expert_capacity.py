"""Experts with a capacity that is known before tokens are routed, as compilers and accelerators need it.

The capacity is a multiple of the mean number of tokens per expert. Tokens that find an expert's slots full are computed in
further passes over the same slots, so the result is exact; or they are dropped, if that is asked for.

Letters in shapes: N tokens, D depth, E experts, K experts per token, Q capacity per expert, F hidden width per expert.
"""

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from keras import ops


class FixedCapacity(NamedTuple):
    """A capacity that does not depend on the routing.

    Attributes:
        factor: the capacity as a multiple of the mean number of tokens per expert.
        drop: True leaves out the pairs of a token and an expert beyond the capacity; False computes them in further passes.
    """

    factor: float
    drop: bool = False

    def slots(self, tokens, k: int, experts: int):
        """Returns the capacity Q for N = `tokens`, at least 1 and at most N; an int if N is one, else an int32 scalar."""
        if isinstance(tokens, int):
            return max(1, min(tokens, math.ceil(self.factor * tokens * k / experts)))
        wanted = ops.ceil(ops.cast(tokens, "float32") * (self.factor * k / experts))
        return ops.maximum(ops.minimum(ops.cast(wanted, "int32"), tokens), 1)


_capacity: contextvars.ContextVar[FixedCapacity | None] = contextvars.ContextVar("capacity", default=None)


@contextlib.contextmanager
def fixed_capacity(capacity: FixedCapacity | None) -> Iterator[None]:
    """Gives the experts this capacity in all that is traced within; None measures the longest queue."""
    token = _capacity.set(capacity)
    try:
        yield
    finally:
        _capacity.reset(token)


def current_capacity() -> FixedCapacity | None:
    """Returns the capacity that `fixed_capacity` has set, or None."""
    return _capacity.get()


def in_passes(dispatch: Callable[[Any], Any], longest, capacity, rows, w1, w2):
    """Returns the outputs W2 relu(W1 x) of all pairs of a token and an expert, [N * K, D]; padding gets zeros.

    The pass p computes the pairs p * Q to (p + 1) * Q - 1 of each queue. There are as many passes as the longest queue needs,
    which is one for queues within the capacity. The gradient is written out, since a compiler cannot differentiate a loop whose
    number of passes it does not know. It keeps the values of the first pass and computes those of further ones again.

    Args:
        dispatch: dispatch(first) returns the Dispatch of the pairs from the place `first` of each queue on.
        longest: int32 scalar, the length of the longest queue.
        capacity: Q.
        rows: [N, D].
        w1, w2: [E, D, F] and [E, F, D], in the type of `rows`.
    """
    experts, depth = w1.shape[:2]
    passes = (longest + capacity - 1) // capacity

    def hidden_values(plan, rows, w1):
        inputs = ops.reshape(_rows_at(rows, plan.tokens), (experts, -1, depth))
        return inputs, ops.relu(ops.matmul(inputs, w1))

    def outputs(plan, hidden, w2):
        return _rows_at(ops.reshape(ops.matmul(hidden, w2), (-1, depth)), ops.reshape(plan.slots, (-1,)))

    def gradients(plan, inputs, hidden, w1, w2, dy):
        d_outputs = ops.reshape(_rows_at(dy, plan.pairs[:, 0]), (experts, -1, depth))
        d_hidden = ops.matmul(d_outputs, ops.transpose(w2, (0, 2, 1)))
        d_hidden = ops.where(hidden > 0, d_hidden, ops.zeros_like(d_hidden))
        d_inputs = ops.reshape(ops.matmul(d_hidden, ops.transpose(w1, (0, 2, 1))), (-1, depth))
        d_rows = ops.sum(_rows_at(d_inputs, plan.slots), axis=1)
        return d_rows, *(ops.matmul(ops.transpose(x, (0, 2, 1)), d) for x, d in ((inputs, d_hidden), (hidden, d_outputs)))

    @ops.custom_gradient
    def mixed(rows, w1, w2):
        rows, w1, w2 = (ops.convert_to_tensor(x) for x in (rows, w1, w2))
        first = dispatch(0)
        inputs, hidden = hidden_values(first, rows, w1)

        def further(number, total):
            plan = dispatch(number * capacity)
            return number + 1, total + outputs(plan, hidden_values(plan, rows, w1)[1], w2)

        def gradient(*args, upstream=None):
            dy = args[0] if upstream is None else upstream

            def further(number, *totals):
                plan = dispatch(number * capacity)
                inputs, hidden = hidden_values(plan, rows, w1)
                more = gradients(plan, inputs, hidden, w1, w2, dy)
                return number + 1, *(total + part for total, part in zip(totals, more, strict=True))

            return _passes(passes, further, *gradients(first, inputs, hidden, w1, w2, dy))

        return _passes(passes, further, outputs(first, hidden, w2))[0], gradient

    return mixed(rows, w1, w2)


def _passes(passes, further, *totals):
    """Returns `totals` after the passes 1 to `passes` - 1; further(number, *totals) returns the next number and totals."""
    start = ops.convert_to_tensor(1, dtype=passes.dtype)
    return ops.while_loop(lambda number, *_: number < passes, further, (start, *totals))[1:]


def _rows_at(x, index):
    """Returns the rows of x [R, D] at int32 `index` [...], [..., D], where index R gives a row of zeros."""
    return ops.take(ops.pad(x, [[0, 1], [0, 0]]), index, axis=0)
