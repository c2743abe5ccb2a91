"""The JSON API: `GET /api/problems`, `POST /api/problems/NAME` and `GET /api/health`; docs/serving.md describes it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

import absl.logging
import anyio
import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from t2t_multimodel.features import Label, ProblemSpec, Text, is_tree
from t2t_multimodel.serving.batcher import Closed, QueueFull
from t2t_multimodel.serving.limits import Limits, TooLarge
from t2t_multimodel.serving.service import Service, wanted
from t2t_multimodel.utils.errors import DataError, UnknownNameError

Handler = Callable[[Request], Awaitable[Response]]
# By error of the service, the HTTP status.
_STATUS = {DataError: 400, UnknownNameError: 404, TooLarge: 413, QueueFull: 503, Closed: 503}
_JSON = "application/json"
_FILES = ("image/", "audio/", "application/octet-stream")
_TEXT = "text/plain"
# Nothing that a page loads may come from another host.
_POLICY = b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"


def routes(service: Service) -> list[Route]:
    """Returns the routes of the API."""
    readers = anyio.CapacityLimiter(os.cpu_count() or 1)  # pictures and sounds that are read at a time

    async def health(request: Request) -> Response:
        return JSONResponse({"status": service.status, "step": service.step, "waiting": service.waiting})

    async def problems(request: Request) -> Response:
        return JSONResponse({"problems": [described(spec, service.limits) for spec in service.problems.values()]})

    async def answer(request: Request) -> Response:
        start, name = time.perf_counter(), request.path_params["problem"]
        if name not in service.problems:
            raise UnknownNameError(f"there is no problem {name[:100]!r}; there are: {', '.join(service.problems)}")
        with service.place():
            content = await _content(request, service.problems[name], service.limits)
            ready = await anyio.to_thread.run_sync(service.read, name, content, limiter=readers)
            decoded = await _unless_left(request, service.submit(ready))
        return JSONResponse(service.answer(ready, decoded, start).to_json())

    return [
        Route("/api/health", _guarded(health)),
        Route("/api/problems", _guarded(problems)),
        Route("/api/problems/{problem}", _guarded(answer), methods=["POST"]),
        Route("/api/{rest:path}", _guarded(_nothing_here), methods=["GET", "POST", "PUT", "DELETE", "PATCH"]),
    ]


def described(spec: ProblemSpec, limits: Limits) -> dict[str, Any]:
    """Returns the entry of a problem in the answer to `GET /api/problems`."""
    targets = "tree" if is_tree(spec.targets) else spec.targets.kind
    classes = {"classes": list(spec.targets.classes)} if isinstance(spec.targets, Label) else {}
    if isinstance(spec.targets, Label) and spec.targets.words:
        classes["class_words"] = list(spec.targets.words)
    about = {"name": spec.name, "inputs": spec.inputs.kind, "targets": targets, "target_space": spec.target_space}
    return {**about, **classes, "limits": limits.line(spec)}


def error_response(status: int, line: str) -> Response:
    """Returns the API's response to an error: `{"error": line}`."""
    headers = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse({"error": " ".join(line.split())}, status, headers)


class Guard:
    """Refuses bodies larger than the limit before they are read, for all that `app` serves, and keeps pages from other hosts.

    Args:
        app: the application.
        limits: see Limits; a body may have a third more bytes than a file, which base64 needs.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._most = limits.upload_bytes * 4 // 3 + (1 << 16)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._most:
            await error_response(413, str(self._limits.too_large()))(scope, receive, send)
            return
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most:
                raise HTTPException(413, str(self._limits.too_large()))
            return message

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", _POLICY)]
            await send(message)

        await self._app(scope, bounded, with_policy)


def _guarded(handler: Handler) -> Handler:
    """Returns a handler that answers every error with a line; only an error of ours is logged, with its traceback."""

    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except HTTPException as error:
            return error_response(error.status_code, error.detail)
        except (ClientDisconnect, asyncio.CancelledError):
            return error_response(400, "the request ended early")
        except Exception as error:
            status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
            if status == 500:
                absl.logging.exception("%s %s failed", request.method, request.url.path)
                return error_response(500, "the service failed on this request; its log says more")
            return error_response(status, str(error))

    return guarded


async def _nothing_here(request: Request) -> Response:
    if request.url.path.startswith("/api/problems/") or request.url.path in ("/api/problems", "/api/health"):
        wants = "POST" if request.url.path.startswith("/api/problems/") else "GET"
        raise HTTPException(405, f"{request.url.path[:100]} takes {wants}, got {request.method}")
    raise HTTPException(404, "there is GET /api/problems, POST /api/problems/NAME and GET /api/health")


async def _content(request: Request, spec: ProblemSpec, limits: Limits) -> bytes | str:
    """Returns the input in a request's body: JSON with "text" or "file" (base64), a file's bytes, or plain text."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not (kind in (_JSON, _TEXT) or kind.startswith(_FILES)):
        raise HTTPException(415, f"the content type is {kind[:100]!r}; it may be {_JSON}, {_TEXT}, or that of the file sent")
    try:
        async with asyncio.timeout(limits.body_seconds):
            body = await request.body()
    except TimeoutError:
        raise HTTPException(408, f"the request did not arrive within {limits.body_seconds:g} seconds") from None
    is_text = isinstance(spec.inputs, Text)
    if kind != _JSON:
        if is_text != (kind == _TEXT):
            raise DataError(f"{spec.name} takes {wanted(spec)}, got {kind}")
        content: bytes | str = body
    else:
        content = _of_json(body, spec, "text" if is_text else "file")
    if len(content) > limits.upload_bytes:
        raise limits.too_large()
    return content


def _of_json(body: bytes, spec: ProblemSpec, key: str) -> bytes | str:
    """Returns the value of `key` in a JSON object, decoded if it is a file."""
    form = '{"text": "..."}' if key == "text" else '{"file": "..."}, the file in base64'
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise DataError(f"the body is no JSON; {spec.name} takes {form}") from None
    value = fields.get(key) if isinstance(fields, dict) else None
    if not isinstance(value, str) or set(fields) != {key}:
        raise DataError(f"{spec.name} takes {form}")
    if key == "text":
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise DataError('"file" is not base64') from None


async def _unless_left(request: Request, future: Future[Any]) -> Any:
    """Returns the future's result; gives it up as soon as the client has left."""
    answered = asyncio.wrap_future(future)
    left = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((answered, left), return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            answered.cancel()
            raise ClientDisconnect
        return answered.result()
    finally:
        left.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
