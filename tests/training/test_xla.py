"""A step compiled by XLA trains like a step without XLA. Compiling takes most of a minute on a CPU."""

import numpy as np
import pytest

from t2t_multimodel.training.checkpoints import by_path
from t2t_multimodel.training.optimizer import make_optimizer
from t2t_multimodel.training.steps import StepFunctions

# One block, so that there is little to compile, and one expert, since XLA draws other noise for the choice among several.
SMALL = {
    "num_experts": 1,
    "moe_k": 1,
    "encoder_blocks": 1,
    "mixer_blocks": 0,
    "decoder_blocks": 0,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "embedding_dropout": 0.0,
}


@pytest.mark.slow
def test_a_compiled_step_is_a_step(make_model, make_batch, hparams):
    found = []
    for xla in (False, True):
        settings, model = hparams.override(xla=xla, clip_norm=1.0), make_model(**SMALL)
        steps = StepFunctions(model, make_optimizer(by_path(model.trainable_variables), settings), settings)
        results = [steps.train("topic", make_batch("topic", 6, 3, 9), 0.01, step) for step in range(1, 7)]
        found.append([(float(result.loss), float(result.gradient_norm)) for result in results])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-3)
    assert found[1][0][1] > 1.0  # it is clipped
    assert found[1][-1][0] < found[1][0][0]
