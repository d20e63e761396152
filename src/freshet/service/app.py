"""The service as one ASGI app: FastAPI documents the routes, `front` answers them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, get_type_hints

from fastapi import FastAPI, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import TypeAdapter
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from freshet import __version__
from freshet.config import HttpConfig
from freshet.service import schemas
from freshet.service.endpoints import Endpoints
from freshet.service.front import REQUEST_ID, Direct, Front
from freshet.service.keys import Keyring
from freshet.service.logs import JsonLog
from freshet.service.metrics import Metrics
from freshet.service.problems import FAULT, problem
from freshet.service.recording import Recorder
from freshet.service.standing import Standing
from freshet.service.upkeep import Upkeep

if TYPE_CHECKING:
    from freshet.serving.recommender import Recommender

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
    422: "A field is missing, unknown or out of bounds.",
    503: "The server can't answer now; send it again later.",
}


def make_app(
    recommender: Recommender, limits: HttpConfig, keyring: Keyring, log: JsonLog, standing: Standing
) -> ASGIApp:
    """The service around an open recommender, which the app closes when it ends.

    Args:
        limits: of requests.
        keyring: who may ask.
        log: gets a line per request.
        standing: the server sets `draining` before it stops.
    """
    metrics = Metrics()
    upkeep = Upkeep(recommender, keyring, metrics, log, standing)
    recorder = Recorder(recommender.record, upkeep.state, limits.waiting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        upkeep.start()
        yield
        await upkeep.stop(recorder)
        recommender.close()

    app = FastAPI(
        title="Freshet",
        version=__version__,
        description="The next interests of a user, and items of each.",
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    add_routes(app, Endpoints(recommender, recorder, metrics, limits, standing))
    _tell_limits(app, limits)
    front = Front(app, documents(app), direct(app), limits, keyring, metrics, log, standing)
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

    body = (400, 408, 413, 422, 503)
    add("POST", "/v1/explore", endpoints.explore, schemas.Answer, 404, *body)
    add("POST", "/v1/explore:batch", endpoints.explore_batch, schemas.Answers, 404, *body)
    add("POST", "/v1/events", endpoints.events, schemas.Receipts, *body)
    add("GET", "/v1/releases", endpoints.releases, schemas.Releases)
    add("POST", "/v1/releases", endpoints.switch, schemas.Releases, 404, *body)
    add("GET", "/healthz", endpoints.healthz, schemas.Health)
    add("GET", "/readyz", endpoints.readyz, schemas.Health, 503)
    add("GET", "/metrics", endpoints.metrics, None)


def _tell_limits(app: FastAPI, limits: HttpConfig) -> None:
    """Put the lengths of lists as configured into the document; the endpoints hold to them."""
    paths = app.openapi()["paths"]  # FastAPI keeps the document that it made, and gives it from now on
    for path, most in (("/v1/explore:batch", limits.batch), ("/v1/events", limits.events)):
        schema = paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        for kind in schema.get("oneOf", [schema]):
            if kind.get("type") == "array":
                kind["maxItems"] = most


def documents(app: FastAPI) -> frozenset[tuple[str, str]]:
    """Where FastAPI shows what it documents, by method and path."""
    shown = [route for route in app.routes if isinstance(route, Route) and not isinstance(route, APIRoute)]
    return frozenset((method, route.path) for route in shown for method in route.methods or ())


def direct(app: FastAPI) -> dict[tuple[str, str], Direct]:
    """The documented routes, by method and path."""
    found = {}
    for route in app.routes:
        if isinstance(route, APIRoute):
            hints = get_type_hints(route.endpoint, include_extras=True)
            bodies = [hint for name, hint in hints.items() if name != "return"]
            body: TypeAdapter[Any] | None = TypeAdapter(bodies[0]) if bodies else None
            for method in route.methods or ():
                found[method, route.path] = Direct(route.endpoint, body, SCOPES.get(route.path, ""))
    return found


async def _fault(request: Request, _: Exception) -> Response:
    """A bug; the middleware that calls this raises it again, so that it is logged."""
    return problem(FAULT, request.scope[REQUEST_ID])
