"""Form: options have letters, and the first token's log-probabilities say how likely each letter is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from freshet.backends.planners.endpoint.chat import ChatAnswer, ChatRequest, Choice, Invalid
from freshet.backends.planners.endpoint.wording import LETTERS, labels, messages, options_of, quoted
from freshet.core.types import Prompt

MOST = len(LETTERS)
"""Options that letters are enough for."""

HOW = "Answer with the letter of one interest and nothing else."

_LEAST = 1e-9
"""Probability of a letter of which nothing is known, at the least."""


class LettersForm:
    """One token of answer, whose alternatives are read.

    Servers give the likeliest alternatives only, often 20. A letter that is missing gets less than the least
    of them: an equal share of what they leave open, and at most half of the least.

    Args:
        names: descriptions of all interests.
        alternatives: log-probabilities that the server gives.
    """

    name = "letters"

    def __init__(self, names: Sequence[str], alternatives: int) -> None:
        self.names = names
        self.alternatives = alternatives

    def request(self, prompt: Prompt, before: Invalid | None = None) -> ChatRequest:
        asked = messages(prompt, self.names, HOW, before, labelled=True)
        return ChatRequest(asked, max_tokens=1, top_logprobs=self.alternatives)

    def choice(self, prompt: Prompt, answer: ChatAnswer) -> Choice | Invalid:
        options = options_of(prompt, self.names)
        place = {label: number for number, label in enumerate(labels(len(options)))}
        share = np.zeros(len(options))
        for token, logp in answer.logprobs:
            if (number := place.get(bare(token))) is not None:
                share[number] += math.exp(min(logp, 0.0))
        if not share.any():
            return Invalid(f"{quoted(answer.text)} is no letter of an interest")
        given = [math.exp(min(logp, 0.0)) for _, logp in answer.logprobs]
        missing = share == 0
        open_share = max(1.0 - sum(given), 0.0) / max(int(missing.sum()), 1)
        least = min(*given, float(share[~missing].min()))
        share[missing] = max(min(open_share, least / 2), _LEAST * least, 1e-300)  # some tell -9999 for none
        return ranked(options, share / max(float(share.sum()), 1e-300))


def bare(token: str) -> str:
    """A token without what tokenizers and habits put around a letter: spaces, their marks, a full stop."""
    return token.strip(" \t\r\n\u2581\u0120\u010a.:)(*\"'")


def ranked(options: Sequence[int], share: NDArray[np.float64]) -> Choice:
    """The choice of options by their shares (n,), which sum to at most 1."""
    order = np.argsort(-share, kind="stable")
    logp = np.minimum(np.log(share[order]), 0.0)
    return Choice(np.array(options, np.int16)[order], logp.astype(np.float32))
