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
"""Seconds for the service to come up, open the newest release and answer, once the releases are made."""
MOMENT = 0.1
"""Seconds that a question gets at least."""
LOOK_EVERY = 0.2
"""Seconds from one look at what is published, or served, to the next."""
SERVE = """
from freshet.cli import main
from freshet.http.workers import end_with_parent

end_with_parent()
main()
"""
"""`freshet`, which ends when the process that started it is gone."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What somebody did, as items, and the service's answer to `POST /v1/explore`."""

    did: tuple[str, ...]
    answer: dict[str, Any]


class Service:
    """The real service as a process of its own: it serves from the first release on, whatever still trains.

    A thread starts it, so that whoever makes the releases need not wait for it. It ends with the block, and
    where this process is killed.

    Args:
        say: is told the address once the service answers.
    """

    def __init__(self, ws: Workspace, say: Callable[[str], None]) -> None:
        self._ws, self._say = ws, say
        self._process: subprocess.Popen[str] | None = None
        self._url = self._trouble = ""
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
            self._starting.join()  # it reads until the process ends
        if self._process is not None:
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()

    def url(self, until: float) -> str:
        """Its address, once it answers.

        Args:
            until: when to give up, by `time.monotonic`.

        Raises:
            MissingExtra: the service is not installed.
            NotServing: it did not come up.
        """
        if not is_installed():
            raise MissingExtra("`freshet serve` is not installed", hint="pip install 'freshet[serve]'")
        self._starting.join(max(0.0, until - monotonic()))
        if not self._url:
            why = f": {self._trouble}" if self._trouble else ""
            raise NotServing(
                f"the service did not come up{why}",
                hint=f"`freshet serve -w {self._ws.root}` says what is wrong",
            )
        return self._url

    def _start(self) -> None:
        while self._ws.releases.pointer() is None:
            if self._over.wait(LOOK_EVERY):
                return
        command = [sys.executable, "-c", SERVE, "serve", "-w", str(self._ws.root), "--port", "0", "--json"]
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        try:
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nothing, text=True)
        except OSError as error:  # no memory, no more processes
            self._trouble = str(error)
            return
        self._process = process
        if self._over.is_set():
            process.terminate()
        assert process.stdout is not None
        self._url = _url_in(process.stdout.readline())
        if self._url:
            self._say(f"--- served at {self._url} until the demo ends, whatever still trains")


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
        NotServing: it did not come up, did not open the release, or did not answer.
    """
    until = monotonic() + PATIENCE
    url = service.url(until)
    while (serving := _asked(f"{url}/readyz", until).get("release")) != release:
        if monotonic() > until:
            raise NotServing(
                f"the service still answers from release {serving}, not from {release}",
                hint="`freshet history` tells what was published, `freshet doctor` whether it is whole",
            )
        sleep(LOOK_EVERY)
    question = {"history": list(items), "interests": INTERESTS, "items": ITEMS, "explain": True}
    return Visit(tuple(items), _asked(f"{url}/v1/explore", until, question))


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


def _asked(url: str, until: float, content: dict[str, Any] | None = None) -> dict[str, Any]:
    """The answer to a GET, or to a POST of some content."""
    body = None if content is None else json.dumps(content).encode()
    try:
        request = Request(url, body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=max(MOMENT, until - monotonic())) as reply:
            found = json.load(reply)
    except OSError as error:
        raise NotServing(
            f"the service did not answer within {PATIENCE:.0f} s: {error}",
            hint="the first question with an explanation opens the model, which takes long on a busy machine",
        ) from None
    assert isinstance(found, dict)
    return found
