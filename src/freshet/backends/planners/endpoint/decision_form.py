"""Form: the server itself tells the probability of each option (`/v1/systemone` of transformers serve)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from freshet.backends.planners.endpoint.chat import ChatAnswer, ChatRequest, Choice, Invalid
from freshet.backends.planners.endpoint.letters_form import ranked
from freshet.backends.planners.endpoint.wording import messages, options_of
from freshet.core.types import Prompt

MOST = 26
"""Options of one question: the server gives them the letters A to Z itself."""


class DecisionForm:
    """Nothing is written; the server lists the options in its own way.

    Args:
        names: descriptions of all interests.
    """

    name = "decision"

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def request(self, prompt: Prompt, before: Invalid | None = None) -> ChatRequest:
        asked = messages(prompt, self.names, "", before, labelled=False, listed=False)
        decides = tuple(self.names[option] for option in options_of(prompt, self.names))
        return ChatRequest(asked, max_tokens=1, decides=decides)

    def choice(self, prompt: Prompt, answer: ChatAnswer) -> Choice | Invalid:
        options = options_of(prompt, self.names)
        told = dict(answer.logprobs)
        missing = [self.names[option] for option in options if self.names[option] not in told]
        if missing:
            return Invalid(f"the server gave no probability for {missing[0]!r}")
        share = np.array([max(math.exp(min(told[self.names[option]], 0.0)), 1e-30) for option in options])
        return ranked(options, share / max(float(share.sum()), 1.0))
