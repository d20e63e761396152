"""What the layouts of batch files have in common: a request becomes a line, a line of results an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from freshet.backends.planners.endpoint.chat import ChatAnswer, ChatRequest

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a provider takes in one file: so many requests, and so many bytes."""

    requests: int
    size: int


@dataclass(frozen=True, slots=True)
class Result:
    """What one line of a results file says.

    Attributes:
        name: of the request in its file.
        answer: None where there is none.
        problem: why there is none.
        unasked: the model never saw the request (the batch expired or was cancelled), so that it is no sign
            of a bad one.
    """

    name: str
    answer: ChatAnswer | None = None
    problem: str = ""
    unasked: bool = False


class BadLine(Exception):
    """A line of a results file is not of the layout."""


class Layout(Protocol):
    """How a provider wants requests, and how it answers."""

    @property
    def name(self) -> str:
        """In settings: `openai`, `gemini` or `anthropic`."""

    @property
    def limits(self) -> Limits:
        """Of one file of requests."""

    @property
    def logprobs(self) -> bool:
        """Whether answers can hold log-probabilities."""

    def line(self, name: str, request: ChatRequest) -> dict[str, Any]:
        """The line of a request under a name of at most 64 letters, digits, `_` and `-`."""

    def result(self, line: Mapping[str, Any]) -> Result:
        """What a line of results says.

        Raises:
            BadLine: it has another shape.
        """


def only(schema: Any, known: frozenset[str]) -> Any:
    """A JSON schema without the keywords that a provider refuses; the form checks what is lost in answers.

    Names of properties and values of `enum` are no keywords, and stay.
    """
    if isinstance(schema, list):
        return [only(part, known) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    found: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "properties":
            found[name] = {key: only(part, known) for key, part in value.items()}
        elif name in ("enum", "const", "required", "propertyOrdering") and name in known:
            found[name] = value
        elif name in known:
            found[name] = only(value, known)
    return found


def dig(content: Any, *path: str | int) -> Any:
    """The value at a path of keys and places in JSON, None where there is none."""
    for step in path:
        if isinstance(content, Mapping) and isinstance(step, str):
            content = content.get(step)
        elif isinstance(content, list) and isinstance(step, int) and -len(content) <= step < len(content):
            content = content[step]
        else:
            return None
    return content


def count(content: Any, *path: str | int) -> int:
    """The number of tokens at a path, 0 where there is none."""
    found = dig(content, *path)
    return found if type(found) is int and found > 0 else 0


def text_of(value: Any, otherwise: str = "") -> str:
    """A text from JSON in one line of at most 200 characters."""
    return " ".join(str(value).split())[:200] if value else otherwise


def pairs(alternatives: Any, name: str, value: str) -> tuple[tuple[str, float], ...]:
    """(token, log-probability) of a list of alternatives; what has no number is left out."""
    found = []
    for entry in alternatives if isinstance(alternatives, list) else ():
        token, logp = dig(entry, name), dig(entry, value)
        if isinstance(token, str) and isinstance(logp, int | float) and not math.isnan(logp):
            found.append((token, min(float(logp), 0.0)))  # rounding may leave a little above 0
    return tuple(found)
