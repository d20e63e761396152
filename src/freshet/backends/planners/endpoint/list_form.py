"""Form: an ordered list of labels, which a JSON schema keeps the model from leaving."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from freshet.backends.planners.endpoint.chat import ChatAnswer, ChatRequest, Choice, Invalid
from freshet.backends.planners.endpoint.wording import labels, messages, options_of, quoted
from freshet.core.types import Prompt

MOST = 400
"""Options that are listed in a prompt at most: schemas have limits, and so has a model's patience."""

NAMED = 5
"""Options that an answer names at most."""

_WRITTEN = 96
"""Tokens that five labels in JSON take at most, with the spaces that some grammars allow."""


class ListForm:
    """Up to five labels, best first. Place r gets the share 2^-(r+1); what is left over belongs to the rest.

    Nothing tells how sure the model is, so the shares are fixed: 1/2, 1/4 and so on. The table's mixture
    weighs them by what held-out windows say.

    Args:
        names: descriptions of all interests.
    """

    name = "list"

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def request(self, prompt: Prompt, before: Invalid | None = None) -> ChatRequest:
        options = options_of(prompt, self.names)
        count = min(NAMED, len(options))
        how = (
            f'Answer with JSON such as {{"best": ["{labels(len(options))[0]}"]}}: the labels of up to '
            f"{count} different interests, the most likely first."
        )
        asked = messages(prompt, self.names, how, before, labelled=True)
        return ChatRequest(asked, max_tokens=_WRITTEN, schema=schema(labels(len(options)), count))

    def choice(self, prompt: Prompt, answer: ChatAnswer) -> Choice | Invalid:
        options = options_of(prompt, self.names)
        place = {label: number for number, label in enumerate(labels(len(options)))}
        listed = best_of(answer.text)
        if not listed:
            return Invalid(f'{quoted(answer.text)} is no JSON with a list "best"')
        known = [place[label] for label in listed if label in place]
        if not known or listed[0] not in place:
            return Invalid(f"{quoted(listed[0])} is no label of an interest")
        return by_rank([options[number] for number in dict.fromkeys(known)][:NAMED])


def schema(values: Sequence[str], count: int) -> dict[str, Any]:
    """JSON schema of an object whose list `best` holds 1 to `count` of the values."""
    best = {
        "type": "array",
        "items": {"type": "string", "enum": list(values)},
        "minItems": 1,
        "maxItems": count,
    }
    return {
        "type": "object",
        "properties": {"best": best},
        "required": ["best"],
        "additionalProperties": False,
    }


def best_of(text: str) -> list[str]:
    """The list `best` in a JSON answer, () without one; a code fence around it is no matter."""
    start, end = text.find("{"), text.rfind("}")
    try:
        content = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return []
    best = content.get("best") if isinstance(content, dict) else None
    return [str(label).strip() for label in best] if isinstance(best, list) else []


def by_rank(options: Sequence[int]) -> Choice:
    """Shares of 1/2, 1/4, ... for different options in their order."""
    places = np.arange(1, len(options) + 1)
    return Choice(np.array(options, np.int16), (-places * np.log(2.0)).astype(np.float32))
