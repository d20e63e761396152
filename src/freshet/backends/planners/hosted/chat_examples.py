"""Examples of successors as chats that end with the answer, in the form in which the model is asked later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from freshet.backends.planners.endpoint.chat import Form
from freshet.backends.planners.endpoint.wording import labels, options_of
from freshet.core.types import Example

FORMS = ("letters", "list", "text")
"""Forms whose answers can be written for a successor; in decisions nothing is written."""


@dataclass(frozen=True, slots=True)
class Chats:
    """A file of examples.

    Attributes:
        content: lines of JSON.
        examples: in it; those whose successor is no option of their prompt are left out.
        letters: that a model reads of it in one pass.
    """

    content: bytes
    examples: int
    letters: int


def chats(form: Form, names: Sequence[str], examples: Sequence[Example]) -> Chats:
    """A line `{"messages": [...]}` for each example, in their order.

    Args:
        form: one of `FORMS`.
        names: descriptions of all interests.
    """
    lines: list[str] = []
    letters = 0
    for example in examples:
        options = list(options_of(example.prompt, names))
        if example.successor not in options:
            continue
        asked = form.request(example.prompt).messages
        answer = _answer(form.name, names, options, example.successor)
        messages = [{"role": role, "content": text} for role, text in (*asked, ("assistant", answer))]
        lines.append(json.dumps({"messages": messages}, ensure_ascii=False))
        letters += sum(len(message["content"]) for message in messages)
    content = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    return Chats(content, len(lines), letters)


def _answer(form: str, names: Sequence[str], options: Sequence[int], successor: int) -> str:
    if form == "text":
        return names[successor]
    label = labels(len(options))[options.index(successor)]
    return label if form == "letters" else json.dumps({"best": [label]})
