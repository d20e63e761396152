"""Form: the server itself tells the probability of each option (`/v1/systemone` of transformers serve)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from freshet.backends.planners.endpoint.chat import ChatAnswer, ChatRequest, Choice, Invalid
from freshet.backends.planners.endpoint.letters_form import ranked
from freshet.backends.planners.endpoint.wording import lines_of, messages, options_of
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
        return ChatRequest(asked, max_tokens=1, decides=tuple(lines_of(prompt, self.names)))

    def choice(self, prompt: Prompt, answer: ChatAnswer) -> Choice | Invalid:
        lines, told = lines_of(prompt, self.names), dict(answer.logprobs)
        missing = [line for line in lines if line not in told]
        if missing:
            return Invalid(f"the server gave no probability for {missing[0]!r}")
        share = np.array([max(math.exp(min(told[line], 0.0)), 1e-30) for line in lines])
        return ranked(options_of(prompt, self.names), share / max(float(share.sum()), 1.0))
