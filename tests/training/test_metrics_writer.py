"""metrics.jsonl and TensorBoard's events, and progress on a terminal and in a file."""

import html
import json
import re
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

from t2t_multimodel.training.metrics_writer import MetricsWriter, formatted, shortened


def test_a_line_a_record_is_appended(tmp_path):
    for step in (1, 2):
        writer = MetricsWriter(tmp_path, step - 1)
        writer.write(step, "copy", "dev", {"loss": 1.5})
        writer.close()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(row["step"], row["problem"], row["split"], row["loss"]) for row in rows] == [
        (1, "copy", "dev", 1.5),
        (2, "copy", "dev", 1.5),
    ]
    assert all(row["time"] >= 0 for row in rows)
    assert len(list((tmp_path / "events").iterdir())) == 2


def test_tensorboard_that_fails_costs_no_figure(tmp_path, monkeypatch, capsys):
    def fails(*args, **options):
        raise tf.errors.ResourceExhaustedError(None, None, "no room")

    writer = MetricsWriter(tmp_path)
    monkeypatch.setattr(tf.summary, "scalar", fails)
    writer.write(1, "copy", "dev", {"loss": 1.5})
    writer.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["loss"] == 1.5
    assert capsys.readouterr().err == "warning: what TensorBoard shows is left out: ResourceExhaustedError: no room\n"


class Example(NamedTuple):
    inputs: str
    references: list
    output: str


def events(output_dir):
    """Returns TensorBoard's tensors by (step, tag)."""
    files = sorted((output_dir / "events").iterdir())
    found = [value for file in files for event in EventFileLoader(str(file)).Load() for value in with_step(event)]
    return {(step, value.tag): value for step, value in found}


def with_step(event):
    return [(event.step, value) for value in event.summary.value]


def read_back(output_dir, tag):
    """Returns the steps and values of a tag as TensorBoard reads them without its fast loader."""
    accumulator = EventAccumulator(str(output_dir / "events"), {"tensors": 0})
    accumulator.Reload()
    return [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in accumulator.Tensors(tag)]


def test_tensorboard_shows_all_losses_in_one_chart_and_train_beside_dev(tmp_path):
    writer = MetricsWriter(tmp_path)
    writer.write_layout(["copy", "turn"])
    writer.close()
    content = events(tmp_path)[0, "custom_scalars__config__"].tensor.string_val[0]
    charts = [chart for category in layout_pb2.Layout.FromString(content).category for chart in category.chart]
    assert {chart.title: list(chart.multiline.tag) for chart in charts} == {
        "loss on dev": ["^copy/dev/loss$", "^turn/dev/loss$"],
        "loss on train": ["^copy/train/loss$", "^turn/train/loss$"],
        "copy": ["^copy/dev/loss$", "^copy/train/loss$"],
        "turn": ["^turn/dev/loss$", "^turn/train/loss$"],
    }


def test_steps_of_a_killed_run_that_come_again_are_in_tensorboard_once(tmp_path):
    first = MetricsWriter(tmp_path)
    for step in (1, 2, 3):
        first.write(step, "copy", "train", {"loss": 1.0 / step})
    first.flush()  # and no close: the process is killed
    again = MetricsWriter(tmp_path, 2)
    for step in (3, 4):
        again.write(step, "copy", "train", {"loss": 2.0 / step})
    again.close()
    first.close()
    assert read_back(tmp_path, "copy/train/loss") == [(1, 1.0), (2, 0.5), (3, pytest.approx(2 / 3)), (4, 0.5)]


def test_an_evaluation_that_is_done_again_is_in_tensorboard_once(tmp_path):
    first = MetricsWriter(tmp_path)
    for step in (1, 2):
        first.write(step, "copy", "train", {"loss": 0.5})
        first.write(step, "copy", "dev", {"loss": 1.0})
    first.close()
    again = MetricsWriter(tmp_path, 2)
    again.forget_evaluation(2)
    again.write(2, "copy", "dev", {"loss": 4.0})
    again.close()
    assert read_back(tmp_path, "copy/train/loss") == [(1, 0.5), (2, 0.5)]
    assert read_back(tmp_path, "copy/dev/loss") == [(1, 1.0), (2, 4.0)]


def test_expert_load_is_a_histogram_a_problem_and_a_picture_a_mixture(tmp_path):
    writer = MetricsWriter(tmp_path)
    shares = np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
    writer.write_expert_load(4, {"class": shares[:1], "copy": shares})
    writer.close()
    found = events(tmp_path)
    tags = {"class/train/expert_load", "copy/train/expert_load", "expert_load/mixture_0", "expert_load/mixture_1"}
    assert found.keys() == {(4, tag) for tag in tags}
    for mixture, problems in ((0, 2), (1, 1)):
        encoded = found[4, f"expert_load/mixture_{mixture}"].tensor.string_val[2]
        pixels = tf.io.decode_png(encoded).numpy()[::8, ::8, 0]  # a square of 8 pixels each
        np.testing.assert_allclose(
            pixels, np.round(255 * shares[mixture] / shares[mixture].max())[None].repeat(problems, 0), atol=1
        )


