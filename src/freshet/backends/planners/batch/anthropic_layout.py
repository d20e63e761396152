"""Anthropic's Message Batches: parameters of the Messages API, each under a custom id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freshet.backends.planners.batch.layout import (
    MB,
    BadLine,
    Limits,
    Result,
    count,
    dig,
    only,
    text_of,
)
from freshet.backends.planners.endpoint.chat import ChatAnswer, ChatRequest
from freshet.backends.planners.endpoint.chat_wire import merged

SCHEMA = frozenset((
    "type", "format", "title", "description", "enum", "const", "items", "properties", "required",
    "additionalProperties", "anyOf", "allOf", "$ref", "$defs", "definitions", "default",
))  # fmt: skip
"""Keywords that structured outputs take; they refuse limits of numbers, lengths and lists."""


class AnthropicLayout:
    """`{"custom_id", "params"}` a line, which are joined into one request; results in any order.

    No temperature is sent: models from Opus 4.7 and Sonnet 5 on refuse it, whatever its value. There are no
    log-probabilities.

    Args:
        model: what the provider calls it.
        body: further fields of each request, see `chat_wire.merged`.
    """

    name = "anthropic"
    limits = Limits(100_000, 256 * MB)
    logprobs = False

    def __init__(self, model: str, body: Mapping[str, Any]) -> None:
        self._model = model
        self._body = body

    def line(self, name: str, request: ChatRequest) -> dict[str, Any]:
        """The line of a request."""
        params: dict[str, Any] = {
            "model": self._model,
            "max_tokens": request.max_tokens,
            "messages": [
                {"role": role, "content": text} for role, text in request.messages if role != "system"
            ],
        }
        if system := "\n\n".join(text for role, text in request.messages if role == "system"):
            params["system"] = system
        if request.schema is not None:
            schema = only(request.schema, SCHEMA)
            params["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        return {"custom_id": name, "params": merged(params, self._body)}

    def result(self, line: Mapping[str, Any]) -> Result:
        """What a line of results says."""
        name, kind = line.get("custom_id"), dig(line, "result", "type")
        if not (isinstance(name, str) and isinstance(kind, str)):
            raise BadLine("it has no `custom_id` and `result.type`")
        if kind != "succeeded":
            error = dig(line, "result", "error")
            told = text_of(dig(error, "error", "message") or dig(error, "message"))
            return Result(name, None, f"{kind}: {told}" if told else kind, kind in ("canceled", "expired"))
        message = dig(line, "result", "message")
        texts = [
            dig(block, "text") for block in dig(message, "content") or () if dig(block, "type") == "text"
        ]
        read = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        answer = ChatAnswer(
            "".join(text for text in texts if isinstance(text, str)),
            (),
            sum(count(message, "usage", name) for name in read),
            count(message, "usage", "output_tokens"),
        )
        return Result(name, answer)
