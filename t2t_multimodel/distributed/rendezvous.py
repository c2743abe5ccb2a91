"""The start of a cluster: its tasks wait for each other and check that they were started with the same command.

TensorFlow itself waits silently for a missing task, and tasks that were started differently wait for each other forever.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from t2t_multimodel.distributed.cluster import Cluster
from t2t_multimodel.utils.errors import DataError

_RETRY_SECONDS = 0.2
_GREETING_SECONDS = 5.0  # for a message to arrive
_LONGEST = 2**20  # most bytes of a message


def handshake(cluster: Cluster, facts: Mapping[str, Any], timeout: float) -> None:
    """Waits until every task of the cluster has called this function with the same `facts`.

    The chief listens at its address until the others have connected, then answers them all. The ports are free again afterwards.

    Args:
        cluster: the cluster and this task.
        facts: values that must be the same in all tasks and can be written as JSON.
        timeout: seconds that other tasks may start later than this one.

    Raises:
        DataError: a task did not appear or has other facts, or this task's port is taken. Every task that appeared raises it.
    """
    facts = json.loads(json.dumps(facts))  # the form in which the other tasks' facts arrive, for example with lists for tuples
    with _listening(cluster) as listener:
        if cluster.is_chief:
            verdict = _gather(cluster, listener, facts, timeout)
    if not cluster.is_chief:
        verdict = _report(cluster, facts, timeout)
    if verdict:
        raise DataError(verdict)


def _listening(cluster: Cluster) -> socket.socket:
    """Returns a server at this task's port, on all interfaces, like TensorFlow's server afterwards."""
    address = cluster.addresses[cluster.name]
    try:
        return socket.create_server(("", host_and_port(address)[1]), backlog=len(cluster.addresses))
    except OSError as error:
        raise DataError(f"{cluster.name} cannot listen at {address}: {os.strerror(error.errno or 0)}") from None


def _gather(cluster: Cluster, listener: socket.socket, facts: Mapping[str, Any], timeout: float) -> str:
    """Does the chief's part; returns why the cluster cannot start, or ""."""
    end = time.monotonic() + timeout
    with contextlib.ExitStack() as stack:
        connected: dict[str, socket.socket] = {}
        while True:
            connected = {name: connection for name, connection in connected.items() if _is_open(connection)}
            missing = [name for name in cluster.addresses if name not in connected and name != cluster.chief]
            verdict = missing_tasks(cluster, missing, timeout) if missing else ""
            if not missing or time.monotonic() >= end:
                break
            listener.settimeout(_RETRY_SECONDS)
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # nobody connected, or a foreign program
                connection = stack.enter_context(listener.accept()[0])
                connection.settimeout(_GREETING_SECONDS)
                greeting = json.loads(_line(connection))
                name, theirs = str(greeting["task"]), dict(greeting["facts"])
                connected[name] = connection
                if different := [key for key in {**facts, **theirs} if facts.get(key) != theirs.get(key)]:
                    verdict = _different(cluster, name, facts, theirs, different)
                    break
        for connection in connected.values():
            with contextlib.suppress(OSError):
                connection.sendall(json.dumps(verdict).encode() + b"\n")
    return verdict


def _report(cluster: Cluster, facts: Mapping[str, Any], timeout: float) -> str:
    """Does another task's part; returns the chief's verdict."""
    end = time.monotonic() + timeout
    message = json.dumps({"task": cluster.name, "facts": dict(facts)}).encode() + b"\n"
    while time.monotonic() < end:
        # Errors mean that the chief does not listen yet, or that a foreign program listens at its address.
        with contextlib.suppress(OSError, ValueError):
            with socket.create_connection(host_and_port(cluster.addresses[cluster.chief]), _GREETING_SECONDS) as connection:
                connection.sendall(message)
                connection.settimeout(timeout + _GREETING_SECONDS)  # the chief may have started later
                verdict = json.loads(_line(connection))
                if isinstance(verdict, str):
                    return verdict
        time.sleep(_RETRY_SECONDS)
    return missing_tasks(cluster, [cluster.chief], timeout)


def missing_tasks(cluster: Cluster, names: list[str], timeout: float) -> str:
    """Returns the message about tasks that did not appear within `timeout` seconds."""
    missing = ", ".join(f"{name} ({cluster.addresses[name]})" for name in names)
    return (
        f"{missing} did not appear within {timeout:g} seconds; start every task of TF_CONFIG, or give a longer --worker_timeout"
    )


def _different(cluster: Cluster, name: str, ours: Mapping[str, Any], theirs: Mapping[str, Any], keys: list[str]) -> str:
    shown = "; ".join(f"{key}: {ours.get(key)}, {name} has {theirs.get(key)}" for key in keys[:3])
    return f"{cluster.chief} and {name} were not started with the same command: {shown}"


def _line(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as file:
        return file.readline(_LONGEST)


def _is_open(connection: socket.socket) -> bool:
    """Returns whether the other side is still connected. It sends nothing more, so anything to read means that it has gone."""
    connection.setblocking(False)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except OSError:
        return False


def host_and_port(address: str) -> tuple[str, int]:
    """Returns the host and the port of "host:port"."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
