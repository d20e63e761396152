"""A load generator for HTTP/1.1 on few connections that stay open: raw sockets, requests made beforehand.

`closed` keeps every connection busy: the next request leaves when the answer is there, which finds the
highest rate. `paced` sends at fixed moments whatever the server does, and measures from the moment a request
was due: a server that stalls is charged for those that had to wait (no coordinated omission). How late the
generator itself sent them is told. It sleeps between two requests, and on a machine that it shares with the
server it runs before everything else where it may (`SCHED_FIFO`): clients are elsewhere, and wait for nobody.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

Check = Callable[[int, int, bytes], None]
"""Gets the number of the request, the status and the body of its answer."""


@dataclass
class Outcome:
    """What came back: seconds of every answer; `wrong` counts statuses other than 200.

    `late`: of a paced load, seconds from when each request was due to when it was sent.
    """

    seconds: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    took: float = 0.0
    wrong: int = 0
    broken: int = 0
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.seconds) / self.took

    @property
    def failed(self) -> int:
        """Requests without a good answer: another status than 200, or the connection broke."""
        return self.wrong + self.broken

    def quantile(self, share: float) -> float:
        """Of the seconds per answer."""
        ordered = sorted(self.seconds)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def run(load: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Run a load to its end."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(load)


def post(path: str, body: bytes, host: str = "localhost", headers: str = "") -> bytes:
    """The bytes of a request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


class _Connection(asyncio.Protocol):
    """One open connection; answers come in the order of the requests."""

    def __init__(
        self, outcome: Outcome, answered: Callable[[_Connection], None], check: Check | None
    ) -> None:
        self.outcome = outcome
        self.answered = answered
        self.check = check
        self.waiting: deque[tuple[int, float]] = deque()
        self.buffer = b""
        self.asked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop has one of its own

    def connection_lost(self, _: Exception | None) -> None:
        self.outcome.broken += len(self.waiting)
        self.waiting.clear()

    def ask(self, number: int, request: bytes, due: float) -> None:
        """Send a request that was due at a moment."""
        if self.transport.is_closing():
            self.outcome.broken += 1
            return
        self.asked = due
        self.waiting.append((number, due))
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            at = self.buffer.lower().find(b"content-length:", 0, end)
            length = int(self.buffer[at + 15 : self.buffer.index(b"\r\n", at)]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            status, body = int(self.buffer[9:12]), self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            number, due = self.waiting.popleft()
            self.outcome.seconds.append(time.perf_counter() - due)
            self.outcome.statuses[status] = self.outcome.statuses.get(status, 0) + 1
            self.outcome.wrong += status != 200
            if self.check is not None:
                self.check(number, status, body)
            self.answered(self)


async def closed(
    port: int,
    requests: Sequence[bytes],
    seconds: float,
    connections: int = 32,
    check: Check | None = None,
    stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Every connection asks again as soon as it is answered, for `seconds` or until `stop` says so."""
    outcome = Outcome()
    begin = time.perf_counter()
    end = begin + seconds
    count = 0

    def over() -> bool:
        return time.perf_counter() >= end or (stop is not None and stop())

    def again(connection: _Connection) -> None:
        nonlocal count
        if not over():
            now = time.perf_counter()
            connection.ask(count % len(requests), requests[count % len(requests)], now)
            count += 1

    opened = await _open(port, connections, outcome, again, check)
    for connection in opened:
        again(connection)
    while not over():
        await asyncio.sleep(0.01)
    await _drained(opened)
    outcome.took = time.perf_counter() - begin
    return outcome


async def paced(
    port: int,
    requests: Sequence[bytes],
    seconds: float,
    rate: float,
    connections: int = 32,
    check: Check | None = None,
    stop: Callable[[], bool] | None = None,
) -> Outcome:
    """`rate` requests per second at even distances, for `seconds` or until `stop` says so.

    Each on a connection that has the fewest waiting, of these the one that rested longest: a server hangs up
    on one that rests for seconds.
    """
    outcome = Outcome()
    loop = asyncio.get_running_loop()
    opened = await _open(port, connections, outcome, lambda _: None, check)
    begin = time.perf_counter()

    def send(count: int, due: float) -> None:
        outcome.late.append(time.perf_counter() - due)
        least = min(opened, key=lambda connection: (len(connection.waiting), connection.asked))
        least.ask(count % len(requests), requests[count % len(requests)], due)

    def tick() -> None:  # in a thread: a loop's own timers are a millisecond late
        with preferred():
            for count in range(int(rate * seconds)):
                due = begin + count / rate
                time.sleep(max(0.0, due - time.perf_counter()))
                if stop is not None and stop():
                    return
                loop.call_soon_threadsafe(send, count, due)

    with preferred():
        await asyncio.to_thread(tick)
        await _drained(opened)
    outcome.took = time.perf_counter() - begin
    return outcome


@contextmanager
def preferred() -> Iterator[bool]:
    """This thread runs before all others of the machine within the block, if it may; whether it does."""
    before, switch = os.sched_getscheduler(0), sys.getswitchinterval()
    try:
        # what it starts is not preferred
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except PermissionError:
        yield False
        return
    sys.setswitchinterval(0.0005)
    try:
        yield True
    finally:
        sys.setswitchinterval(switch)
        os.sched_setscheduler(0, before, os.sched_param(0))


async def _open(
    port: int,
    count: int,
    outcome: Outcome,
    answered: Callable[[_Connection], None],
    check: Check | None,
) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Connection(outcome, answered, check), "127.0.0.1", port)
        for _ in range(count)
    ]
    return [connection for _, connection in made]


async def _drained(opened: Sequence[_Connection], patience: float = 30.0) -> None:
    """Wait for what is on the way, then hang up; what never came counts as broken."""
    give_up = time.perf_counter() + patience
    while any(connection.waiting for connection in opened) and time.perf_counter() < give_up:
        await asyncio.sleep(0.005)
    for connection in opened:
        connection.transport.close()
    await asyncio.sleep(0.01)
