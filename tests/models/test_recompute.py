"""Recomputed activations: the same gradient, noise and dropout included, and less memory."""

import numpy as np
import pytest
import tensorflow as tf
import tiny
from tensors import close

NOISE = {"dropout": 0.3, "attention_dropout": 0.2, "embedding_dropout": 0.1, "target_noise": 0.3}
NOISY = {**NOISE, "mixer_blocks": 0, "decoder_blocks": 1}


@pytest.fixture(scope="module")
def models():
    """Returns two models with equal weights and states of noise; one keeps inner values, the other recomputes them."""
    keeps, again = (tiny.make(("translate",), **NOISY, recompute=value) for value in (False, True))
    for target, source in zip(again.variables, keeps.variables, strict=True):
        target.assign(source)
    return keeps, again


def gradient(model, batch, rows):
    """Returns the loss, the gradient, and the states of noise afterwards."""

    @tf.function(autograph=False)
    def run():
        variables = [variable.value for variable in model.trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            terms = model.loss_terms(batch, "translate", True, rows=rows)
            loss = terms.total / terms.weight + model.balance_loss(terms.routings)
        return loss, [tf.convert_to_tensor(value) for value in tape.gradient(loss, variables, unconnected_gradients="zero")]

    loss, gradients = run()
    return (
        float(loss),
        dict(zip([v.path for v in model.trainable_variables], gradients, strict=True)),
        model.non_trainable_variables,
    )


@pytest.mark.parametrize("rows", [None, (1, 3, 5)], ids=["batch", "a replica's part"])
def test_the_gradient_is_the_same_with_dropout_and_noise(rows, models):
    batch = {name: tf.constant(value) for name, value in tiny.batch("translate").items()}
    results = [gradient(model, batch, rows) for model in models]
    (loss, wanted, states), (loss_again, found, states_again) = results
    assert loss_again == pytest.approx(loss, rel=1e-6)
    for (path, one), other in zip(wanted.items(), found.values(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-5 * max(np.abs(one).max(), 1e-2), err_msg=path)
    assert sum(np.abs(value).max() > 0 for value in found.values()) > 0.9 * len(found)
    for state, other in zip(states, states_again, strict=True):
        close(state, other, 0)
