"""Writes a run's metrics and decoded examples to JSON lines and TensorBoard."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalars
from tensorboard.plugins.hparams import api as tensorboard_hparams

from t2t_multimodel.tf_internals import begin_session
from t2t_multimodel.training.metrics import MetricSums, mean_metrics
from t2t_multimodel.utils.console import only_informs
from t2t_multimodel.utils.files import write_atomically
from t2t_multimodel.utils.json_lines import complete_lines, json_line
from t2t_multimodel.utils.units import unit, with_unit

# Marks the rows that --schedule=evaluate adds to metrics.jsonl.
EVALUATE = {"schedule": "evaluate"}
_NAMES = {"step", "problem", "split", "time"}
_OF_TRAINER = _NAMES | mean_metrics(MetricSums(*[1.0] * 6)).keys()


class MetricsWriter:
    """Appends metrics to `output_dir/metrics.jsonl`, one JSON object per line, and writes them as TensorBoard scalars.

    Decoded examples go to `output_dir/samples.jsonl` and TensorBoard. Lines of steps after `step`, which a killed run wrote after
    its last checkpoint, are removed from both files, since these steps are done again. The rows of --schedule=evaluate are kept
    unless the run starts from the beginning.

    Args:
        output_dir: the run's folder.
        step: the number of steps done before.
        figures: further values for every row of a problem and split, by (problem, split).
    """

    def __init__(
        self, output_dir: Path | str, step: int = 0, figures: Mapping[tuple[str, str], Mapping[str, float]] | None = None
    ) -> None:
        self._figures = figures or {}
        self._paths = [Path(output_dir) / name for name in ("metrics.jsonl", "samples.jsonl")]
        self._open(lambda row: row["step"] <= step or (step > 0 and _is_of_evaluate(row)))
        self._events = tf.summary.create_file_writer(str(Path(output_dir) / "events"))
        begin_session(self._events, step + 1)
        self._start = time.monotonic()

    def _open(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Opens both files for appending, after removing the lines that are not wanted."""
        for path in filter(Path.exists, self._paths):
            _keep_rows(path, wanted)
        self._file, self._samples = (path.open("a", encoding="utf-8") for path in self._paths)

    def forget_evaluation(self, step: int) -> None:
        """Removes the trainer's rows of the evaluation on dev after `step` steps, which is done again."""
        self._file.close()
        self._samples.close()
        self._open(lambda row: row["step"] != step or row.get("split", "dev") != "dev" or _is_of_evaluate(row))
        begin_session(self._events, step)  # hides the events that a killed process wrote for `step`
        with self._events.as_default(step):
            for row in _rows(self._paths[0]):
                if row.get("step") == step:
                    figures = {name: value for name, value in row.items() if isinstance(value, float) and name not in _NAMES}
                    write_scalars(row["problem"], row["split"], figures)

    def write(self, step: int, problem: str, split: str, metrics: dict[str, float]) -> None:
        """Writes `metrics` of `problem` on `split` after `step` steps."""
        metrics = {**metrics, **self._figures.get((problem, split), {})}
        seconds = round(time.monotonic() - self._start, 2)
        row = {"step": step, "problem": problem, "split": split, "time": seconds, **metrics}
        self._file.write(json_line(row))
        self._file.flush()
        with self._tensorboard(step):
            write_scalars(problem, split, metrics)

    def write_hparams(self, values: dict[str, Any]) -> None:
        """Writes hyperparameters by name for TensorBoard's page that compares runs."""
        plain = {name: value if isinstance(value, int | float | str) else str(value) for name, value in values.items()}
        with self._tensorboard(0):
            tensorboard_hparams.hparams(plain)

    def write_layout(self, problems: Sequence[str]) -> None:
        """Writes charts for TensorBoard's page Custom Scalars: all problems' losses in one, and train beside dev per problem."""
        losses = {split: [f"^{re.escape(name)}/{split}/loss$" for name in problems] for split in ("dev", "train")}
        together = [_chart(f"loss on {split}", tags) for split, tags in losses.items()]
        apart = [_chart(name, tags) for name, tags in zip(problems, map(list, zip(*losses.values(), strict=True)), strict=True)]
        categories = [layout_pb2.Category(title="all problems", chart=together), layout_pb2.Category(title="loss", chart=apart)]
        with self._tensorboard(0):
            layout = custom_scalars.pb(layout_pb2.Layout(category=categories))
            tf.summary.experimental.write_raw_pb(layout.SerializeToString(), step=0)

    def write_expert_load(self, step: int, shares: dict[str, np.ndarray]) -> None:
        """Writes the problems' use of experts: a histogram per problem, and a picture per mixture with one row per problem.

        Args:
            step: the number of steps done.
            shares: by problem, float [mixtures, experts], which sums to 1 over the experts.
        """
        with self._tensorboard(step):
            for problem, values in shares.items():
                tf.summary.histogram(f"{problem}/train/expert_load", values)
            # A problem whose targets are labels has no mixture in the decoder.
            for mixture in range(max(map(len, shares.values()), default=0)):
                rows = np.stack([values[mixture] for values in shares.values() if len(values) > mixture])
                tf.summary.image(f"expert_load/mixture_{mixture}", _heat(rows))

    def write_samples(self, step: int, problem: str, samples: Sequence[Any]) -> None:
        """Writes decoded examples of `problem`: named tuples with `inputs`, `references` and `output`."""
        for sample in samples:
            row = {"step": step, "problem": problem, **sample._asdict()}
            self._samples.write(json_line(row))
        self._samples.flush()
        with self._tensorboard(step):
            rows = ["input|wanted|output", "---|---|---"]
            for sample in samples:
                wanted = " / ".join(map(_verbatim, sample.references))
                rows.append(f"{_verbatim(sample.inputs)}|{wanted}|{_verbatim(sample.output)}")
            tf.summary.text(f"{problem}/samples", "\n".join(rows))

    def flush(self) -> None:
        """Flushes TensorBoard's events. Before a checkpoint this makes sure that none of its steps is lost with the process."""
        self._events.flush()

    @contextlib.contextmanager
    def _tensorboard(self, step: int) -> Iterator[None]:
        """Writes TensorBoard events for `step` within; a failure there is reported and does not end the run."""
        with only_informs("what TensorBoard shows"), self._events.as_default(step):
            yield

    def close(self) -> None:
        """Flushes and closes all files."""
        self._file.close()
        self._samples.close()
        self._events.close()


