"""Serves a Service over HTTP until Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI

from t2t_multimodel.serving.api import Guard, routes
from t2t_multimodel.serving.service import Service

# Seconds that pages which are open get when the service ends.
_GRACE = 2
_BACKLOG = 2048


def application(service: Service, page: Any = None) -> Any:
    """Returns the ASGI application: the API, and the page at / if there is one.

    Args:
        service: answers the requests.
        page: a gradio.Blocks from `page.make_page`.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, routes=[*routes(service)])
    if page is not None:
        from t2t_multimodel.serving.page import mount_page

        mount_page(app, page, service.limits)
    return Guard(app, service.limits)


class Server(uvicorn.Server):
    """Calls `started` when it answers requests.

    Args:
        config: uvicorn's.
        started: called once.
    """

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to listen."""
        await super().startup(sockets)
        self._when_started()


def server_for(app: Any, started: Callable[[], None]) -> Server:
    """Returns the server of an ASGI application; setting its `should_exit` ends it.

    Args:
        app: the application.
        started: called when it answers requests.
    """
    return Server(
        uvicorn.Config(
            app,
            log_config=None,
            log_level="error",
            access_log=False,
            lifespan="on",
            backlog=_BACKLOG,
            timeout_graceful_shutdown=_GRACE,
            server_header=False,
        ),
        started,
    )


def serve(app: Any, bound: socket.socket, started: Callable[[], None]) -> None:
    """Serves `app` at a bound socket until Ctrl-C or SIGTERM, then raises KeyboardInterrupt; `started` as in `server_for`."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        server_for(app, started).run(sockets=[bound])  # it ends at the first signal, and raises it again afterwards
    finally:
        signal.signal(signal.SIGTERM, before)
