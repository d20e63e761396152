"""What clients get when a request fails: one shape, never a stack trace."""

from __future__ import annotations

from http import HTTPStatus

import orjson
from pydantic import ValidationError
from starlette.responses import Response

from freshet.core.errors import ArtifactError, FreshetError, InputError, NotServing, StateError

SHOWN = 3
"""Faults of a request body that are named."""
LONG = 200
"""Characters of a fault at most: its place may be a name that the client chose."""


class Refusal(Exception):
    """A request that is not answered.

    Args:
        status: of HTTP.
        error: a word for programs.
        headers: of the answer, such as `Retry-After`.
    """

    def __init__(
        self, status: int, error: str, message: str, hint: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message
        self.hint = hint
        self.headers = headers or {}


KINDS: tuple[tuple[type[FreshetError], int, str], ...] = (
    (NotServing, 503, "not_serving"),
    (StateError, 503, "state_unavailable"),
    (ArtifactError, 404, "no_such_release"),
    (InputError, 422, "invalid"),
)
"""Errors of the recommender that a client may meet; all others are a fault of the server."""

PRIVATE = {"state_unavailable": "what is remembered of users can't be read or written now"}
"""What clients get instead of what names addresses or files; the log has that."""
FAULT = Refusal(
    500, "fault", "the server failed; this is a bug", "the log has the details under this request id"
)


def refusal(error: Exception) -> Refusal | None:
    """The answer to an error; None where it is no client's business."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, ValidationError):
        return _invalid(error)
    for kind, status, word in KINDS:
        if isinstance(error, kind):
            headers = {"Retry-After": "1"} if status == 503 else {}
            message, hint = error.message, error.hint if status != 503 else ""
            if word in PRIVATE or (word == "no_such_release" and "/" in message):  # a file's name
                message, hint = PRIVATE.get(word, "the release is damaged"), FAULT.hint
            return Refusal(status, word, message, hint, headers)
    return None


def _invalid(error: ValidationError) -> Refusal:
    """The first faults of a body, each with its place."""
    issues = error.errors(include_url=False, include_context=False, include_input=False)
    if issues[0]["type"] == "json_invalid":
        return Refusal(400, "not_json", issues[0]["msg"], "send a JSON document in UTF-8")
    parts = [
        _short(f"{'.'.join(map(str, issue['loc'])) or 'body'}: {issue['msg']}") for issue in issues[:SHOWN]
    ]
    more = f" (and {len(issues) - SHOWN} more)" if len(issues) > SHOWN else ""
    return Refusal(422, "invalid", "; ".join(parts) + more, "/docs lists the fields and their limits")


def _short(text: str) -> str:
    return text if len(text) <= LONG else f"{text[: LONG // 2]} ... {text[-LONG // 2 :]}"


def in_full(refused: Refusal, request_id: str) -> bytes:
    """The same as bytes of HTTP, for what has never become a request; the connection ends with it."""
    response = problem(refused, request_id)
    head = [*response.raw_headers, (b"x-request-id", request_id.encode()), (b"connection", b"close")]
    first = f"HTTP/1.1 {refused.status} {HTTPStatus(refused.status).phrase}".encode()
    lines = [first, *(name + b": " + value for name, value in head), b"", bytes(response.body)]
    return b"\r\n".join(lines)


def problem(refused: Refusal, request_id: str) -> Response:
    """The answer to a request that failed."""
    body = {
        "error": refused.error,
        "message": refused.message,
        "hint": refused.hint,
        "request_id": request_id,
    }
    return Response(
        orjson.dumps(body),
        status_code=refused.status,
        headers=refused.headers,
        media_type="application/json",
    )
