"""What every request passes: identity, keys, limits, logs, measures; and the short way to the endpoints.

FastAPI's machinery costs a request about as much as all the rest (decision 20). So the routes that it
documents are found by their path and called here: body bytes to pydantic, endpoint, response. FastAPI gets
nothing but requests for its documents: it matches paths less strictly, and knows no keys.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from freshet.config import HttpConfig
from freshet.errors import FreshetError
from freshet.service.addresses import is_foreign
from freshet.service.keys import Keyring
from freshet.service.logs import JsonLog
from freshet.service.metrics import Metrics
from freshet.service.problems import Refusal, problem, refusal
from freshet.service.standing import Standing

REQUEST_ID = "freshet.request_id"
"""Where a request's id is in its scope."""
_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_BEARER = b"bearer "


@dataclass(frozen=True, slots=True)
class Direct:
    """A documented route, to be called without FastAPI.

    Attributes:
        run: the endpoint.
        body: reads its body; None where it has none.
        scope: what a key must allow; '' = open to all.
    """

    run: Callable[..., Awaitable[Response]]
    body: TypeAdapter[Any] | None
    scope: str


class Front:
    """The outermost part of the service (pure ASGI).

    Args:
        app: the FastAPI app.
        documents: what it answers, open to all, by method and path; and it gets the server's start and stop.
        routes: what is answered here, by method and path.
    """

    def __init__(
        self,
        app: ASGIApp,
        documents: frozenset[tuple[str, str]],
        routes: Mapping[tuple[str, str], Direct],
        limits: HttpConfig,
        keyring: Keyring,
        metrics: Metrics,
        log: JsonLog,
        standing: Standing,
    ) -> None:
        self._app = app
        self._documents = documents
        self._routes = routes
        self._limits = limits
        self._keyring = keyring
        self._metrics = metrics
        self._log = log
        self._standing = standing
        self._origin = os.urandom(4).hex()
        self._count = count(1)
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = perf_counter()
        heads = dict(scope["headers"])
        request_id = self._identity(heads)
        scope[REQUEST_ID] = request_id
        status = 500

        async def labelled(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id.encode()))
                if self._standing.draining or status in (408, 413):
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        self._under_way += 1
        try:
            await self._answer(scope, heads, request_id, receive, labelled)
        finally:
            self._under_way -= 1
            self._note(scope, request_id, status, perf_counter() - begin)

    async def _answer(
        self, scope: Scope, heads: Mapping[bytes, bytes], request_id: str, receive: Receive, send: Send
    ) -> None:
        asked = (scope["method"], scope["path"])
        if asked in self._documents:
            await self._app(scope, receive, send)
            return
        try:
            route = self._routes.get(asked)
            if route is None:
                raise self._unknown(*asked)
            if route.scope and self._under_way > self._limits.connections:
                raise self._busy()
            if route.scope and self._keyring.required:
                self._admit(heads, route.scope)
            elif route.scope and not self._keyring.off and is_foreign(heads):
                raise Refusal(403, "foreign_page", "without API keys no web page may ask", "add a key")
            if route.body is None:
                response = await route.run()
            else:
                raw = await self._read(heads, receive)
                response = await route.run(route.body.validate_json(raw))
        except (Refusal, ValidationError, FreshetError) as error:
            refused = refusal(error)
            if refused is None:
                raise
            if isinstance(error, FreshetError):
                told = {"request_id": request_id, "error": type(error).__name__, "message": str(error)}
                self._log.add("info", "refused", told)
            response = problem(refused, request_id)
        await response(scope, receive, send)

    def _unknown(self, method: str, path: str) -> Refusal:
        """No such path, or not with this method."""
        allowed = sorted(m for m, known in (*self._routes, *self._documents) if known == path)
        hint = "/docs lists what there is"
        if not allowed:
            return Refusal(404, "no_such_path", f"there is no such path: {method} {path}", hint)
        return Refusal(
            405,
            "wrong_method",
            f"the path does not take this method: {method} {path}",
            hint,
            {"Allow": ", ".join(allowed)},
        )

    def _busy(self) -> Refusal:
        return Refusal(
            503,
            "busy",
            f"{self._limits.connections:,} requests are under way",
            "send this one again later",
            {"Retry-After": "1", "Connection": "close"},
        )

    def _identity(self, heads: Mapping[bytes, bytes]) -> str:
        """The client's id of the request if it is a sane one, else an own."""
        given = heads.get(b"x-request-id")
        if given is not None and _SANE.fullmatch(given):
            return given.decode()
        return f"{self._origin}-{next(self._count):x}"

    def _admit(self, heads: Mapping[bytes, bytes], scope: str) -> None:
        """Refuse who has no key for a scope."""
        given = heads.get(b"authorization", b"")
        if given[:7].lower() == _BEARER:
            given = given[7:]
        else:
            given = heads.get(b"x-api-key", b"")
        key = self._keyring.find(given.decode("latin-1").strip())
        if key is None:
            raise Refusal(
                401,
                "no_key",
                "this needs an API key",
                "send it as `Authorization: Bearer KEY`; `freshet keys add` makes one",
                {"WWW-Authenticate": "Bearer"},
            )
        if not key.allows(scope):
            raise Refusal(
                403,
                "wrong_scope",
                f"this needs a key of scope {scope}; yours has {key.scope}",
                "ask for another",
            )

    async def _read(self, heads: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """The body, within the limits of size and time."""
        announced = heads.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self._limits.body_bytes:
            raise self._too_large()
        message = await self._next(receive, self._limits.seconds)
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            return await self._read_on(bytearray(body), receive)
        if len(body) > self._limits.body_bytes:
            raise self._too_large()
        return body

    async def _read_on(self, body: bytearray, receive: Receive) -> bytes:
        end = perf_counter() + self._limits.seconds
        more = True
        while more:
            message = await self._next(receive, end - perf_counter())
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._limits.body_bytes:
                raise self._too_large()
        return bytes(body)

    async def _next(self, receive: Receive, seconds: float) -> Message:
        """The next part of the body."""
        try:
            async with asyncio.timeout(seconds):
                message = await receive()
        except TimeoutError:
            raise Refusal(
                408,
                "too_slow",
                f"the body did not arrive within {self._limits.seconds:g} s",
                "send it faster",
            ) from None
        if message["type"] == "http.disconnect":
            raise Refusal(400, "gone", "the client hung up")
        return message

    def _too_large(self) -> Refusal:
        return Refusal(
            413, "too_large", f"a body has at most {self._limits.body_bytes:,} bytes", "send it in parts"
        )

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        """Count a request and log it."""
        method, path = scope["method"], scope["path"]
        known = (method, path) in self._routes
        self._metrics.asked(path if known else "other", status, seconds)
        if self._limits.log_requests or status >= 500:
            self._log.add(
                "info" if status < 500 else "warning" if status == 503 else "error",
                "request",
                {
                    "request_id": request_id,
                    "method": method,
                    "path": path,
                    "status": status,
                    "ms": round(seconds * 1e3, 3),
                },
            )
