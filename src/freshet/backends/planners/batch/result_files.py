"""Taking results in: lines in any order, of several batches, with errors, repeats and a last line cut short."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from freshet.backends.planners.batch.anthropic_layout import AnthropicLayout
from freshet.backends.planners.batch.gemini_layout import GeminiLayout
from freshet.backends.planners.batch.layout import BadLine, Layout, Result
from freshet.backends.planners.batch.openai_layout import OpenAILayout
from freshet.core.errors import InputError

_ANTHROPIC, _GEMINI, _OPENAI = AnthropicLayout("", {}), GeminiLayout({}), OpenAILayout("", {})


@dataclass(slots=True)
class Taken:
    """What results files held.

    Attributes:
        answered: requests that have an answer now and had none before.
        repeated: answers to requests that were answered already; the first one counts.
        failed, unasked: requests without an answer; see `Result.unasked`.
        unknown: lines of requests that no batch of this workspace holds.
        unreadable: (file, line number, reason) of lines that are of no layout.
        read, written: tokens of the answers that are new.
        problems: how often each problem occurred.
    """

    answered: int = 0
    repeated: int = 0
    failed: int = 0
    unasked: int = 0
    unknown: int = 0
    unreadable: list[tuple[str, int, str]] = field(default_factory=list)
    read: int = 0
    written: int = 0
    problems: dict[str, int] = field(default_factory=dict)

    def add(self, more: Taken) -> None:
        """Join what another file held."""
        for name in ("answered", "repeated", "failed", "unasked", "unknown", "read", "written"):
            setattr(self, name, getattr(self, name) + getattr(more, name))
        self.unreadable += more.unreadable
        for problem, times in more.problems.items():
            self.problems[problem] = self.problems.get(problem, 0) + times


def results_of(lines: Iterable[bytes]) -> Iterator[tuple[int, Result | BadLine]]:
    """(line number, result) of every line that isn't blank, whatever its layout."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield number, _result(line)
        except BadLine as error:
            yield number, error


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file.

    Raises:
        InputError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise InputError(
            f"{path} can't be read: {error.strerror}", hint="name the file of results that the provider gave"
        ) from None


def _result(line: bytes) -> Result:
    try:
        content: Any = json.loads(line)
    except (ValueError, RecursionError):
        whole = line.endswith(b"\n")
        raise BadLine("it is no JSON" if whole else "it is no JSON: the file may be cut short") from None
    if not isinstance(content, Mapping):
        raise BadLine("it is no JSON object")
    return _layout_of(content).result(content)


def _layout_of(content: Mapping[str, Any]) -> Layout:
    """The layout by what a line holds, so that files of several providers can be read together."""
    if "key" in content:
        return _GEMINI
    if "result" in content:
        return _ANTHROPIC
    if "custom_id" in content and ("response" in content or "error" in content):
        return _OPENAI
    raise BadLine("it is no result: expected `custom_id` with `response` or `result`, or `key`")
