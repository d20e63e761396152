"""What a run does as it happens: server-sent events, each with a part of the page, made when files change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from time import monotonic

from starlette.responses import Response, StreamingResponse

from freshet.dashboard.protection import HEADERS, Denied
from freshet.dashboard.run_view import run_view
from freshet.dashboard.visit import Visit
from freshet.storage import run_log

MOST = 20
"""Streams at once."""
LOOK, KEEP = 0.5, 15.0
"""Seconds between two looks at the files; after which a comment keeps the connection open."""
LONGEST = 3600.0
"""Seconds of a stream; the browser opens another one."""

Rendered = Callable[[str, Mapping[str, object]], bytes]


class Streams:
    """Opens streams, a bounded number of them."""

    def __init__(self) -> None:
        self._open = 0

    async def answer(self, visit: Visit, rendered: Rendered) -> Response:
        """The stream of a run: `live` with what it does whenever that changes, `ended` when it has.

        Raises:
            ArtifactError: there is no such run.
            Denied: too many streams are open.
        """
        await asyncio.to_thread(visit.ws.ledger.get, visit.text("run"))
        if self._open >= MOST:
            raise Denied(503, f"{MOST} runs are watched at once, no more", "load the page again to see more")
        headers = {**HEADERS, "X-Accel-Buffering": "no"}  # proxies pass each event on at once
        return StreamingResponse(self._events(visit, rendered), 200, headers, "text/event-stream")

    async def _events(self, visit: Visit, rendered: Rendered) -> AsyncIterator[bytes]:
        self._open += 1
        begun = said = monotonic()
        before: Hashable = None
        try:
            while (now := monotonic()) - begun < LONGEST:
                seen, part, ended = await asyncio.to_thread(_look, visit, before, rendered)
                if part:
                    yield _event("live", part)
                if ended:
                    yield _event("ended", b"ended")
                    return
                if part:
                    said = now
                elif now - said >= KEEP:
                    said = now
                    yield b": still here\n\n"
                before = seen
                await asyncio.sleep(LOOK)
        finally:
            self._open -= 1


def _look(visit: Visit, before: Hashable, rendered: Rendered) -> tuple[Hashable, bytes, bool]:
    """(what was seen, the part of the page if that is new, whether the run has ended)."""
    ws, run = visit.ws, visit.text("run")
    record = ws.ledger.get(run)
    ended = ws.outcome(record) != "running"
    seen = run_log.stamp(ws.root, record.id), len(record.steps), record.outcome, ended
    if seen == before:
        return seen, b"", ended
    return seen, rendered("run_live.html", {"run": run_view(ws, record)}), ended


def _event(name: str, content: bytes) -> bytes:
    lines = b"".join(b"data: " + line + b"\n" for line in content.splitlines())
    return b"event: " + name.encode() + b"\n" + lines + b"\n"
