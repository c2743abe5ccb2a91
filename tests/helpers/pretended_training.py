"""Steps that only pretend to train, for tests of the loop around them, and readers of the files that such a run writes."""

import json
import types

import tensorflow as tf

from t2t_multimodel.features import Label
from t2t_multimodel.testing import fake_problem
from t2t_multimodel.training.metrics import MetricSums
from t2t_multimodel.training.steps import StepResult

COPY = fake_problem("copy", [{"inputs": "abc"[: i % 3 + 1], "targets": "xyz"[: i % 3 + 1]} for i in range(12)])
TOPIC = fake_problem(
    "topic", [{"inputs": "b" * (i + 1), "targets": "uv"[i % 2]} for i in range(4)], targets=Label(("u", "v"), "uv")
)


class FakeModel:
    """A model of one weight, which counts the steps."""

    def __init__(self):
        self.number = tf.Variable(0.0)
        self.trainable_variables = self.variables = [types.SimpleNamespace(path="model/number", value=self.number)]
        self.non_trainable_variables = []
        self.specs = {}


class FakeSteps:
    """Stands in for StepFunctions: each step adds 1 to the model's weight; the loss is 1 / step, or what `losses` has.

    `at` has by step a function to call; "evaluate" is called with each batch of an evaluation.
    """

    def __init__(self, model, losses=None, at=None):
        self.model, self.losses, self.at, self.trained, self.evaluated = model, losses or {}, at or {}, [], []

    def train(self, name, batch, rate, step):
        self.trained.append((name, rate, step))
        self.model.number.assign_add(1.0)
        self.at.get(step, lambda: None)()
        loss, norm = self.losses.get(step, (1 / step, 0.5))
        return StepResult(*map(tf.constant, (loss, norm, 10.0, 0.3, 0.4, [[0.25, 0.75]])))

    def train_on_several(self, drawn, rate, step):
        results = [self.train(name, batches, rate, step) for name, batches in drawn]
        self.model.number.assign_add(1.0 - len(drawn))
        return results

    def evaluate(self, name, batch):
        self.evaluated.append(name)
        self.at.get("evaluate", lambda: None)()
        return MetricSums(*map(tf.constant, (6.0, 2.0, 3.0, 4.0, 1.0, 2.0)))


def written(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def saved(folder):
    return sorted(int(path.stem.partition("-")[2]) for path in folder.glob("ckpt-*.index"))