def write_scalars(problem: str, split: str, metrics: dict[str, float]) -> None:
    """Writes metrics as scalars to TensorBoard's default writer, with their units as descriptions."""
    for name, value in metrics.items():
        tf.summary.scalar(f"{problem}/{split}/{name}", value, description=unit(name) or None)


def _chart(title: str, tags: Sequence[str]) -> layout_pb2.Chart:
    """Returns a chart with a line per tag; tags are regular expressions."""
    return layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=tags))


class NoMetrics(MetricsWriter):
    """Writes nothing, for a worker that is not the chief."""

    def __init__(self) -> None:
        pass

    def forget_evaluation(self, step: int) -> None:
        pass

    def write(self, step: int, problem: str, split: str, metrics: dict[str, float]) -> None:
        pass

    def write_hparams(self, values: dict[str, Any]) -> None:
        pass

    def write_layout(self, problems: Sequence[str]) -> None:
        pass

    def write_expert_load(self, step: int, shares: dict[str, np.ndarray]) -> None:
        pass

    def write_samples(self, step: int, problem: str, samples: Sequence[Any]) -> None:
        pass

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def _heat(rows: np.ndarray, size: int = 8) -> np.ndarray:
    """Returns rows [problems, experts] as a picture float32 [1, size * problems, size * experts, 1]; the largest is white."""
    scaled = rows / max(rows.max(), 1e-9)
    return np.kron(scaled, np.ones((size, size)))[None, :, :, None].astype(np.float32)


def _verbatim(text: str) -> str:
    """Returns Markdown that is shown as `text`: characters with a meaning in Markdown or HTML become character references.

    Of several blanks in a row, all but the first become non-breaking spaces.
    """
    plain = re.sub("(?<= ) |^ ", "\u00a0", text.encode(errors="replace").decode())
    return re.sub(r"[^\w ]|_", lambda found: f"&#{ord(found.group())};", plain)


def _is_of_evaluate(row: Mapping[str, Any]) -> bool:
    """Returns whether --schedule=evaluate wrote a row. Older files have no mark, but such rows have scores of decoded outputs."""
    return row.get("schedule") == "evaluate" or (row.get("split", "train") != "train" and not row.keys() <= _OF_TRAINER)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the rows of a file; lines in another form are skipped."""
    for line in complete_lines(path.read_bytes()):
        with contextlib.suppress(ValueError):
            row = json.loads(line)
            if isinstance(row, dict) and row.keys() >= _NAMES:
                yield row


def _keep_rows(path: Path, wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Rewrites the file without the rows that are not wanted, and without an incomplete last line.

    Lines in another form are kept, since another program wrote them.
    """
    kept = []
    for line in complete_lines(path.read_bytes()):
        with contextlib.suppress(ValueError, TypeError, KeyError):
            if not wanted(json.loads(line)):
                continue
        kept.append(line)
    write_atomically(path, b"".join(kept))


def formatted(metrics: Mapping[str, Any]) -> str:
    """Returns metrics on one line in the order given, with their units.

    The names that end with log_perplexity are left out: they are tensor2tensor's names for the loss.
    """
    return "  ".join(f"{name} {with_unit(name, value)}" for name, value in metrics.items() if not name.endswith("log_perplexity"))


def shortened(text: str, most: int = 60) -> str:
    """Returns `text` in quotes; if it is longer than `most` characters, its middle is left out."""
    return repr(text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 2 :]}")
