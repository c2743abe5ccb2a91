"""HParams: strict typed overrides, JSON and back, unique names."""

import dataclasses
import json
import math
from pathlib import Path

import pytest

from t2t_multimodel.cli import hparams_help
from t2t_multimodel.config import DataConfig, HParams, ModelConfig, TrainingConfig, get_hparams, hparams_sets
from t2t_multimodel.hyperparameter import check, rules, written


def test_override_reaches_each_part_and_leaves_the_original():
    base = HParams()
    changed = base.override("hidden_size=64, vocab_size=300,dropout=0.5,output_norm=true,train_steps=7")
    assert (changed.model.hidden_size, changed.model.dropout, changed.model.output_norm) == (64, 0.5, True)
    assert (changed.data.vocab_size, changed.training.train_steps) == (300, 7)
    assert base == HParams()


def test_override_parses_tuples_and_takes_python_values():
    assert HParams().override("image_channels=8:16:32").model.image_channels == (8, 16, 32)
    assert HParams().override(image_channels=(4, 8), dropout=0).model == dataclasses.replace(
        ModelConfig(), image_channels=(4, 8), dropout=0.0
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
        ("accumulate_steps=0", "hyperparameter accumulate_steps is an integer, at least 1, got 0"),
        ("early_stop_patience=-1", "hyperparameter early_stop_patience is an integer, at least 0, got -1"),
        ("ema_decay=1", "hyperparameter ema_decay is a finite number, at least 0 and below 1, got 1.0"),
        ("eval_every=0", "hyperparameter eval_every is an integer, at least 1, got 0"),
        ("dropout=1", "hyperparameter dropout is a finite number, at least 0 and below 1, got 1.0"),
        ("moe_k=5,num_experts=4", "moe_k=5 must not be above num_experts=4"),
        ("hidden_size=20", "num_heads=8 must divide hidden_size=20"),
        ("keep_best=last", "hyperparameter keep_best is one of all, mean, problems, none, got 'last'"),
        ("hidden_size", "hyperparameters are given as name=value, got 'hidden_size'"),
        ("help", "hyperparameters are given as name=value, got 'help'; mm-trainer --hparams_help lists them"),
        ("categorical_sizes=8", "hyperparameter categorical_sizes is 2 integers as 16:32, each at least 1, got 8"),
        ("image_channels=0:0", "hyperparameter image_channels is 2 or more integers as 16:32, each at least 1, got 0:0"),
        ("clip_norm=nan", "hyperparameter clip_norm is a finite number, at least 0, got nan"),
        ("train_steps=99999999999", "hyperparameter train_steps is an integer, at least 0 and at most 2,147,483,647, got 999"),
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


FIELDS = [(part, name) for part in (ModelConfig, DataConfig, TrainingConfig) for name in rules(part)]


def wrong_values(kind, rule):
    """Values of a hyperparameter just outside of its rule, and some that no rule allows."""
    numbers = [math.nan, math.inf, -math.inf, 1e39] if kind is float else [99999999999999999999, -99999999999999999999]
    for bound, side in ((rule.least, -1), (rule.most, 1)):
        if bound is not None:
            numbers.append(bound + side * (1 if kind is not float else 1e-6))
    numbers += [bound for bound in (rule.above, rule.below) if bound is not None]
    if kind == tuple[int, ...]:
        lengths = {rule.count[0] - 1, 0, *([rule.count[1] + 1] if math.isfinite(rule.count[1]) else [])}
        return [(8,) * length for length in lengths] + [(*[8] * (rule.count[0] - 1), number) for number in numbers]
    return numbers if kind in (int, float) else ["no such choice"] if rule.choices else []


@pytest.mark.parametrize(("part", "name"), FIELDS, ids=lambda value: value if isinstance(value, str) else "")
def test_values_outside_of_a_rule_are_one_line_wherever_they_come_from(part, name):
    kind, rule = rules(part)[name]
    for value in [*wrong_values(kind, rule), None, object]:
        ways = [(HParams().override, (), {name: value}), (part, (), {name: value})]
        if value not in (None, object, ()):
            ways.append((HParams().override, (f"{name}={written(value)}",), {}))
        for way, args, values in ways:
            with pytest.raises(ValueError, match=f"^hyperparameter {name} (is|takes) .*, got [^\n]*$"):
                way(*args, **values)


@pytest.mark.parametrize(("part", "name"), FIELDS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_hyperparameter_has_a_sentence_and_numbers_have_a_bound(part, name):
    kind, rule = rules(part)[name]
    assert rule.about.endswith(".") and rule.about[:1].strip()
    assert kind in (bool, str) or rule.least is not None or rule.above is not None
    check(part())


def test_the_page_of_hyperparameters_is_what_its_command_prints():
    page = Path(__file__).parent.parent / "docs" / "hyperparameters.md"
    assert page.read_text() == hparams_help.page(), "make docs"


def test_help_shows_a_sets_values_and_marks_what_it_changes():
    lines = hparams_help.hparams_help(HParams().override("hidden_size=64,output_norm=true")).splitlines()
    assert "* hidden_size=64  (an integer, at least 1)" in lines and "* output_norm=true  (true or false)" in lines
    assert "  image_channels=32:64:128:256  (2 or more integers as 16:32, each at least 1)" in lines


def test_get_hparams_applies_overrides_to_a_set():
    with hparams_sets.temporary(test_set=lambda: HParams().override("hidden_size=32")):
        hparams = get_hparams("test_set", "num_heads=2")
    assert (hparams.model.hidden_size, hparams.model.num_heads) == (32, 2)
