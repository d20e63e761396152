"""Calls of models as OpenTelemetry's conventions for generative AI name them. They still move: all are here.

No prompt and no answer is part of a span: they may hold what is nobody else's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from freshet.core import tracing
from freshet.core.tracing import Value

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
MAX_TOKENS = "gen_ai.request.max_tokens"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
SERVER, PORT = "server.address", "server.port"
COMPATIBLE = "openai"
"""The protocol that all servers here speak, whoever runs them."""

Operation = Literal["chat", "text_completion", "embeddings"]


@dataclass(slots=True)
class Call:
    """A call under way."""

    _told: dict[str, Value]

    def used(self, read: int, written: int) -> None:
        """Tokens that it took, as the server counted them; 0 = it doesn't say."""
        if read:
            self._told[INPUT_TOKENS] = read
        if written:
            self._told[OUTPUT_TOKENS] = written


@contextmanager
def call(operation: Operation, base: str, model: str, max_tokens: int = 0) -> Iterator[Call]:
    """A call of a model.

    Args:
        base: address of the server.
        max_tokens: that it may write; 0 = it writes none.
    """
    if tracing.tracer() is None:
        yield Call({})
        return
    parts = urlsplit(base)
    attributes: dict[str, Value] = {
        OPERATION: operation,
        PROVIDER: COMPATIBLE,
        REQUEST_MODEL: model,
        SERVER: parts.hostname or "",
        PORT: parts.port or (443 if parts.scheme == "https" else 80),
    }
    if max_tokens:
        attributes[MAX_TOKENS] = max_tokens
    with tracing.call(f"{operation} {model}", attributes) as told:
        yield Call(told)
