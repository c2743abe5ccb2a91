"""The estimate of a step's memory agrees with arithmetic, without running the step."""

import pytest

from t2t_multimodel.config import HParams
from t2t_multimodel.features import ProblemSpec, Text
from t2t_multimodel.runs.memory_estimate import count_memory
from t2t_multimodel.runs.run_config import RunConfig

HPARAMS = HParams().override(
    "hidden_size=16,num_heads=2,encoder_blocks=2,mixer_blocks=1,decoder_blocks=1,num_experts=4,moe_k=2,moe_hidden_size=16"
)
SPECS = (ProblemSpec("german", Text(), Text(), "to_german"), ProblemSpec("french", Text(), Text(), "to_french"))


def counted(*rows, **changes):
    """Returns the counts for batches of the problems, each of the given number of sentences of 64 tokens."""
    batches = {spec.name: {"inputs": (n, 64), "targets": (n, 64)} for spec, n in zip(SPECS, rows, strict=False)}
    return count_memory(RunConfig("tiny", HPARAMS.override(**changes), SPECS, 23, "", ""), batches)


@pytest.fixture(scope="module")
def one():
    return counted(16, 32)


def test_a_step_grows_with_its_batch(one):
    gradients = one.state["gradients"]
    assert (one.steps["french"] - gradients) / (one.steps["german"] - gradients) == pytest.approx(2, rel=0.1)


def test_what_is_kept_of_a_convolution_block_is_at_least_what_its_gradient_reads(one):
    """A block's four steps keep the rectified input, the padded one, what the pointwise kernel reads, and the normalised one."""
    blocks, tensor = 2 + 1 + 1, 4 * 16 * 64 * 16
    assert 16 * blocks * tensor < one.steps["german"] < 60 * blocks * tensor


def test_recomputing_and_half_precision_hold_less(one):
    assert counted(16, recompute=True).steps["german"] < 0.6 * one.steps["german"]
    assert counted(16, precision="bfloat16").steps["german"] < 0.8 * one.steps["german"]
