"""The end of the demo: the release is served and asked what may come next for somebody with a history."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

from freshet.core.errors import MissingExtra, NotServing
from freshet.core.escaping import visible

if TYPE_CHECKING:
    from rich.console import Console

INTERESTS, ITEMS = 3, 3
PATIENCE = 180.0
"""Seconds for an answer, the first one of the process."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What somebody did, as items, and the service's answer to `POST /v1/explore`."""

    did: tuple[str, ...]
    answer: dict[str, Any]


def visit(folder: Path, items: Sequence[str]) -> Visit:
    """Serve a workspace with the real service, and ask what comes next for somebody with a history.

    A user who is made up must not get into the log, so the history is part of the question.

    Args:
        items: ids of what they engaged, oldest first.

    Raises:
        MissingExtra: the service is not installed.
        NotServing: it did not come up, or did not answer.
    """
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise MissingExtra("`freshet serve` is not installed", hint="pip install 'freshet[serve]'")
    with _service(folder) as url:
        question = {"history": list(items), "interests": INTERESTS, "items": ITEMS, "explain": True}
        return Visit(tuple(items), _post(f"{url}/v1/explore", question))


def show(console: Console, found: Visit) -> None:
    """The recommendation, and why."""
    answer = found.answer
    done = ", ".join(found.did)
    line = f"somebody engaged {done}: {' -> '.join(answer['context'])}"
    console.print(visible(line, lines=False), soft_wrap=True)
    for place, recommended in enumerate(answer["interests"], 1):
        console.print(f"{place}. {recommended['description']}", style="bold", soft_wrap=True)
        console.print(f"   {recommended['explanation']['because']}", soft_wrap=True)
        shown = [f"{item['title'] or item['id']} ({item['reason']})" for item in recommended["items"]]
        if shown:
            console.print(visible(f"   to show: {', '.join(shown)}", lines=False), soft_wrap=True)


@contextmanager
def _service(folder: Path) -> Iterator[str]:
    """The service as a process of its own, on a free port, until the block ends; gives its address."""
    command = [sys.executable, "-m", "freshet", "serve", "-w", str(folder), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("{") or "url" not in (document := json.loads(line)):
                raise NotServing(
                    "the service did not come up", hint=f"`freshet serve -w {folder}` says what is wrong"
                )
            yield document["url"]
        finally:
            process.terminate()


def _post(url: str, content: dict[str, Any]) -> dict[str, Any]:
    body, kind = json.dumps(content).encode(), {"Content-Type": "application/json"}
    try:
        with urlopen(Request(url, body, kind), timeout=PATIENCE) as reply:
            found = json.load(reply)
    except OSError as error:
        raise NotServing(
            f"the service did not answer within {PATIENCE:.0f} s: {error}",
            hint="the first question with an explanation opens the model, which takes long on a busy machine",
        ) from None
    assert isinstance(found, dict)
    return found
