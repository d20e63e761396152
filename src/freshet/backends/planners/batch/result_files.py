"""Files of results: lines of any provider in any order, with errors, and maybe a last line cut short."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from freshet.backends.planners.batch.anthropic_layout import AnthropicLayout
from freshet.backends.planners.batch.gemini_layout import GeminiLayout
from freshet.backends.planners.batch.layout import BadLine, Layout, Result
from freshet.backends.planners.batch.openai_layout import OpenAILayout
from freshet.core.errors import InputError

_ANTHROPIC, _GEMINI, _OPENAI = AnthropicLayout("", {}), GeminiLayout({}), OpenAILayout("", {})


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
