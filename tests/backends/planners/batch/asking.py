"""A form, answers and batches to test the flow with: no model, no server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from freshet.backends.planners.endpoint.chat import ChatAnswer, ChatRequest, Choice, Invalid
from freshet.core.types import Prompt


class Words:
    """Asks for one name of `names`, and reads it."""

    name = "words"

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def request(self, prompt: Prompt, before: Invalid | None = None) -> ChatRequest:
        wrong = f" Not {before.reason}." if before else ""
        return ChatRequest((("user", prompt.text + wrong),), 8)

    def choice(self, prompt: Prompt, answer: ChatAnswer) -> Choice | Invalid:
        if answer.text not in self.names:
            return Invalid(repr(answer.text))
        place = self.names.index(answer.text)
        return Choice(np.array([place], np.int16), np.array([-0.1], np.float32))


class Kept:
    """Answers in memory."""

    def __init__(self) -> None:
        self.answers: dict[str, ChatAnswer] = {}

    def find(self, ids: Iterable[str]) -> dict[str, ChatAnswer]:
        return {key: self.answers[key] for key in ids if key in self.answers}

    def keep(self, answers: Mapping[str, ChatAnswer]) -> None:
        self.answers |= answers


def asked(folder: Path) -> dict[str, str]:
    """Name of each request -> what it asks, of all request files below a folder."""
    lines = [
        json.loads(line)
        for path in sorted(folder.rglob("requests-*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    return {line["custom_id"]: line["body"]["messages"][-1]["content"] for line in lines}


def answered(name: str, text: str) -> dict[str, Any]:
    """A line of OpenAI's results."""
    body = {
        "choices": [{"message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2},
    }
    return {"id": "x", "custom_id": name, "response": {"status_code": 200, "body": body}, "error": None}


def failed(name: str, code: str) -> dict[str, Any]:
    """A line of OpenAI's error file."""
    return {"id": "x", "custom_id": name, "response": None, "error": {"code": code, "message": "no"}}


def results(path: Path, *lines: dict[str, Any]) -> Path:
    """A file of results."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
