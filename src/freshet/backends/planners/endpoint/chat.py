"""One question to a chat model and its answer, whatever carries them: HTTP now, or a batch file for later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Prompt


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request for one chat completion, at temperature 0.

    Attributes:
        messages: (role, text) in order; roles are `system`, `user` and `assistant`.
        max_tokens: the model writes at most so many.
        schema: JSON schema that the answer has to follow; None = free text.
        top_logprobs: alternatives of the first token whose log-probabilities are wanted; 0 = none.
        decides: what to choose among, for a server that gives a probability for each and writes nothing; () =
            the model writes.
    """

    messages: tuple[tuple[str, str], ...]
    max_tokens: int
    schema: Mapping[str, Any] | None = None
    top_logprobs: int = 0
    decides: tuple[str, ...] = ()

    def id(self, planner: str) -> str:
        """Identity of the request to a planner (its version): equal exactly where the answer would be."""
        parts = [planner, self.messages, self.max_tokens, self.schema, self.top_logprobs, self.decides]
        return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """What came back.

    Attributes:
        text: the completion.
        logprobs: (token, natural log of its probability) of the first token's alternatives, or of what there
            was to decide; () where the server gives none.
        read, written: tokens as the server counted them, 0 where it doesn't say.
    """

    text: str
    logprobs: tuple[tuple[str, float], ...] = ()
    read: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class Invalid:
    """Why an answer is no choice among those there were."""

    reason: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A valid answer: (m,) interests best first, and (m,) log-probabilities whose shares sum to at most 1."""

    successors: NDArray[np.int16]
    logp: NDArray[np.float32]


class Form(Protocol):
    """How a prompt is asked, and how its answer is read."""

    @property
    def name(self) -> str:
        """Name in settings and messages; part of the planner's version."""

    def request(self, prompt: Prompt, before: Invalid | None = None) -> ChatRequest:
        """The request of a prompt; asked again, it says what was wrong with the answer before."""

    def choice(self, prompt: Prompt, answer: ChatAnswer) -> Choice | Invalid:
        """What the model chose, or why that can't be told."""
