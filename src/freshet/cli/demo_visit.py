"""The demo's service: serves from the first release on, and is asked at the end what may come next."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from threading import Event, Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

from freshet.core.errors import MissingExtra, NotServing
from freshet.core.escaping import visible

if TYPE_CHECKING:
    from rich.console import Console

    from freshet.storage.workspace import Workspace

INTERESTS, ITEMS = 3, 3
PATIENCE = 180.0
"""Seconds for an answer, the first one of the process."""
LOOK_EVERY = 0.2
"""Seconds from one look at what is published, or served, to the next."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What somebody did, as items, and the service's answer to `POST /v1/explore`."""

    did: tuple[str, ...]
    answer: dict[str, Any]


class Service:
    """The real service as a process of its own: it serves from the first release on, whatever still trains.

    It starts in a thread, by itself, so that whoever makes the releases need not wait for it.

    Args:
        say: is told the address once the service answers.
    """

    def __init__(self, ws: Workspace, say: Callable[[str], None]) -> None:
        self._ws, self._say = ws, say
        self._process: subprocess.Popen[str] | None = None
        self._url = ""
        self._over = Event()
        self._starting = Thread(target=self._start, name="demo service", daemon=True)

    def __enter__(self) -> Service:
        if is_installed():
            self._starting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._process is not None:
            self._process.terminate()
        if self._starting.is_alive():
            self._starting.join(PATIENCE)
        if self._process is not None:
            self._process.__exit__(None, None, None)  # waits, and closes its pipe

    def url(self) -> str:
        """Its address, once it answers.

        Raises:
            MissingExtra: the service is not installed.
            NotServing: it did not come up.
        """
        if not is_installed():
            raise MissingExtra("`freshet serve` is not installed", hint="pip install 'freshet[serve]'")
        self._starting.join(PATIENCE)
        if not self._url:
            raise NotServing(
                "the service did not come up", hint=f"`freshet serve -w {self._ws.root}` says what is wrong"
            )
        return self._url

    def _start(self) -> None:
        while self._ws.releases.current() is None:
            if self._over.wait(LOOK_EVERY):
                return
        command = [
            sys.executable,
            "-m",
            "freshet",
            "serve",
            "-w",
            str(self._ws.root),
            "--port",
            "0",
            "--json",
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._process = process
        if self._over.is_set():
            process.terminate()
        assert process.stdout is not None
        self._url = _url_in(process.stdout.readline())
        if self._url:
            self._say(f"--- served from now on at {self._url}, whatever still trains")


def _url_in(line: str) -> str:
    """The address in what a service says when it listens; '' where it says something else."""
    try:
        return str(json.loads(line).get("url", ""))
    except (ValueError, AttributeError):
        return ""


def is_installed() -> bool:
    """Whether there is a service to start."""
    return find_spec("fastapi") is not None and find_spec("uvicorn") is not None


def visit(service: Service, items: Sequence[str], release: int) -> Visit:
    """Ask the service what comes next for somebody with a history.

    A user who is made up must not get into the log, so the history is part of the question.

    Args:
        items: ids of what they engaged, oldest first.
        release: that is to answer: the service opens it soon after it was published.

    Raises:
        MissingExtra: the service is not installed.
        NotServing: it did not come up, did not answer, or still answers from another release.
    """
    url, end = service.url(), monotonic() + PATIENCE
    question = {"history": list(items), "interests": INTERESTS, "items": ITEMS, "explain": True}
    while (answer := _post(f"{url}/v1/explore", question))["release"] != release:
        if monotonic() > end:
            raise NotServing(
                f"the service answers from release {answer['release']}, not from {release}",
                hint="`freshet history` tells what was published, /v1/releases what is served",
            )
        sleep(LOOK_EVERY)
    return Visit(tuple(items), answer)


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
