"""The processes of asynchronous training: the clusters that fit, and the messages about missing tasks."""

import socket

import pytest

from t2t_multimodel.distributed.cluster import Cluster
from t2t_multimodel.distributed.parameter_server import ParameterServers
from t2t_multimodel.distributed.strategies import resolve_strategy
from t2t_multimodel.utils.errors import DataError


def cluster(**jobs):
    addresses = {job: tuple(f"127.0.0.1:{port}" for port in ports) for job, ports in jobs.items()}
    return Cluster(addresses, next(iter(jobs)), 0)


def test_a_chief_workers_and_parameter_servers_are_needed():
    fits = cluster(chief=[1], worker=[2, 3], ps=[4])
    assert resolve_strategy("auto", fits) == resolve_strategy("parameter_server", fits) == "parameter_server"
    with pytest.raises(DataError, match="needs TF_CONFIG in the environment of each task, or --local_workers=N"):
        resolve_strategy("parameter_server", None)


MISFITS = [
    ({"worker": [1, 2]}, "it has 2 worker"),
    ({"chief": [1], "worker": [2]}, "it has 1 chief, 1 worker"),
    ({"chief": [1, 2], "worker": [3], "ps": [4]}, "it has 2 chief, 1 worker, 1 ps"),
    ({"chief": [1], "worker": [3], "ps": [4], "evaluator": [5]}, "it has 1 chief, 1 worker, 1 ps, 1 evaluator"),
]


@pytest.mark.parametrize(("jobs", "found"), MISFITS, ids=str)
def test_another_cluster_is_refused_in_one_line(jobs, found):
    with pytest.raises(DataError, match=f"needs a TF_CONFIG with 1 chief, workers and ps; {found}$"):
        resolve_strategy("parameter_server", cluster(**jobs))


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def nobody():
    """Returns a port at which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


def test_a_task_that_does_not_appear_is_named(listener, nobody):
    there = listener.getsockname()[1]
    with pytest.raises(DataError) as error:
        ParameterServers(cluster(chief=[1], worker=[there, nobody], ps=[there]), seconds=0.3)
    assert str(error.value).startswith(f"worker 1 (127.0.0.1:{nobody}) did not appear within 0.3 seconds; start every task")


def test_a_lost_task_is_told_once_and_its_return_too(listener, nobody):
    def at(port):
        return cluster(chief=[1], worker=[port])

    servers = ParameterServers.__new__(ParameterServers)  # connected to nobody
    servers._cluster, servers._lost = at(nobody), set()
    said = []
    servers.report_lost(said.append)
    servers.report_lost(said.append)
    assert said == [f"worker 0 (127.0.0.1:{nobody}) does not answer; its steps are done by other workers, or wait for one"]
    servers._cluster = at(listener.getsockname()[1])
    servers.report_lost(said.append)
    assert said[1:] == [f"worker 0 ({servers._cluster.addresses['worker 0']}) answers again"]
