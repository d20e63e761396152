"""The documents for people and their programs: `/openapi.json`, and `/docs`, which shows it.

Swagger UI comes with the package: the page loads nothing from anywhere else, and its policy forbids it to.
All its links are relative, so that they hold behind any prefix of a proxy.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import orjson
from starlette.responses import Response

from freshet.core.errors import ConfigError

Headers = Mapping[bytes, bytes]
Page = Callable[[Headers], Response]

PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){1,8}")
"""What a proxy may have put before all paths."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HTML = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Freshet: API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
_START = b"""SwaggerUIBundle({
  url: new URL("../openapi.json", document.currentScript.src).href,
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null
});
"""


def prefix_of(headers: Headers, root_path: str) -> str:
    """What stands before all paths, by a proxy's header, else by the server's options; '' = nothing."""
    given = headers.get(b"x-forwarded-prefix", b"").decode("latin-1").strip().rstrip("/")
    return given if len(given) <= 200 and PREFIX.fullmatch(given) else root_path


def checked_prefix(path: str) -> str:
    """A prefix as it is used: without a slash at the end.

    Raises:
        ConfigError: it is none.
    """
    found = path.rstrip("/")
    if found and not PREFIX.fullmatch(found):
        raise ConfigError(f"'{path}' is no path before other paths", hint="such as `--root-path /shop`")
    return found


def pages(document: dict[str, Any], root_path: str) -> dict[str, Page]:
    """The pages by their paths, of an OpenAPI document."""
    plain = orjson.dumps(document)

    def openapi(headers: Headers) -> Response:
        prefix = prefix_of(headers, root_path)
        body = orjson.dumps({**document, "servers": [{"url": prefix}]}) if prefix else plain
        return _response(body, "application/json", {"Vary": "X-Forwarded-Prefix"})

    return {
        "/openapi.json": openapi,
        "/docs": lambda _: _response(_HTML, "text/html; charset=utf-8", {"Content-Security-Policy": POLICY}),
        "/docs/start.js": lambda _: _response(_START, "text/javascript; charset=utf-8"),
        "/docs/swagger-ui.css": lambda headers: _packed("swagger-ui.css.gz", "text/css", headers),
        "/docs/swagger-ui-bundle.js": lambda headers: _packed(
            "swagger-ui-bundle.js.gz", "text/javascript", headers
        ),
    }


def _response(body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> Response:
    safe = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", **(headers or {})}
    return Response(body, 200, safe, kind)


def _packed(name: str, kind: str, headers: Headers) -> Response:
    """A file that is kept packed, as every browser takes it."""
    own = {"Vary": "Accept-Encoding", "Cache-Control": "max-age=3600"}
    if b"gzip" in headers.get(b"accept-encoding", b""):
        return _response(_file(name), f"{kind}; charset=utf-8", {**own, "Content-Encoding": "gzip"})
    return _response(_plain(name), f"{kind}; charset=utf-8", own)


@cache
def _file(name: str) -> bytes:
    return files("freshet.http").joinpath("swagger", name).read_bytes()


@cache
def _plain(name: str) -> bytes:
    return gzip.decompress(_file(name))
