"""Fixed shapes: padded batches train and evaluate as the batches themselves do, and a step's shapes are all known."""

import dataclasses
import itertools

import golden
import numpy as np
import pytest
import tensorflow as tf

from t2t_multimodel.data.fixed_shapes import declared_shapes, pad_batch
from t2t_multimodel.data.pipeline import TrainingBatches
from t2t_multimodel.data.problem_file.load import read_problem_file
from t2t_multimodel.distributed.sharding import in_parts
from t2t_multimodel.layers import dropout, mixture_of_experts
from t2t_multimodel.runs import run_config
from t2t_multimodel.runs.checks import checked_data
from t2t_multimodel.training.checkpoints import by_path
from t2t_multimodel.training.optimizer import make_optimizer
from t2t_multimodel.training.steps import StepFunctions, StepResult

# So few slots that most steps need further passes.
FEW_SLOTS = "fixed_shapes=true,moe_capacity_factor=0.6"
JOINT = "problems_per_step=5,accumulate_steps=2,target_noise=0.2"
NAMES = tuple(golden.KINDS.values())


def by_place(draw, shape):
    """Returns pseudo-random numbers of [B, L, ...] in [0, 1) that follow from their place alone, whatever B and L are."""
    places = tf.add_n(
        [
            tf.reshape(tf.cast(tf.range(size), tf.float32) * factor, [-1 if i == axis else 1 for i in range(len(shape))])
            + tf.zeros(shape)
            for axis, (size, factor) in enumerate(zip(shape, (0.7548, 0.5698, 0.3819, 0.6180), strict=False))
        ]
    )
    return tf.math.floormod(tf.sin(places * 12.9898) * 437.5, 1.0)


@pytest.fixture
def noise_by_place(monkeypatch):
    """XLA draws other noise."""
    for module in (dropout, mixture_of_experts):
        monkeypatch.setattr(module, "draw_for_replica", by_place)


@pytest.fixture(scope="module")
def described():
    problems = {problem.name: problem for problem in read_problem_file(golden.MADE / "problems.toml")}
    return checked_data([problems[name] for name in NAMES], "golden", golden.HPARAMS, golden.MADE / "data")


def make_steps(config, changes):
    """Returns the functions of a new model of the golden losses, and the model; all such models begin alike."""
    hparams = golden.HPARAMS.override(changes)
    model = run_config.build_model(dataclasses.replace(config, hparams=hparams))
    optimizer = make_optimizer(in_parts(by_path(model.trainable_variables)), hparams)
    return StepFunctions(model, optimizer, hparams), model


@pytest.fixture(scope="module")
def batches(described):
    """Returns two batches of each problem."""
    read = (TrainingBatches(problem, golden.MADE / "data", golden.HPARAMS, 1) for problem in described[0])
    return {name: list(itertools.islice(each, 2)) for name, each in zip(NAMES, read, strict=True)}


def padded(batches, described, training=True):
    """Returns the same batches in fixed shapes."""
    specs = {problem.name: problem.spec() for problem in described[0]}
    hparams = golden.HPARAMS.override(FEW_SLOTS)
    return {name: [pad_batch(batch, specs[name], hparams, training) for batch in each] for name, each in batches.items()}


def train_on_each(steps, batches):
    """Trains a step on each batch of each problem, and returns what the steps report."""
    found = []
    for name, each in batches.items():
        for batch in each:
            found.append(steps.train(name, batch, 0.005, len(found) + 1))
    return found


def test_each_kind_and_the_joint_set_train_as_without_padding(described, batches):
    """Noise and dropout are on: they are the same too."""
    results, weights, evaluated = [], [], []
    for changes, given, eval_batches in (
        (JOINT, batches, batches),
        (f"{JOINT},{FEW_SLOTS}", padded(batches, described), padded(batches, described, False)),
    ):
        steps, model = make_steps(described[1], changes)
        found = train_on_each(steps, given)
        found += steps.train_on_several(list(given.items()), 0.005, len(found) + 1)
        results.append([[np.asarray(value) for value in result] for result in found])
        weights.append([np.asarray(variable) for variable in model.trainable_variables])
        evaluated.append([[float(value) for value in steps.evaluate(name, eval_batches[name][0])] for name in NAMES])
    for number, (plain, fixed) in enumerate(zip(*results, strict=True)):
        for field, wanted, got in zip(StepResult._fields, plain, fixed, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6, err_msg=f"{field} of step {number}")
    for wanted, got in zip(*weights, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-4)
    np.testing.assert_allclose(*evaluated, rtol=1e-4)


def graphs(graph):
    """Yields a graph and the graphs of its loops and branches."""
    yield graph
    for inner in graph._functions.values():
        yield from graphs(inner.graph) if hasattr(inner, "graph") else ()


def unknown_shapes(graph):
    """Returns the tensors of unknown shape, apart from vectors of axes and from what a loop hands on but does not read."""
    return [
        f"{tensor.name} of {operation.type}: {tensor.shape}"
        for each in graphs(graph)
        for operation in each.get_operations()
        for tensor in operation.outputs
        if tensor.dtype.is_floating and operation.type != "Placeholder" and not tensor.shape.is_fully_defined()
    ]


def test_functions_are_as_many_as_shapes(described, batches):
    steps, _ = make_steps(described[1], FEW_SLOTS + ",xla=true")
    fixed = padded(batches, described)
    made = []
    steps._make_train = lambda problem, signature: made.append((problem, signature))
    for name, each in fixed.items():
        for batch in each:
            steps._function("train", name, batch, steps._make_train)
    shapes = {(name, *(tuple(value.shape) for value in batch.values())) for name, each in fixed.items() for batch in each}
    assert len(made) == len(shapes) <= sum(declared_shapes(p.spec(), golden.HPARAMS).number for p in described[0])


def test_no_shape_of_a_step_is_unknown(described, batches):
    steps, _ = make_steps(described[1], FEW_SLOTS + ",xla=true")
    for name in ("my_speech", "my_classes"):
        function = steps._function("train", name, padded(batches, described)[name][0], steps._make_train)
        graph = function.get_concrete_function(*function.input_signature).graph
        assert {"While", "StatelessWhile"} & {operation.type for operation in graph.get_operations()}
        assert not unknown_shapes(graph)


@pytest.mark.slow
def test_the_whole_step_compiles_and_trains_as_without_xla(described, batches, noise_by_place):
    """Compiling takes minutes on a CPU."""
    name, found = "my_speech", []
    for changes, given in ((FEW_SLOTS + ",xla=true", padded(batches, described)[name]), ("", batches[name])):
        steps, _ = make_steps(described[1], changes)
        results = [steps.train(name, batch, 0.005, step) for step, batch in enumerate([*given, *given], start=1)]
        found.append([(float(result.loss), float(result.gradient_norm), float(result.tokens)) for result in results])
    np.testing.assert_allclose(*found, rtol=1e-3)
