"""The report that a run prints before its first step."""

import dataclasses

import pytest
import tiny

from t2t_multimodel.config import HParams
from t2t_multimodel.runs import start_report
from t2t_multimodel.runs.run_config import RunConfig
from t2t_multimodel.runs.start_report import flops_forward
from t2t_multimodel.training.memory import parameter_counts


@pytest.fixture(scope="module")
def made():
    """A model and the hyperparameters of its run."""
    small = f"vocab_size={tiny.VOCAB},max_length=12,batch_tokens=48,batch_images=2,batch_seconds=2,max_seconds=1"
    hparams = HParams().override(small, mel_bins=tiny.model().mel_bins)
    hparams = dataclasses.replace(hparams, model=tiny.model().config)
    return tiny.model(), RunConfig("tiny", hparams, tuple(tiny.SPECS.values()), tiny.VOCAB, "", "")


def test_arithmetic_is_two_operations_a_weight_that_works(made):
    model, config = made
    c, counts, flops = model.config, parameter_counts(model), flops_forward(model, config.hparams)
    assert flops.keys() <= counts.keys()
    assert flops["decoder"] == (2 * counts["decoder"], "token")
    assert flops["language"] == (2 * c.hidden_size * tiny.VOCAB, "output token")
    # one mixture's gate, of two matrices of which one works, and moe_k of its experts: the two mixtures are alike
    gate = c.hidden_size * c.num_experts
    expert = (counts["experts"] / 2 - 2 * gate) / c.num_experts
    assert flops["experts"] == (2 * (gate + c.moe_k * expert), "token")
    pictures = [value for part, value in flops.items() if part.startswith("image")]
    assert pictures and all(number > 0 and what.startswith("picture of") for number, what in pictures)


def test_a_transformer_is_reported_with_its_parameters_and_arithmetic(made):
    model = tiny.make(("translate",), architecture="transformer")
    config = RunConfig(
        "tiny", dataclasses.replace(made[1].hparams, model=model.config), (tiny.SPECS["translate"],), tiny.VOCAB, "", ""
    )
    width, hidden, blocks = model.config.hidden_size, 4 * model.config.hidden_size, model.config.encoder_blocks
    counts, flops = parameter_counts(model), flops_forward(model, config.hparams)
    products = blocks * (4 * width * width + 2 * width * hidden)  # queries, keys, values, outputs; the feed-forward layer
    assert products < counts["encoder"] < 1.2 * products and flops["encoder"] == (2 * counts["encoder"], "token")
    assert flops.keys() == {"encoder", "decoder", "language"}
    lines = start_report.start_report(model, config)
    assert [line.split()[0] for line in lines if "MFLOP per" in line] == ["language", "encoder", "decoder"]


@pytest.mark.parametrize(("room", "fits"), [(2**40, True), (2**20, False)])
def test_what_does_not_fit_is_told(room, fits, made, monkeypatch):
    model, config = made
    monkeypatch.setattr(start_report, "_memory", lambda: ("computer", room))
    lines = start_report.start_report(model, config)
    assert sum(line.startswith("  ") for line in lines) == len(parameter_counts(model)) + 1
    assert any(line.startswith("warning: that does not fit") for line in lines) != fits
    (memory,) = (line for line in lines if line.startswith("memory: parameters"))
    assert ("a step of" in memory) != fits  # traced where it is near


ALONE = [
    (("image_label",), {}),  # neither mixer nor decoder
    (("image_label",), {"encoder_blocks": 0, "output_norm": False}),
    (("translate",), {"encoder_blocks": 0, "mixer_blocks": 0, "decoder_blocks": 0, "output_norm": False}),
    (("speech",), {"num_experts": 0}),
]


@pytest.mark.parametrize(("names", "changes"), ALONE)
def test_parts_that_a_model_lacks_are_left_out(names, changes, made, monkeypatch):
    model = tiny.make(names, **changes)
    hparams = dataclasses.replace(made[1].hparams, model=model.config)
    config = dataclasses.replace(made[1], hparams=hparams, problems=tuple(model.specs.values()))
    monkeypatch.setattr(start_report, "_memory", lambda: ("computer", 2**10))
    lines = start_report.start_report(model, config)
    parts = [line.split("  ")[1] for line in lines if line.startswith("  ")]
    assert parts == [*parameter_counts(model), "together"]
    assert f"a step of {names[0]}" in lines[-2] and lines[-1].startswith("warning: that does not fit")


def test_an_estimate_that_fails_leaves_the_other_lines(made, monkeypatch):
    model, config = made

    def fails(*args):
        raise ValueError("the shape of x\nis not known")

    monkeypatch.setattr(start_report, "count_memory", fails)
    monkeypatch.setattr(start_report, "_memory", lambda: ("computer", 2**10))
    lines = start_report.start_report(model, config)
    assert lines[-1] == "warning: the estimate of memory is left out: ValueError: the shape of x is not known"
    assert len(lines) == len(parameter_counts(model)) + 3
