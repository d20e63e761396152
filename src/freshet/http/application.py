"""The service as one ASGI app: FastAPI documents the routes, `front` answers them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, get_type_hints

from fastapi import FastAPI, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import TypeAdapter
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp

from freshet import __version__
from freshet.core.config import HttpConfig
from freshet.http import schemas
from freshet.http.api_docs import pages
from freshet.http.endpoints import Endpoints
from freshet.http.front import REQUEST_ID, Front, Route
from freshet.http.group_commit import GroupCommit
from freshet.http.problems import FAULT, problem
from freshet.http.service import Service
from freshet.http.upkeep import Upkeep

SCOPES = {
    "/v1/explore": "read",
    "/v1/explore:batch": "read",
    "/v1/events": "write",
    "/v1/releases": "admin",
    "/metrics": "read",
}
"""What a key must allow; the rest is open to all."""

PROBLEMS = {
    400: "The body is no JSON.",
    401: "A key is needed.",
    403: "The key's scope does not allow this.",
    404: "There is no such release.",
    408: "The body did not arrive in time.",
    413: "The body is too large, or has too many parts.",
    415: "The body is packed in an unknown way.",
    422: "A field is missing, unknown or out of bounds.",
    503: "The server can't answer now; send it again later.",
}


def make_app(service: Service) -> ASGIApp:
    """The ASGI app of a service; it closes the recommender when it ends."""
    recommender, limits = service.recommender, service.limits
    upkeep = Upkeep(service)
    oldest = limits.oldest_event_days
    commits = GroupCommit(lambda events: recommender.record(events, oldest), upkeep.writer, limits.waiting)
    endpoints = Endpoints(service, commits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        upkeep.start(commits, endpoints.measure)
        yield
        await upkeep.stop(commits)

    app = FastAPI(
        title="Freshet",
        version=__version__,
        description="The next interests of a user, and items of each.",
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,
    )
    add_routes(app, endpoints)
    front = Front(app, routes_of(app), pages(document(app, limits), service.root_path), service)
    return ServerErrorMiddleware(front, handler=_fault)


def add_routes(app: FastAPI, endpoints: Endpoints) -> None:
    """Declare and document the routes."""

    def add(
        method: str, path: str, endpoint: Callable[..., Any], answers: type | None, *refusals: int
    ) -> None:
        needs = SCOPES.get(path, "")
        codes = [*refusals, *([401, 403] if needs else [])]
        app.add_api_route(
            path,
            endpoint,
            methods=[method],
            response_model=answers,
            response_class=PlainTextResponse if answers is None else JSONResponse,
            responses={code: {"model": schemas.Problem, "description": PROBLEMS[code]} for code in codes},
            dependencies=[Security(HTTPBearer(auto_error=False))] if needs else [],
            openapi_extra={"x-scope": needs} if needs else None,
        )

    body = (400, 408, 413, 415, 422, 503)
    add("POST", "/v1/explore", endpoints.explore, schemas.Answer, 404, *body)
    add("POST", "/v1/explore:batch", endpoints.explore_batch, schemas.Answers, 404, *body)
    add("POST", "/v1/events", endpoints.events, schemas.Receipts, *body)
    add("GET", "/v1/releases", endpoints.releases, schemas.Releases)
    add("POST", "/v1/releases", endpoints.switch, schemas.Releases, 404, *body)
    add("GET", "/healthz", endpoints.healthz, schemas.Health)
    add("GET", "/readyz", endpoints.readyz, schemas.Health, 503)
    add("GET", "/metrics", endpoints.metrics, None)


def document(app: FastAPI, limits: HttpConfig) -> dict[str, Any]:
    """The OpenAPI document, with the lengths of lists as configured; the endpoints hold to them."""
    found = app.openapi()
    for path, most in (("/v1/explore:batch", limits.batch), ("/v1/events", limits.events)):
        schema = found["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        for kind in schema.get("oneOf", [schema]):
            if kind.get("type") == "array":
                kind["maxItems"] = most
    return found


def routes_of(app: FastAPI) -> dict[tuple[str, str], Route]:
    """The documented routes, by method and path."""
    found = {}
    for route in app.routes:
        if isinstance(route, APIRoute):
            hints = get_type_hints(route.endpoint, include_extras=True)
            bodies = [hint for name, hint in hints.items() if name != "return"]
            body: TypeAdapter[Any] | None = TypeAdapter(bodies[0]) if bodies else None
            for method in route.methods or ():
                found[method, route.path] = Route(route.endpoint, body, SCOPES.get(route.path, ""))
    return found


async def _fault(request: Request, _: Exception) -> Response:
    """A bug; the middleware that calls this raises it again, so that it is logged."""
    return problem(FAULT, request.scope[REQUEST_ID])
