"""A part of a problem's training data."""

import itertools

import pytest

from t2t_multimodel.config import HParams
from t2t_multimodel.data.fractions import check_fractions, fraction_lines, shard_examples
from t2t_multimodel.data.generation.generate import generate
from t2t_multimodel.data.pipeline import TrainingBatches
from t2t_multimodel.testing import fake_problem

COPY = fake_problem("copy", [{"inputs": f"{i:03}", "targets": f"{i:03}"} for i in range(90)])
BACK = COPY.reverse("to_english")
HPARAMS = HParams().override("batch_tokens=80,max_length=20,shuffle_buffer=40")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generate([COPY], folder, folder, 300, num_shards=3, report=lambda line: None)
    return folder


def seen(data_dir, fractions, count=30, position=(0, 0), problem=COPY):
    batches = TrainingBatches(problem, data_dir, HPARAMS.override(train_fractions=fractions), 1, position)
    rows = (batch["inputs"].numpy() for batch in itertools.islice(batches, count))
    return [tuple(tuple(row[row != 0].tolist()) for row in batch) for batch in rows], batches


def test_a_fraction_reads_always_the_same_examples_and_a_larger_one_holds_them(data_dir):
    tenth, half, whole = (set().union(*seen(data_dir, text, 60)[0]) for text in ("copy:0.1", "copy:0.5", ""))
    assert tenth < half < whole and len(whole) == 90
    assert (len(tenth), len(half)) == tuple(
        sum(shard_examples(COPY, data_dir, HPARAMS.override(train_fractions=f"copy:{part}"))) for part in (0.1, 0.5)
    )
    assert 9 <= len(tenth) < 9 + 3 and 45 <= len(half) < 45 + 3  # each of the three shards is rounded up
    assert set().union(*seen(data_dir, "py:0.1", 60, problem=BACK)[0]) == tenth  # a reversed problem reads the same records


def test_a_run_on_a_fraction_goes_on_where_it_stopped(data_dir):
    first, batches = seen(data_dir, "copy:0.3", 20)
    rest, _ = seen(data_dir, "copy:0.3", 20, batches.position)
    assert first + rest == seen(data_dir, "copy:0.3", 40)[0]


def test_what_is_used_is_said(data_dir):
    assert fraction_lines([COPY, BACK], data_dir, HPARAMS) == []
    used = sum(shard_examples(COPY, data_dir, HPARAMS.override(train_fractions="copy:0.2")))
    hparams = HPARAMS.override(train_fractions="copy:0.2 _rev:1")
    assert fraction_lines([COPY, BACK], data_dir, hparams) == [f"copy: train_fractions uses {used} of 90 training examples"]


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ("parse:0.1", "no problem's name contains 'parse'; there are: copy, topic"),
        *[(item, f"'{item}' should be a part of a name and a number above 0") for item in ("copy:0", "copy", "copy:2", ":1")],
    ],
)
def test_mistakes_are_told(fractions, message):
    with pytest.raises(ValueError, match=f"^train_fractions: {message}"):
        check_fractions(["copy", "topic"], fractions)
