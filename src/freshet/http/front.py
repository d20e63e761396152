"""What every request passes: identity, keys, limits, logs, measures; and the short way to the endpoints.

FastAPI's machinery costs a request about as much as all the rest (decision 20). So the routes that it
documents are found by their path and called here: body bytes to pydantic, endpoint, response. FastAPI gets
no requests: it matches paths less strictly, and knows no keys.
"""

from __future__ import annotations

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

from freshet.core.errors import FreshetError
from freshet.http import bodies
from freshet.http.api_docs import Page, prefix_of
from freshet.http.companion import is_dashboard
from freshet.http.connections import LINGER
from freshet.http.problems import Refusal, problem, refusal
from freshet.http.service import Service

REQUEST_ID = "freshet.request_id"
"""Where a request's id is in its scope."""
TAKEN = "Authorization, Content-Encoding, Content-Type, X-API-Key, X-Request-Id"
"""Headers that pages of other sites may send."""
_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_BEARER = b"bearer "


@dataclass(frozen=True, slots=True)
class Route:
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
        app: gets the server's start and stop, no requests.
        routes: what is answered, by method and path.
        pages: documents, open to all, by path.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Mapping[tuple[str, str], Route],
        pages: Mapping[str, Page],
        service: Service,
    ) -> None:
        self._app = app
        self._routes = routes
        self._pages = pages
        self._limits = service.limits
        self._keyring = service.keyring
        self._visitors = service.visitors
        self._metrics = service.metrics
        self._log = service.log
        self._state = service.state
        self._root_path = service.root_path
        self._companion = service.companion
        self._traces = service.traces
        self._known = {path for _, path in routes} | set(pages) | ({"/"} if self._companion else set())
        self._origin = os.urandom(4).hex()
        self._count = count(1)
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = perf_counter()
        headers = dict(scope["headers"])
        request_id = self._identity(headers)
        scope[REQUEST_ID] = request_id
        scope["path"] = self._path(scope["path"], headers)
        shared = self._visitors.cors_headers(headers)
        status, began = 500, 0.0

        async def labelled(message: Message) -> None:
            nonlocal status, began
            if message["type"] == "http.response.start":
                status, began = message["status"], perf_counter()
                message["headers"] += [(b"x-request-id", request_id.encode()), *shared]
                if self._state.draining or status in (408, 413):
                    message["headers"].append((b"connection", b"close"))
            elif status == 413 and not message.get("more_body"):
                await send({**message, "more_body": True})
                await bodies.drained(receive, LINGER)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        self._under_way += 1
        try:
            response = await self._answer(scope, headers, request_id, receive)
            await response(scope, receive, labelled)
        finally:
            self._under_way -= 1
            # a page of the dashboard may go on for hours: what counts is how soon it began
            end = began if began and is_dashboard(scope["path"]) else perf_counter()
            self._note(scope, request_id, status, end - begin)
            if self._traces is not None:
                path = scope["path"] if scope["path"] in self._known else ""
                self._traces.note(headers, scope["method"], path, status, end - begin, request_id)

    async def _answer(
        self, scope: Scope, headers: Mapping[bytes, bytes], request_id: str, receive: Receive
    ) -> ASGIApp:
        try:
            return await self._found(scope, headers, receive)
        except (Refusal, ValidationError, FreshetError) as error:
            refused = refusal(error)
            if refused is None:
                raise
            if isinstance(error, FreshetError):
                fields = {"request_id": request_id, "error": type(error).__name__, "message": str(error)}
                self._log.add("info", "refused", fields)
            return problem(refused, request_id)

    async def _found(self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive) -> ASGIApp:
        """The answer of whatever is at the path; raises what refuses it."""
        method, path = scope["method"], scope["path"]
        route = self._routes.get(("GET" if method == "HEAD" else method, path))
        if route is None or route.scope:  # health may be queried under any host name
            self._check(scope)
        if self._companion is not None and is_dashboard(path):
            prefix = prefix_of(headers, self._root_path)
            return await self._companion.request(scope, prefix, receive, self._limits)
        if method == "OPTIONS" and path in self._known:
            return self._options(path, headers)
        if method in ("GET", "HEAD") and path in self._pages:
            return self._pages[path](headers)
        if route is None:
            raise self._unknown(method, path)
        if route.scope and self._under_way > self._limits.connections:
            raise self._busy()
        if route.scope and self._keyring.required:
            self._admit(headers, route.scope)
        if route.body is None:
            return await route.run()
        raw = await bodies.read(scope["headers"], receive, self._limits)
        return await route.run(bodies.parsed(route.body, raw))

    def _check(self, scope: Scope) -> None:
        """Refuse what a foreign page has sent; a key can't be had by such a page, whatever host it names."""
        if not self._keyring.required:
            self._visitors.check_host(scope["headers"])
        self._visitors.check_page(scope["headers"])

    def _path(self, path: str, headers: Mapping[bytes, bytes]) -> str:
        """A path without what a proxy has put before it, and left there."""
        if path not in self._known and not is_dashboard(path):
            for prefix in (self._root_path, prefix_of(headers, "")):
                if prefix and path.startswith(f"{prefix}/"):
                    return path[len(prefix) :]
        return path

    def _allowed(self, path: str) -> list[str]:
        """Methods of a path, none where there is no such path."""
        methods = {method for method, known in self._routes if known == path}
        methods |= {"GET"} if path in self._pages else set()
        return sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())) if methods else []

    def _options(self, path: str, headers: Mapping[bytes, bytes]) -> Response:
        """What a path takes; and, to a browser that sends for a page of another site, that it may."""
        methods = ", ".join(self._allowed(path))
        if b"access-control-request-method" not in headers or not self._visitors.cors_headers(headers):
            return Response(None, 204, {"Allow": methods})
        granted = {
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": TAKEN,
            "Access-Control-Max-Age": "600",
        }
        return Response(None, 204, {"Allow": methods, **granted})

    def _unknown(self, method: str, path: str) -> Refusal:
        """No such path, or not with this method."""
        hint = "/docs lists what there is"
        if not (allowed := self._allowed(path)):
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

    def _identity(self, headers: Mapping[bytes, bytes]) -> str:
        """The client's id of the request if it is a sane one, else an own."""
        given = headers.get(b"x-request-id")
        if given is not None and _SANE.fullmatch(given):
            return given.decode()
        return f"{self._origin}-{next(self._count):x}"

    def _admit(self, headers: Mapping[bytes, bytes], scope: str) -> None:
        """Refuse who has no key for a scope."""
        given = headers.get(b"authorization", b"")
        if given[:7].lower() == _BEARER:
            given = given[7:]
        else:
            given = headers.get(b"x-api-key", b"")
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

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        """Count a request and log it."""
        method, path = scope["method"], scope["path"]
        known = ("GET" if method == "HEAD" else method, path) in self._routes
        label = path if known else "/dashboard" if self._companion and is_dashboard(path) else "other"
        self._metrics.count_request(label, status, seconds)
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
