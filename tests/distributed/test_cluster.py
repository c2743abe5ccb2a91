"""The cluster of TF_CONFIG, and the one-line error for each way to get it wrong."""

import json

import pytest

from t2t_multimodel.distributed.cluster import Cluster, cluster_of_environment
from t2t_multimodel.utils.errors import DataError

WORKERS = {"worker": ["one:1", "two:2"]}


def read(config):
    return cluster_of_environment({"TF_CONFIG": config if isinstance(config, str) else json.dumps(config)})


def test_a_task_knows_its_cluster():
    cluster = read({"cluster": WORKERS, "task": {"type": "worker", "index": 1}, "environment": "cloud"})
    assert cluster == Cluster({"worker": ("one:1", "two:2")}, "worker", 1)
    assert (cluster.name, cluster.chief, cluster.is_chief) == ("worker 1", "worker 0", False)
    assert cluster.addresses == {"worker 0": "one:1", "worker 1": "two:2"}
    assert str(cluster) == "worker 1 of worker 0 (one:1), worker 1 (two:2)"
    assert read(cluster.tf_config()) == cluster


def test_the_chief_is_the_job_of_that_name_or_the_first_worker():
    jobs = {"ps": ["p:1"], "worker": ["w:1", "w:2"], "chief": ["c:1"]}
    cluster = read({"cluster": jobs, "task": {"type": "worker", "index": "0"}})
    assert (cluster.chief, cluster.is_chief, list(cluster.addresses)[0]) == ("chief 0", False, "chief 0")
    cluster = read({"cluster": jobs | {"chief": []}, "task": {"type": "worker", "index": 0}})
    assert (cluster.chief, cluster.is_chief) == ("worker 0", True)


@pytest.mark.parametrize("text", ["", " ", "{}", '{"cluster": {}, "task": {"type": "worker", "index": 0}}'])
def test_without_tasks_there_is_no_cluster(text):
    assert read(text) is None
    assert cluster_of_environment({}) is None


TASK = {"type": "worker", "index": 0}
MISTAKES = [
    ("{cluster", "TF_CONFIG is no JSON: "),
    ("[1]", 'TF_CONFIG should be an object with "cluster" and "task", got [1]'),
    ({"cluster": ["one:1"], "task": TASK}, '"cluster" should give each job a list of addresses'),
    ({"cluster": {"worker": "one:1"}, "task": TASK}, '"cluster" should give each job a list of addresses'),
    ({"cluster": {"worker": ["one:1", "two"]}, "task": TASK}, "the address of worker 1 should be host:port, got 'two'"),
    ({"cluster": {"worker": ["one:99999"]}, "task": TASK}, "the address of worker 0 should be host:port, got 'one:99999'"),
    ({"cluster": {"worker": [7]}, "task": TASK}, "the address of worker 0 should be host:port, got 7"),
    ({"cluster": {"worker": ["a:1"], "ps": ["a:1"]}, "task": TASK}, "worker 0 and ps 0 have the same address a:1"),
    ({"cluster": WORKERS}, '"task" should have a "type" out of worker, got None'),
    ({"cluster": WORKERS, "task": {"type": "evaluator", "index": 0}}, "a \"type\" out of worker, got 'evaluator'"),
    ({"cluster": WORKERS, "task": {"type": ["worker"], "index": 0}}, "a \"type\" out of worker, got ['worker']"),
    ({"cluster": WORKERS, "task": {"type": "worker"}}, '"task" should have an "index" from 0 to 1, got None'),
    ({"cluster": WORKERS, "task": {"type": "worker", "index": 2}}, '"index" from 0 to 1, got 2'),
    ({"cluster": WORKERS, "task": {"type": "worker", "index": -1}}, '"index" from 0 to 1, got -1'),
]


@pytest.mark.parametrize(("config", "message"), MISTAKES, ids=str)
def test_a_malformed_one_is_told_in_one_line(config, message):
    with pytest.raises(DataError) as error:
        read(config)
    assert message in str(error.value)
    assert str(error.value).startswith("TF_CONFIG") and "\n" not in str(error.value)
