"""HParams: strict typed overrides, JSON and back, unique names."""

import dataclasses
import json

import pytest

from t2t_multimodel.config import CHOICES, DataConfig, HParams, ModelConfig, TrainingConfig, get_hparams, hparams_sets


def test_override_reaches_each_part_and_leaves_the_original():
    base = HParams()
    changed = base.override("hidden_size=64, vocab_size=300,dropout=0.5,output_norm=true,train_steps=7")
    assert (changed.model.hidden_size, changed.model.dropout, changed.model.output_norm) == (64, 0.5, True)
    assert (changed.data.vocab_size, changed.training.train_steps) == (300, 7)
    assert base == HParams()


def test_override_parses_tuples_and_takes_python_values():
    assert HParams().override("image_channels=8:16:32").model.image_channels == (8, 16, 32)
    assert HParams().override(image_channels=(4,), dropout=0).model == dataclasses.replace(
        ModelConfig(), image_channels=(4,), dropout=0.0
    )


def test_integer_for_a_number_becomes_float():
    rate = HParams().override("learning_rate=1").training.learning_rate
    assert rate == 1.0 and isinstance(rate, float)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hiden_size=1", "unknown hyperparameter 'hiden_size'; did you mean hidden_size"),
        ("hidden_size=1.5", "hyperparameter hidden_size takes an integer, got '1.5'"),
        ("dropout=much", "hyperparameter dropout takes a number, got 'much'"),
        ("output_norm=1", "hyperparameter output_norm takes true or false, got '1'"),
        ("image_channels=1:x", "hyperparameter image_channels takes integers as 16:32, got '1:x'"),
        ("dropout_on=both", "hyperparameter dropout_on is one of stream, branch, got 'both'"),
        ("accumulate_steps=0", "hyperparameter accumulate_steps is at least 1, got '0'"),
        ("early_stop_patience=-1", "hyperparameter early_stop_patience is at least 0, got '-1'"),
        ("ema_decay=1", "hyperparameter ema_decay is below 1.0, got '1'"),
        ("eval_every=0", "hyperparameter eval_every is at least 1, got '0'"),
        ("dropout=1", "hyperparameter dropout is below 1.0, got '1'"),
        ("moe_k=5,num_experts=4", "moe_k=5 must not be above num_experts=4"),
        ("hidden_size=20", "num_heads=8 must divide hidden_size=20"),
        ("keep_best=last", "hyperparameter keep_best is one of all, mean, problems, none, got 'last'"),
        ("hidden_size", "hyperparameters are given as name=value, got 'hidden_size'"),
    ],
)
def test_wrong_override_says_what_would_be_right(text, message):
    with pytest.raises(ValueError) as caught:
        HParams().override(text)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("values", [{"hidden_size": True}, {"hidden_size": 1.0}, {"output_norm": 1}, {"image_channels": [1]}])
def test_python_values_of_the_wrong_type_are_refused(values):
    with pytest.raises(ValueError, match=f"hyperparameter {next(iter(values))} takes"):
        HParams().override(**values)


def test_json_and_back_is_the_same():
    changed = HParams().override("hidden_size=64,image_channels=8:16,learning_rate_schedule=cosine,batch_seconds=2")
    assert HParams.from_dict(json.loads(json.dumps(changed.to_dict()))) == changed


def test_names_are_unique_over_the_parts():
    names = [field.name for part in (ModelConfig, DataConfig, TrainingConfig) for field in dataclasses.fields(part)]
    assert len(names) == len(set(names))


def test_choices_are_of_hyperparameters_and_hold_their_defaults():
    defaults = {**vars(ModelConfig()), **vars(DataConfig()), **vars(TrainingConfig())}
    assert all(defaults[name] in choices for name, choices in CHOICES.items())


def test_every_hyperparameter_is_described():
    for part in (ModelConfig, DataConfig, TrainingConfig):
        described = (part.__doc__ or "").partition("Attributes:")[2]
        assert not [field.name for field in dataclasses.fields(part) if field.name not in described]


def test_get_hparams_applies_overrides_to_a_set():
    with hparams_sets.temporary(test_set=lambda: HParams().override("hidden_size=32")):
        hparams = get_hparams("test_set", "num_heads=2")
    assert (hparams.model.hidden_size, hparams.model.num_heads) == (32, 2)
