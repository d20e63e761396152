"""Gemini's Batch API: lines of `GenerateContentRequest`, each under a key."""

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
    pairs,
    text_of,
)
from freshet.backends.planners.endpoint.chat import ChatAnswer, ChatRequest
from freshet.backends.planners.endpoint.chat_wire import merged

SCHEMA = frozenset((
    "type", "format", "title", "description", "nullable", "enum", "items", "minItems", "maxItems",
    "properties", "required", "propertyOrdering", "anyOf", "minimum", "maximum", "minLength", "maxLength",
    "pattern",
))  # fmt: skip
"""Keywords that `responseSchema` knows; it refuses others, `additionalProperties` among them."""

_CANCELLED, _DEADLINE = 1, 4
"""Status codes of requests that the batch ended before."""


class GeminiLayout:
    """`{"key", "request"}` a line; results in any order, with `response` or `error`.

    Args:
        body: further fields of each request, see `chat_wire.merged`.
    """

    name = "gemini"
    limits = Limits(10**9, 2000 * MB)
    logprobs = True

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body

    def line(self, name: str, request: ChatRequest) -> dict[str, Any]:
        """The line of a request; the model is named when the batch is made, not in the file."""
        chosen: dict[str, Any] = {"temperature": 0, "maxOutputTokens": request.max_tokens}
        if request.top_logprobs:
            chosen |= {"responseLogprobs": True, "logprobs": request.top_logprobs}
        if request.schema is not None:
            chosen |= {
                "responseMimeType": "application/json",
                "responseSchema": only(request.schema, SCHEMA),
            }
        roles = {"user": "user", "assistant": "model"}
        body: dict[str, Any] = {
            "contents": [
                {"role": roles[role], "parts": [{"text": text}]}
                for role, text in request.messages
                if role != "system"
            ],
            "generationConfig": chosen,
        }
        if system := [{"text": text} for role, text in request.messages if role == "system"]:
            body["systemInstruction"] = {"parts": system}
        return {"key": name, "request": merged(body, self._body)}

    def result(self, line: Mapping[str, Any]) -> Result:
        """What a line of a responses file says."""
        name = line.get("key")
        if not isinstance(name, str):
            raise BadLine("it has no `key`")
        if error := line.get("error"):
            told = text_of(dig(error, "message") or error)
            return Result(name, None, told, dig(error, "code") in (_CANCELLED, _DEADLINE))
        response = line.get("response")
        candidate = dig(response, "candidates", 0)
        if not isinstance(candidate, Mapping):
            blocked = text_of(dig(response, "promptFeedback", "blockReason"))
            return Result(name, None, f"blocked: {blocked}" if blocked else "the answer holds no candidate")
        parts = dig(candidate, "content", "parts")
        texts = [dig(part, "text") for part in parts or () if not dig(part, "thought")]
        usage = "usageMetadata"
        answer = ChatAnswer(
            "".join(text for text in texts if isinstance(text, str)),
            pairs(
                dig(candidate, "logprobsResult", "topCandidates", 0, "candidates"), "token", "logProbability"
            ),
            count(response, usage, "promptTokenCount"),
            count(response, usage, "candidatesTokenCount") + count(response, usage, "thoughtsTokenCount"),
        )
        return Result(name, answer)
