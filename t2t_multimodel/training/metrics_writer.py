"""Where a run's figures go: `metrics.jsonl` and TensorBoard."""

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
from tensorboard.plugins.hparams import api as tensorboard_hparams

from t2t_multimodel.tf_internals import begin_session
from t2t_multimodel.training.metrics import MetricSums, measures_of
from t2t_multimodel.utils.console import only_informs
from t2t_multimodel.utils.files import write_atomically
from t2t_multimodel.utils.json_lines import complete_lines, json_line
from t2t_multimodel.utils.units import unit, with_unit

# Marks the rows that --schedule=evaluate adds to metrics.jsonl.
EVALUATE = {"schedule": "evaluate"}
_NAMES = {"step", "problem", "split", "time"}
_OF_TRAINER = _NAMES | measures_of(MetricSums(*[1.0] * 6)).keys()


class MetricsWriter:
    """Appends one JSON object a line to `output_dir/metrics.jsonl` and writes the same figures as TensorBoard scalars.

    Decoded examples go to `output_dir/samples.jsonl` and TensorBoard. Lines of steps behind `step`, which a killed run wrote
    after its last checkpoint, are taken out of both files: those steps come again. The rows of --schedule=evaluate stay unless
    the run begins anew.

    Args:
        output_dir: of the run.
        step: the steps done before.
        figures: by problem and split, what every row of theirs says besides.
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
        """Both files for appending, of whose lines the wanted ones are left."""
        for path in filter(Path.exists, self._paths):
            _keep_rows(path, wanted)
        self._file, self._samples = (path.open("a", encoding="utf-8") for path in self._paths)

    def forget_evaluation(self, step: int) -> None:
        """Takes out the trainer's rows of an evaluation on dev after `step` steps; it is done again."""
        self._file.close()
        self._samples.close()
        self._open(lambda row: row["step"] != step or row.get("split", "dev") != "dev" or _is_of_evaluate(row))
        begin_session(self._events, step)  # of `step`, a process that was killed wrote figures
        with self._events.as_default(step):
            for row in _rows(self._paths[0]):
                if row.get("step") == step:
                    figures = {name: value for name, value in row.items() if isinstance(value, float) and name not in _NAMES}
                    write_scalars(row["problem"], row["split"], figures)

    def write(self, step: int, problem: str, split: str, metrics: dict[str, float]) -> None:
        """Records `metrics` of `problem` on `split` after `step` steps."""
        metrics = {**metrics, **self._figures.get((problem, split), {})}
        seconds = round(time.monotonic() - self._start, 2)
        row = {"step": step, "problem": problem, "split": split, "time": seconds, **metrics}
        self._file.write(json_line(row))
        self._file.flush()
        with self._tensorboard(step):
            write_scalars(problem, split, metrics)

    def write_hparams(self, values: dict[str, Any]) -> None:
        """What TensorBoard's page of hyperparameters shows: `values` by name, one run beside another."""
        plain = {name: value if isinstance(value, int | float | str) else str(value) for name, value in values.items()}
        with self._tensorboard(0):
            tensorboard_hparams.hparams(plain)

    def write_expert_load(self, step: int, shares: dict[str, np.ndarray]) -> None:
        """Which experts the problems use, as histograms and as a picture of a row a problem for each mixture.

        shares: of each problem, float [mixtures, experts], summing to 1 over the experts.
        """
        with self._tensorboard(step):
            for problem, values in shares.items():
                tf.summary.histogram(f"{problem}/train/expert_load", values)
            # a problem without decoder has no decoder's mixture
            for mixture in range(max(map(len, shares.values()), default=0)):
                rows = np.stack([values[mixture] for values in shares.values() if len(values) > mixture])
                tf.summary.image(f"expert_load/mixture_{mixture}", _heat(rows))

    def write_samples(self, step: int, problem: str, samples: Sequence[Any]) -> None:
        """Decoded examples of `problem`: anything with `inputs`, `references` and `output`."""
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
        """Writes out what TensorBoard is to read, so that nothing of before a checkpoint is lost with this process."""
        self._events.flush()

    @contextlib.contextmanager
    def _tensorboard(self, step: int) -> Iterator[None]:
        """What is written within is of `step`; a failure there costs TensorBoard's view alone."""
        with only_informs("what TensorBoard shows"), self._events.as_default(step):
            yield

    def close(self) -> None:
        """Flushes and closes all."""
        self._file.close()
        self._samples.close()
        self._events.close()


def write_scalars(problem: str, split: str, metrics: dict[str, float]) -> None:
    """Figures as scalars of TensorBoard's default writer; what their cards describe is the unit."""
    for name, value in metrics.items():
        tf.summary.scalar(f"{problem}/{split}/{name}", value, description=unit(name) or None)


class NoMetrics(MetricsWriter):
    """What a worker that is not the chief writes: nothing."""

    def __init__(self) -> None:
        pass

    def forget_evaluation(self, step: int) -> None:
        pass

    def write(self, step: int, problem: str, split: str, metrics: dict[str, float]) -> None:
        pass

    def write_hparams(self, values: dict[str, Any]) -> None:
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
    """rows [problems, experts] as a picture float32 [1, size * problems, size * experts, 1], the largest share white."""
    scaled = rows / max(rows.max(), 1e-9)
    return np.kron(scaled, np.ones((size, size)))[None, :, :, None].astype(np.float32)


def _verbatim(text: str) -> str:
    """Returns Markdown that is shown as `text`: every sign that may have a meaning in Markdown or HTML is a character reference.

    Blanks beyond the first of several do not break and do not collapse.
    """
    plain = re.sub("(?<= ) |^ ", "\u00a0", text.encode(errors="replace").decode())
    return re.sub(r"[^\w ]|_", lambda found: f"&#{ord(found.group())};", plain)


def _is_of_evaluate(row: Mapping[str, Any]) -> bool:
    """Whether --schedule=evaluate wrote a row; earlier versions did not mark theirs, which have scores of decoded outputs."""
    return row.get("schedule") == "evaluate" or (row.get("split", "train") != "train" and not row.keys() <= _OF_TRAINER)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file, without lines that somebody else wrote."""
    for line in complete_lines(path.read_bytes()):
        with contextlib.suppress(ValueError):
            row = json.loads(line)
            if isinstance(row, dict) and row.keys() >= _NAMES:
                yield row


def _keep_rows(path: Path, wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Rewrites the file without the rows that are not wanted, and without a last line that was cut off.

    A line that holds no row of ours is kept: somebody else wrote it.
    """
    kept = []
    for line in complete_lines(path.read_bytes()):
        with contextlib.suppress(ValueError, TypeError, KeyError):
            if not wanted(json.loads(line)):
                continue
        kept.append(line)
    write_atomically(path, b"".join(kept))


def formatted(metrics: Mapping[str, Any]) -> str:
    """Returns figures in one line, in the order given, each once and scores with their scales.

    log_perplexity is the loss under tensor2tensor's name.
    """
    return "  ".join(f"{name} {with_unit(name, value)}" for name, value in metrics.items() if not name.endswith("log_perplexity"))


def shortened(text: str, most: int = 60) -> str:
    """text in quotes, its middle left out where it is long."""
    return repr(text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 2 :]}")