def test_samples_are_lines_of_their_own_and_a_table(tmp_path):
    for step, begun in ((1, 0), (2, 1), (3, 1)):
        writer = MetricsWriter(tmp_path, begun)
        writer.write_samples(step, "copy", [Example("a|b", ["x", "y"], "ä")])
        writer.close()
    rows = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows == [{"step": at, "problem": "copy", "inputs": "a|b", "references": ["x", "y"], "output": "ä"} for at in (1, 3)]
    table = events(tmp_path)[3, "copy/samples"].tensor.string_val[0].decode().split("\n")
    assert table == ["input|wanted|output", "---|---|---", "a&#124;b|x / y|ä"]


BLOCKS = ["<div>a</div>", "</table>", "# a", "1. a", "- a", "a|b", "  a  b"]
SHOWN = [*BLOCKS, "**b** _c_ `d`", "[a](http://b.c) <http://d.e>", "&amp; &lt;", "a\\b", "中 é ¿"]


@pytest.mark.filterwarnings("ignore:html5lib's sanitizer is deprecated")
def test_tensorboard_shows_samples_as_they_are(tmp_path):
    from tensorboard.plugin_util import markdown_to_safe_html

    writer = MetricsWriter(tmp_path)
    writer.write_samples(1, "copy", [Example(text, [text], text) for text in SHOWN])
    writer.close()
    page = markdown_to_safe_html(events(tmp_path)[1, "copy/samples"].tensor.string_val[0])
    cells = [html.unescape(cell).replace("\u00a0", " ") for cell in re.findall("<td>(.*?)</td>", page, re.DOTALL)]
    assert cells == [text for text in SHOWN for _ in range(3)]


def test_hyperparameters_are_kept_with_their_types(tmp_path):
    writer = MetricsWriter(tmp_path)
    writer.write_hparams({"rate": 0.5, "steps": 3, "sizes": (1, 2)})
    writer.close()
    (value,) = [value for (_, tag), value in events(tmp_path).items() if tag.endswith("session_start_info")]
    kept = plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content).session_start_info.hparams
    assert (kept["rate"].number_value, kept["steps"].number_value, kept["sizes"].string_value) == (0.5, 3, "(1, 2)")


def test_long_texts_are_shortened_in_the_middle():
    assert shortened("abc") == "'abc'"
    assert shortened("a" * 50 + "b" * 50, 10) == "'aaaaa ... bbbbb'"


def test_lines_behind_the_step_a_run_goes_on_from_are_taken_out(tmp_path):
    writer = MetricsWriter(tmp_path)
    for step in (1, 2, 3):
        writer.write(step, "copy", "dev", {"loss": 1.5})
    writer.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1, "cut')
    MetricsWriter(tmp_path, 2).close()
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [1, 2]


def test_rows_survive_any_text_in_them(tmp_path):
    texts = ["a\u2028b\u2029c\x85d\x0b\x0c\x1c", "\ud800", "Stra\u00dfe"]
    writer = MetricsWriter(tmp_path)
    writer.write_samples(1, "copy", [Example(text, [text], text) for text in texts])
    writer.close()
    with (tmp_path / "samples.jsonl").open("ab") as file:
        earlier = {"step": 1, "problem": "copy", "inputs": "a\u2028b", "references": [""], "output": ""}
        file.write(json.dumps(earlier, ensure_ascii=False).encode() + b"\n")
        file.write('{"step": 1, "inputs": "\u00df'.encode()[:-1])  # a kill cut a letter in two
    MetricsWriter(tmp_path, 1).close()
    rows = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_bytes().splitlines()]
    assert [row["inputs"] for row in rows] == [*texts, "a\u2028b"]


SCORED = {"step": 2, "problem": "copy", "split": "dev", "time": 1.0, "loss": 1.0}


@pytest.mark.parametrize("row", [{**SCORED, "schedule": "evaluate"}, {**SCORED, "bleu": 30.0}], ids=["marked", "earlier"])
def test_scores_of_evaluate_survive_the_next_training(row, tmp_path):
    writer = MetricsWriter(tmp_path)
    writer.write(2, "copy", "dev", {"loss": 1.5})
    writer.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    writer = MetricsWriter(tmp_path, 2)
    writer.forget_evaluation(2)
    writer.close()
    MetricsWriter(tmp_path, 1).close()  # the checkpoint of step 2 is gone: it comes again
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [row]
    MetricsWriter(tmp_path, 0).close()  # another run begins
    assert (tmp_path / "metrics.jsonl").read_text() == ""


def test_what_others_wrote_between_the_rows_is_kept(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('# a note\n[1]\n{"wer": 3}\n{"step": 9}\n')
    writer = MetricsWriter(tmp_path, 1)
    writer.forget_evaluation(1)
    writer.close()
    assert (tmp_path / "metrics.jsonl").read_text() == '# a note\n[1]\n{"wer": 3}\n'


def test_figures_are_shown_in_order():
    measures = {"loss": 1.23456, "log_perplexity": 1.23456, "neg_log_perplexity": -1.23456, "accuracy": 0.5}
    assert formatted(measures) == "loss 1.235  accuracy 0.5"
    assert formatted({"examples": 180_000.0}) == "examples 180,000"
