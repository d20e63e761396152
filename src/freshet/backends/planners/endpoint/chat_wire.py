"""A chat request and its answer as OpenAI's protocol writes them, with what servers do differently."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from freshet.backends.planners.endpoint.chat import ChatAnswer, ChatRequest


class BadAnswer(Exception):
    """An answer that is none.

    Attributes:
        cut_short: it ended early or was garbled on the way, so that asking again may help.
    """

    def __init__(self, message: str, *, cut_short: bool = False) -> None:
        super().__init__(message)
        self.cut_short = cut_short


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a server wants to be asked.

    Attributes:
        limit: its name for the most tokens of an answer.
        temperature: whether it lets a request choose 0; some models have a fixed one.
        system: whether its chat template has system messages; otherwise the user's begins with them.
        extra: what each request holds besides, by `[planner] request`; see `merged`.
    """

    limit: str = "max_tokens"
    temperature: bool = True
    system: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)


def body_of(request: ChatRequest, model: str, dialect: Dialect) -> dict[str, Any]:
    """The JSON body of `/chat/completions`."""
    messages = request.messages
    if not dialect.system and messages[0][0] == "system":
        (_, system), (role, text), *rest = messages
        messages = ((role, f"{system}\n\n{text}"), *rest)
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": role, "content": text} for role, text in messages],
        dialect.limit: request.max_tokens,
    }
    if dialect.temperature:
        body["temperature"] = 0
    if request.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    if request.schema is not None:
        schema = {"name": "answer", "strict": True, "schema": dict(request.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return merged(body, dialect.extra)


def merged(body: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """A body with further fields: objects are joined, all else is replaced, and a field of '' is left out."""
    found = dict(body)
    for name, value in more.items():
        if value == "":
            found.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(found.get(name), Mapping):
            found[name] = merged(found[name], value)
        else:
            found[name] = value
    return found


def answer_of(body: bytes) -> ChatAnswer:
    """The answer in the body of a chat completion.

    Raises:
        BadAnswer: it is no such body.
    """
    return completion(_json(body))


def completion(content: Mapping[str, Any]) -> ChatAnswer:
    """The answer in a chat completion.

    Raises:
        BadAnswer: it is none.
    """
    try:
        choice = content["choices"][0]
        text = choice["message"].get("content") or ""
        first = ((choice.get("logprobs") or {}).get("content") or [{}])[0]
        given = {str(one["token"]): float(one["logprob"]) for one in first.get("top_logprobs") or ()}
        usage = content.get("usage") or {}
        return ChatAnswer(
            str(text),
            tuple((token, logp) for token, logp in given.items() if math.isfinite(logp)),
            max(int(usage.get("prompt_tokens") or 0), 0),
            max(int(usage.get("completion_tokens") or 0), 0),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadAnswer(f"the answer is no chat completion: {type(error).__name__}: {error}") from None


def decision_body(request: ChatRequest, model: str) -> dict[str, Any]:
    """The JSON body of `/systemone`: what is decided, by the text of all messages."""
    question = {"type": "choice", "criteria": dict.fromkeys(request.decides)}
    state = "\n\n".join(text for _, text in request.messages)
    return {"model": model, "state": state, "questions": {"next": question}}


def decision_of(body: bytes) -> ChatAnswer:
    """The answer in the body of a decision: the likeliest option, and the log-probability of each.

    Raises:
        BadAnswer: it is no such body.
    """
    content = _json(body)
    try:
        answer = content["answers"]["next"]
        told = {str(name): float(share) for name, share in answer["probabilities"].items()}
        usage = content.get("usage") or {}
        logp = tuple((name, math.log(share) if share > 0 else -99.0) for name, share in told.items())
        return ChatAnswer(str(answer["choice"]), logp, max(int(usage.get("input_tokens") or 0), 0), 0)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadAnswer(f"the answer is no decision: {type(error).__name__}: {error}") from None


def _json(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"the answer is no JSON: {error}", cut_short=True) from None
    if not isinstance(content, dict):
        raise BadAnswer("the answer is no JSON object")
    return content
