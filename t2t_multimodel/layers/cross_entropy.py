"""The label-smoothed cross-entropy (Szegedy et al. 2015, arXiv 1512.00567, section 7)."""

from keras import ops


def smoothed_cross_entropy(logits, targets, label_smoothing: float):
    """Returns the cross-entropy in nats, float32 [...], of float32 logits [..., V] against int32 ids [...].

    The ids' probability is 1 - label_smoothing; `label_smoothing` is spread evenly over all V ids. The gradient is written
    out, so that no labels are made for all V ids.
    """
    size = logits.shape[-1]

    @ops.custom_gradient
    def cross_entropy(logits):
        logits = ops.convert_to_tensor(logits)
        ids = ops.reshape(ops.cast(targets, "int32"), (-1,))
        rows = ops.reshape(logits, (-1, size))
        shifted = rows - ops.max(rows, axis=1, keepdims=True)
        powers = ops.exp(shifted)
        total = ops.sum(powers, axis=1)
        places = ops.arange(ops.shape(ids)[0], dtype="int32") * size + ids  # of the targets' logits
        chosen = ops.take(ops.reshape(shifted, (-1,)), places)
        losses = ops.log(total) - (1.0 - label_smoothing) * chosen
        if label_smoothing:
            losses = losses - label_smoothing * ops.mean(shifted, axis=1)

        def gradient(*args, upstream=None):
            dy = ops.reshape(args[0] if upstream is None else upstream, (-1,))
            slopes = powers * (dy / total)[:, None]
            if label_smoothing:
                slopes = slopes - (dy * (label_smoothing / size))[:, None]
            slopes = ops.reshape(slopes, (-1,))
            at_targets = ops.take(slopes, places) - dy * (1.0 - label_smoothing)
            return ops.reshape(ops.scatter_update(slopes, places[:, None], at_targets), ops.shape(logits))

        return ops.reshape(losses, ops.shape(targets)), gradient

    return cross_entropy(logits)
