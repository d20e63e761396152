"""Form: free text, one description a line, held against the interests there are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from freshet.backends.planners.endpoint.chat import ChatAnswer, ChatRequest, Choice, Invalid
from freshet.backends.planners.endpoint.list_form import NAMED, by_rank
from freshet.backends.planners.endpoint.wording import lines_of, messages, options_of, quoted
from freshet.core.types import Prompt

_BULLET = re.compile(r"^\s*(?:[-*+•]+|\(?\d+[.):])\s*")
_NO_WORD = re.compile(r"[\W_]+")


class TextForm:
    """Up to five descriptions, best first, with the shares of `ListForm`.

    The first line has to be a description, whatever its case, its punctuation and its bullet; of the others,
    those that are none are left out. Thus no interest is invented, and the model's first choice is its own.

    Args:
        names: descriptions of all interests.
    """

    name = "text"

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def request(self, prompt: Prompt, before: Invalid | None = None) -> ChatRequest:
        options = options_of(prompt, self.names)
        how = (
            f"Answer with up to {min(NAMED, len(options))} lines, the most likely interest first. Each line "
            "is the description of an interest from the list, word for word, and nothing else."
        )
        asked = messages(prompt, self.names, how, before, labelled=False)
        longest = max(map(len, lines_of(prompt, self.names)))
        return ChatRequest(asked, max_tokens=NAMED * (longest + 4))

    def choice(self, prompt: Prompt, answer: ChatAnswer) -> Choice | Invalid:
        options = options_of(prompt, self.names)
        alike = Counter(plain(self.names[option]) for option in options)
        known = {name: option for option in options if alike[name := plain(self.names[option])] == 1}
        exact = dict(zip(lines_of(prompt, self.names), options, strict=True))
        exact |= {self.names[option]: option for option in options}
        lines = [line for line in answer.text.splitlines() if plain(line)]
        if not lines:
            return Invalid("it was empty")
        found = [exact.get(line.strip(), known.get(plain(line))) for line in lines[: 2 * NAMED]]
        if found[0] is None:
            return Invalid(f"{quoted(lines[0])} is no description from the list")
        kept = dict.fromkeys(option for option in found if option is not None)
        return by_rank(list(kept)[:NAMED])


def plain(line: str) -> str:
    """A line without bullet, punctuation, case and spaces that don't matter."""
    return _NO_WORD.sub(" ", _BULLET.sub("", line).casefold()).strip()
