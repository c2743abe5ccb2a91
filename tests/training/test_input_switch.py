"""One traced function for several kinds of input trains each problem as a function of its own does."""

import numpy as np
import pytest
import tensorflow as tf
import tiny

from t2t_multimodel.config import HParams
from t2t_multimodel.training.checkpoints import by_path
from t2t_multimodel.training.optimizer import make_optimizer
from t2t_multimodel.training.steps import StepFunctions

NAMES = ("translate", "speech", "caption")
NETS = {"translate": "language", "speech": "spectrogram", "caption": "image_3"}
HPARAMS = HParams().override(f"mel_bins={tiny.BINS},beta1=0.0,clip_norm=0.0,problems_per_step=2")
QUIET = {"num_experts": 0, "dropout": 0.0, "encoder_blocks": 1, "decoder_blocks": 1}


class Run:
    """Returns steps of the tiny model: one function for all NAMES, or with `call` one per name. Slot "m" is the last gradient."""

    def __init__(self, optimizer="adam", call=None):
        self.model = tiny.make((*NAMES, "image_label"), **QUIET)
        hparams = HPARAMS.override(optimizer=optimizer)
        self.weights = by_path(self.model.trainable_variables)
        self.optimizer = make_optimizer(self.weights, hparams)
        self.steps = StepFunctions(self.model, self.optimizer, hparams, call=call)

    def values(self):
        """Returns copies of weights and slots, by name."""
        kinds = {"weight": self.weights, **self.optimizer.slots}
        return {f"{kind}:{name}": variable.numpy() for kind, of in kinds.items() for name, variable in of.items()}


@pytest.fixture(scope="module")
def one():
    return Run()


@pytest.fixture(scope="module")
def adafactor():
    return Run("adafactor")


@pytest.fixture(scope="module")
def each():
    return Run(call=lambda function, arguments: function(*arguments))


def constant(batch):
    return {name: tf.constant(value) for name, value in batch.items()}


def test_all_kinds_of_input_share_a_function_and_labels_have_their_own(one, each):
    for run in (one, each):
        for name in (*NAMES, "image_label"):
            run.steps.evaluate(name, constant(tiny.batch(name)))
    functions = one.steps._traced
    assert len(functions) == 2 and len(each.steps._traced) == 4
    assert {function.experimental_get_tracing_count() for function in functions.values()} == {1}


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_the_one_of_the_problem_alone(name, one, each):
    batch = constant(tiny.batch(name))
    for run in (one, each):
        for variable, value in zip(run.weights.values(), each.weights.values(), strict=True):
            variable.assign(value)
        for slot in (slot for of in run.optimizer.slots.values() for slot in of.values()):
            slot.assign(tf.zeros_like(slot))
    assert [float(x) for x in one.steps.evaluate(name, batch)] == pytest.approx(
        [float(x) for x in each.steps.evaluate(name, batch)], rel=1e-5
    )
    found, wanted = (run.steps.train(name, batch, 0.01, 1) for run in (one, each))
    for field in ("loss", "gradient_norm", "tokens"):
        assert float(getattr(found, field)) == pytest.approx(float(getattr(wanted, field)), rel=1e-5)
    gradients, alone = one.optimizer.slots["m"], each.optimizer.slots["m"]
    read = {path.partition(".")[0] for path, slot in alone.items() if slot.numpy().any()}
    assert {NETS[name], "encoder", "mixer", "decoder"} <= read
    for path, slot in alone.items():
        gradient = slot.numpy()
        np.testing.assert_allclose(gradients[path], gradient, rtol=1e-4, atol=1e-5 * np.abs(gradient).max(), err_msg=path)


@pytest.mark.parametrize("kind", ["one", "adafactor"])
@pytest.mark.parametrize("jointly", [False, True], ids=["train", "train_on_several"])
def test_what_a_problem_does_not_read_stays_as_it_is_moments_included(kind, jointly, request):
    run = request.getfixturevalue(kind)

    def step(*names):
        batches = {name: constant(tiny.batch(name)) for name in names}
        if jointly:
            return run.steps.train_on_several([(name, [batch]) for name, batch in batches.items()], 0.01, 1)
        return [run.steps.train(name, batch, 0.01, 1) for name, batch in batches.items()]

    step(*NAMES)
    before = run.values()
    assert all(np.isfinite(float(result.loss)) for result in step("speech"))
    changed = {name for name, value in run.values().items() if not np.array_equal(value, before[name])}
    assert any("spectrogram" in name for name in changed) and any("encoder" in name for name in changed)
    assert not [name for name in changed if NETS["caption"] in name or "to_german" in name]
    assert any(NETS["caption"] in name and value.any() for name, value in before.items() if not name.startswith("weight"))
