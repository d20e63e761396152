"""Events of a stream on their way into the user store, by the way of those that clients post."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from freshet.core.errors import FreshetError, StateError, StreamUnreachable
from freshet.http.group_commit import GroupCommit
from freshet.http.problems import Refusal
from freshet.http.service import Service
from freshet.serving.live_stream import LiveBatch, LiveStream

AGAIN, LOOK = 1.0, 5.0
"""Seconds between two tries of what failed, and between two looks at the lag."""
PART, PATIENCE = 1000, 30.0
"""Events that are committed together, and seconds for which they may take."""


class StreamIntake:
    """A task of the event loop that reads in a thread of its own."""

    def __init__(self, stream: LiveStream, service: Service) -> None:
        self._stream = stream
        self._metrics = service.metrics
        self._log = service.log
        self._reading = ThreadPoolExecutor(1, "stream")
        self._task: asyncio.Task[None] | None = None
        self._looked = 0.0

    def start(self, commits: GroupCommit, report: Callable[[str, BaseException | None], None]) -> None:
        """Begin; `report` is told what failed, and None when it works again."""
        self._task = asyncio.create_task(self._run(commits, report))

    async def stop(self) -> None:
        """End; what was not noted is read again the next time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._call(self._stream.close)
        self._reading.shutdown()

    async def _run(self, commits: GroupCommit, report: Callable[[str, BaseException | None], None]) -> None:
        while True:
            try:
                await self._turn(commits)
            except FreshetError as error:
                self._metrics.faults.labels("stream").inc()
                report("stream", error)
                await asyncio.sleep(AGAIN)
            else:
                report("stream", None)

    async def _turn(self, commits: GroupCommit) -> None:
        batch: LiveBatch = await self._call(self._stream.take)
        for gap in batch.gaps:
            fields = {"partition": gap.partition, "lost": gap.lost, "why": gap.why}
            self._log.add("error", "stream_gap", fields)
        for at in range(0, len(batch.events), PART):
            await self._record(commits, batch, at)
        if batch.reached:
            await self._persistently(lambda: self._call(lambda: self._stream.done(batch)))
        if batch.refused:
            self._log.add("warning", "stream_refused", dict(batch.refused))
            self._metrics.count_events(["refused"] * sum(batch.refused.values()))
        if time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            with suppress(StreamUnreachable):
                self._metrics.set_gauges({"stream_lag": await self._call(self._stream.lag)})

    async def _record(self, commits: GroupCommit, batch: LiveBatch, at: int) -> None:
        receipts = await self._persistently(lambda: commits.record(batch.events[at : at + PART], PATIENCE))
        self._metrics.count_events(one.status for one in receipts)

    async def _persistently(self, work: Callable[[], Any]) -> Any:
        """Until it succeeds: what was read must be durable before more is read."""
        while True:
            try:
                return await work()
            except (Refusal, StateError):
                self._metrics.faults.labels("stream").inc()
                await asyncio.sleep(AGAIN)

    async def _call(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._reading, work)
