"""Group commit: events of requests that wait together become durable together.

A commit costs about the same for one event and for a thousand (it waits for the disk). While one is under
way, what arrives waits and makes up the next one; nobody waits for more than two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from freshet.core.errors import StateError
from freshet.http.problems import Refusal
from freshet.serving.messages import Event, Receipt

Record = Callable[[Sequence[Event]], list[Receipt]]
Waiting = tuple[Sequence[Event], asyncio.Future[list[Receipt]]]


class GroupCommit:
    """Collects events while the last ones are written.

    Args:
        record: makes events durable.
        worker: a thread of its own for that.
        most_waiting: events that may wait; what comes beyond is refused.
        together: most events of one commit.
    """

    def __init__(self, record: Record, worker: Executor, most_waiting: int, together: int = 5000) -> None:
        self._record = record
        self._worker = worker
        self._most_waiting = most_waiting
        self._together = together
        self._queue: list[Waiting] = []
        self._count = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Events that are not durable yet."""
        return self._count

    async def record(self, events: Sequence[Event], seconds: float) -> list[Receipt]:
        """What became of each event; they are durable when this returns.

        Raises:
            Refusal: too many events wait (none of these was taken), or it took more than `seconds` (they may
                still be recorded).
            StateError: the store is out of reach or full.
        """
        if self._count and self._count + len(events) > self._most_waiting:
            raise Refusal(
                503,
                "busy",
                f"{self._count:,} events wait to be written",
                "send these again later; nothing of this request was recorded",
                {"Retry-After": "1"},
            )
        done: asyncio.Future[list[Receipt]] = asyncio.get_running_loop().create_future()
        self._queue.append((events, done))
        self._count += len(events)
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        finished, _ = await asyncio.wait([done], timeout=seconds)
        if finished:
            return done.result()
        raise Refusal(
            503,
            "slow",
            f"the events were not written within {seconds:g} s",
            "send them again: those that were recorded meanwhile are recognised",
            {"Retry-After": "1"},
        )

    async def drained(self) -> None:
        """Returns when nothing waits any more."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        """Write what waits until nothing does."""
        while self._queue:
            group = self._next()
            events = [event for some, _ in group for event in some]
            try:
                written = asyncio.get_running_loop().run_in_executor(self._worker, self._record, events)
                await asyncio.wait([written])
            except RuntimeError:  # the worker takes nothing any more: it ends with the interpreter
                written = asyncio.get_running_loop().create_future()
                written.cancel()
            self._count -= len(events)
            _deliver(group, written)
        self._task = None

    def _next(self) -> list[Waiting]:
        """The first requests in the queue, as many as go together, at least one."""
        size = end = 0
        for events, _ in self._queue:
            size += len(events)
            if end and size > self._together:
                break
            end += 1
        group, self._queue = self._queue[:end], self._queue[end:]
        return group


def _deliver(group: Sequence[Waiting], written: asyncio.Future[list[Receipt]]) -> None:
    """Give each request its receipts, or the error that the commit ended with."""
    error = None if written.cancelled() else written.exception()
    if error is not None and not isinstance(error, Exception):  # it would end the server, not the request
        error = RuntimeError(f"the writer ended: {error!r}")
    receipts = written.result() if not written.cancelled() and error is None else []
    at = 0
    for events, done in group:
        if done.cancelled():
            pass
        elif error is not None:
            done.set_exception(error)
            done.exception()  # a client that has gone is no error of ours
        elif written.cancelled():
            done.set_exception(StateError("the server is stopping", retryable=True))
        else:
            done.set_result(receipts[at : at + len(events)])
        at += len(events)
