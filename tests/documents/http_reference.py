"""docs/reference/http.md, written from the OpenAPI document of the service.

python -m tests.documents.http_reference

writes the page anew; a test compares it with the code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

from fastapi import FastAPI

from freshet.core.config import HttpConfig
from freshet.http.application import add_routes, document
from freshet.http.endpoints import Endpoints

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "http.md"
HEAD = """# HTTP

What `freshet serve` answers. This page is generated from the service's OpenAPI document, which a running server has at
`/openapi.json`, with a page to try it at `/docs`. [Serve recommendations](../how-to/serving.md) explains keys, errors, limits and
deployment. Paths below `/dashboard/`, to which `/` leads, are pages for people, no part of this interface: see
[Look at the dashboard](../how-to/dashboard.md).

Requests are read strictly: unknown fields and wrong types are refused with status 422. Every failure has the fields of
[Problem](#problem). *Scope* is what the API key must allow, where the server has keys; `-` needs none.
"""
LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "from {}",
    "maxLength": "up to {} characters",
    "maxItems": "up to {}",
    "maxProperties": "up to {}",
}


def openapi() -> dict[str, Any]:
    """The document with the limits of the default configuration; no server runs."""
    app, limits = FastAPI(), HttpConfig()
    add_routes(app, Endpoints(Mock(), Mock()))
    return document(app, limits)


def page(found: dict[str, Any]) -> str:
    """The page in Markdown."""
    lines = [
        HEAD,
        "## Routes",
        "",
        "| route | scope | request | response | other statuses |",
        "|---|---|---|---|---|",
    ]
    lines += [
        _route(path, verb, route) for path, verbs in found["paths"].items() for verb, route in verbs.items()
    ]
    lines += ["", "## Fields"]
    for name, schema in found["components"]["schemas"].items():
        if name not in ("HTTPValidationError", "ValidationError"):  # never sent: failures are a Problem
            lines += _fields(name, schema)
    return "\n".join(lines) + "\n"


def _route(path: str, verb: str, route: dict[str, Any]) -> str:
    body = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    (content,) = route["responses"]["200"]["content"].items()
    response = "text" if content[0] == "text/plain" else _type(content[1]["schema"])
    others = " ".join(sorted(code for code in route["responses"] if code != "200")) or "-"
    request = _type(body) if body else "-"
    return f"| `{verb.upper()} {path}` | {route.get('x-scope', '-')} | {request} | {response} | {others} |"


def _fields(name: str, schema: dict[str, Any]) -> list[str]:
    required = schema.get("required", [])
    rows = [
        f"| `{field}` | {_type(kind)} | {_default(kind, field in required)} | {kind.get('description', '')} |"
        for field, kind in schema["properties"].items()
    ]
    return [
        "",
        f"### {name}",
        "",
        schema.get("description", ""),
        "",
        "| field | type | default | meaning |",
        "|---|---|---|---|",
        *rows,
    ]


def _default(schema: dict[str, Any], required: bool) -> str:
    if required:
        return "required"
    empty = {"array": [], "object": {}}.get(schema.get("type", ""))
    return f"`{json.dumps(schema.get('default', empty))}`"


def _type(schema: dict[str, Any]) -> str:
    """A type in words, with its limits."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_type(kind) for kind in schema[several])
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    limits = [text.format(_short(schema[key])) for key, text in LIMITS.items() if key in schema]
    limits = [schema["format"], *limits] if "format" in schema else limits
    inner = schema.get("items") or schema.get("additionalProperties")
    of = f" of {_type(inner)}" if isinstance(inner, dict) and inner else ""
    word = {"array": "list", "null": "null"}.get(schema.get("type", ""), schema.get("type", "any"))
    return word + (f" ({', '.join(limits)})" if limits else "") + of


def _short(number: float) -> str:
    return str(int(number) if number == int(number) else number)


if __name__ == "__main__":
    PAGE.write_text(page(openapi()), encoding="utf-8")
