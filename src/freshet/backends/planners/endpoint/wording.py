"""What every form of question has in common: the task, the options with their labels, what was wrong before.

What is alike in all prompts comes first, so that a server that keeps what prompts begin with reads it once:
the task, how to answer and, where all interests can be chosen, their list stand in the system message.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

from freshet.backends.planners.endpoint.chat import Invalid
from freshet.core.types import Prompt

WORDING = 1
"""Raised when the same prompt is worded in another way; part of the planner's version."""

TASK = (
    "You predict what a person will be interested in next. Interests are described by keywords. You are told "
    "the interests that the person took up last, the latest one last, and perhaps what other people with the "
    "same interests took up next. Choose the interest that the person will most likely take up next and does "
    "not have yet."
)
"""The system message of prompts that come without one."""

LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits
"""Labels of one token in any tokenizer; what comes after the capitals is for more than 26 options."""


def labels(count: int) -> list[str]:
    """Labels of so many options: letters, or numbers where there are more than letters."""
    return list(LETTERS[:count]) if count <= len(LETTERS) else [str(number + 1) for number in range(count)]


def options_of(prompt: Prompt, names: Sequence[str]) -> Sequence[int]:
    """The interests to choose among."""
    return prompt.options or range(len(names))


def lines_of(prompt: Prompt, names: Sequence[str]) -> Sequence[str]:
    """How each option reads, in their order."""
    return prompt.listing or [names[option] for option in options_of(prompt, names)]


def messages(
    prompt: Prompt,
    names: Sequence[str],
    how: str,
    before: Invalid | None,
    *,
    labelled: bool,
    listed: bool = True,
) -> tuple[tuple[str, str], ...]:
    """The messages of a question.

    Args:
        names: of all interests.
        how: instruction on the form of the answer.
        before: what was wrong with the answer before, if there was one.
        labelled: whether options are listed with their labels.
            listed: whether they are listed at all.
    """
    listing = ""
    if listed:
        lines = lines_of(prompt, names)
        if labelled:
            lines = [f"{label}. {line}" for label, line in zip(labels(len(lines)), lines, strict=True)]
        listing = "The interests to choose from:\n" + "\n".join(lines)
    own = bool(prompt.options)
    system = "\n\n".join(part for part in (prompt.system or TASK, "" if own else listing, how) if part)
    parts = [prompt.text, listing if own else ""]
    if before is not None:
        parts.append(f"An earlier answer was not valid: {before.reason}. {how}")
    return ("system", system), ("user", "\n\n".join(part for part in parts if part))


def quoted(text: str) -> str:
    """What a model wrote, short enough for a message."""
    line = " ".join(text.split())
    return repr(line if len(line) <= 60 else line[:57] + "...")
