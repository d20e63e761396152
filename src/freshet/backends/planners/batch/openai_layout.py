"""OpenAI's Batch API, which vLLM (`vllm run-batch`) and many hosted services take as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freshet.backends.planners.batch.layout import (
    MB,
    BadLine,
    Limits,
    Result,
    dig,
    text_of,
)
from freshet.backends.planners.endpoint.chat import ChatRequest
from freshet.backends.planners.endpoint.chat_wire import BadAnswer, Dialect, body_of, completion

UNASKED = ("batch_expired", "batch_cancelled", "batch_canceled")
"""Codes of requests that the batch ended before."""


class OpenAILayout:
    """`{"custom_id", "method", "url", "body"}` a line; results in any order, errors in a file of their own.

    Args:
        model: what the server calls it.
        body: further fields of each request, see `chat_wire.merged`.
    """

    name = "openai"
    limits = Limits(50_000, 200 * MB)
    logprobs = True

    def __init__(self, model: str, body: Mapping[str, Any]) -> None:
        self._model = model
        self._body = body

    def line(self, name: str, request: ChatRequest) -> dict[str, Any]:
        """The line of a request."""
        body = body_of(request, self._model, Dialect(extra=self._body))
        return {
            "custom_id": name,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": body,
        }

    def result(self, line: Mapping[str, Any]) -> Result:
        """What a line of an output or error file says."""
        name = line.get("custom_id")
        if not isinstance(name, str):
            raise BadLine("it has no `custom_id`")
        error, status = line.get("error"), dig(line, "response", "status_code")
        if error:
            inner = dig(error, "error") or error  # vLLM wraps it once more
            code, told = text_of(dig(inner, "code")), text_of(dig(inner, "message") or inner)
            return Result(name, None, f"{code}: {told}" if code else told, code in UNASKED)
        body = dig(line, "response", "body")
        if status not in (None, 200):
            told = text_of(dig(body, "error", "message") or dig(body, "message"), "no message")
            return Result(name, None, f"HTTP {status}: {told}")
        try:
            return Result(name, completion(body))
        except BadAnswer as bad:
            return Result(name, None, str(bad))
