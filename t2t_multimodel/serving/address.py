"""Binds the address of a service."""

from __future__ import annotations

import socket

from t2t_multimodel.utils.errors import UserError


def bound_socket(host: str, port: int) -> socket.socket:
    """Returns a socket that is bound to `host` and `port` but does not listen yet; port 0 takes a free one.

    Raises:
        UserError: the address is taken, is not this machine's, or may not be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UserError(f"--host={host}: {error.strerror}; name an address of this machine") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise UserError(f"cannot serve at --host={host} --port={port}: {error.strerror}; name another one") from None
    return bound
