"""Tasks wait for each other, and every task that has started names the missing ones."""

import dataclasses
import socket
import threading
import time

import pytest

from t2t_multimodel.distributed.local_cluster import local_clusters
from t2t_multimodel.distributed.rendezvous import handshake
from t2t_multimodel.utils.errors import DataError


@pytest.fixture
def clusters():
    return local_clusters({"worker": 3})


def met(*tasks, timeout=20):
    """Returns each task's result, "" or an error; a task is (cluster, facts, seconds or an event after which it starts)."""
    heard = {}

    def task(place, cluster, facts, after):
        if isinstance(after, threading.Event):
            after.wait(timeout)
        else:
            time.sleep(after)
        try:
            handshake(cluster, facts, timeout)
            heard[place] = ""
        except DataError as error:
            heard[place] = str(error)

    threads = [threading.Thread(target=task, args=(place, *each)) for place, each in enumerate(tasks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [heard[place] for place in range(len(tasks))]


def say(port, text):
    """Sends a message to a port as soon as somebody listens there, which has to be soon."""
    end = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(text)
                return
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.01)


FACTS = {"steps": 3, "sizes": (1, 2)}


@pytest.mark.parametrize("delays", [(0, 0, 0), (0, 0.4, 0.8), (0.8, 0, 0.3)])
def test_tasks_that_come_in_any_order_meet_and_leave_their_ports_free(delays, clusters):
    assert met(*((cluster, FACTS, after) for cluster, after in zip(clusters, delays, strict=True))) == [""] * 3
    for address in clusters[0].addresses.values():
        socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))).close()


def test_a_worker_that_never_appears_is_named_by_all_others(clusters):
    address = clusters[2].addresses["worker 2"]
    heard = met((clusters[0], FACTS, 0), (clusters[1], FACTS, 0), timeout=1)
    assert heard[0] == heard[1]
    assert heard[0].startswith(f"worker 2 ({address}) did not appear within 1 seconds; start every task of TF_CONFIG")


def test_a_chief_that_never_appears_is_named(clusters):
    (heard,) = met((clusters[1], FACTS, 0), timeout=1)
    assert heard.startswith(f"worker 0 ({clusters[0].addresses['worker 0']}) did not appear within 1 seconds")


def test_tasks_that_were_started_differently_are_told_what_differs(clusters):
    heard = met(*((cluster, {**FACTS, "steps": 4} if cluster.index == 2 else FACTS, 0.2 * cluster.index) for cluster in clusters))
    assert heard == ["worker 0 and worker 2 were not started with the same command: steps: 3, worker 2 has 4"] * 3


def test_a_task_that_left_again_is_missing(clusters):
    port = int(clusters[0].addresses["worker 0"].rpartition(":")[2])

    message = b'{"task": "worker 2", "facts": {"steps": 3, "sizes": [1, 2]}}\n'
    leaving = threading.Thread(target=say, args=(port, message))
    leaving.start()
    heard = met((clusters[0], FACTS, 0), (clusters[1], FACTS, 0.5), timeout=2)
    leaving.join()
    assert all(text.startswith("worker 2 (") for text in heard)


def test_strangers_are_not_taken_for_tasks(clusters):
    two = local_clusters({"worker": 2})
    port = int(two[0].addresses["worker 0"].rpartition(":")[2])

    said = threading.Event()

    def talk():
        for text in (b"GET / HTTP/1.1\r\n\r\n", b"[1, 2]\n", b'{"task": 1}\n', b"\xff\xfe\n"):
            say(port, text)
        said.set()

    stranger = threading.Thread(target=talk)
    stranger.start()
    assert met((two[0], FACTS, 0), (two[1], FACTS, said)) == ["", ""]
    stranger.join()


def test_a_taken_port_is_told(clusters):
    address = clusters[1].addresses["worker 1"]
    with socket.create_server(("", int(address.rpartition(":")[2]))):
        (heard,) = met((clusters[1], FACTS, 0), timeout=1)
    assert heard == f"worker 1 cannot listen at {address}: Address already in use"


def test_one_task_alone_waits_for_nobody(clusters):
    alone = dataclasses.replace(clusters[0], jobs={"worker": clusters[0].jobs["worker"][:1]})
    assert met((alone, FACTS, 0)) == [""]
