"""What a server does beside requests: write, follow, look for a newer release."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

from freshet.core.errors import FreshetError
from freshet.http.group_commit import GroupCommit
from freshet.http.level_watch import FIRST, LevelWatch
from freshet.http.service import Service
from freshet.http.stream_intake import StreamIntake
from freshet.http.worker_folder import release_of

FLUSH, FOLLOW, RELOAD, KEYS, WRITE, MEASURE = 0.5, 0.2, 0.1, 1.0, 0.2, 1.0
"""Seconds between two: writings of impressions, looks at events, at releases, at keys, writings of logs, and
measurings of what several workers add up."""


class Upkeep:
    """Runs it as tasks of the event loop; threads work: `writer` for the user store, others for the rest.

    The event loop's thread, which answers requests, writes to no file: that may wait for others' fsync.
    """

    def __init__(self, service: Service) -> None:
        self._recommender = service.recommender
        self._keyring = service.keyring
        self._metrics = service.metrics
        self._log = service.log
        self._state = service.state
        self._workers = service.workers
        self._troubles: dict[str, tuple[str, str]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.writer = ThreadPoolExecutor(1, "state")
        self._loading = ThreadPoolExecutor(1, "loading")
        self._watch = service.watch
        self._watching = ThreadPoolExecutor(1, "levels")
        self._logging = ThreadPoolExecutor(1, "log")
        self._intake = None if service.stream is None else StreamIntake(service.stream, service)

    def start(self, commits: GroupCommit, measure: Callable[[], object]) -> None:
        """Begin; needs a running event loop.

        Args:
            commits: events of the stream go through it.
            measure: sets the gauges; called where other workers tell them, too.
        """
        asyncio.get_running_loop()
        self._log.deferred = True
        rounds: list[tuple[str, float, Executor, Callable[[], Any]]] = [
            ("flush", FLUSH, self.writer, self._recommender.flush),
            ("follow", FOLLOW, self.writer, self._recommender.follow),
            ("reload", RELOAD, self._loading, self._reload),
            ("keys", KEYS, self._loading, self._keyring.refresh),
            ("log", WRITE, self._logging, self._write_log),
        ]
        if self._workers is not None:
            rounds.append(("measure", MEASURE, self._loading, measure))
        self._tasks = [asyncio.create_task(self._repeat(*each)) for each in rounds]
        if self._watch is not None:
            self._tasks.append(asyncio.create_task(self._watch_levels(self._watch)))
        if self._intake is not None:
            self._intake.start(commits, self._report)

    async def stop(self, commits: GroupCommit) -> None:
        """Let what was accepted become durable, then end."""
        if self._intake is not None:
            await self._intake.stop()
        if self._watch is not None:
            self._watch.end()
        await commits.drained()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._once("flush", self.writer, self._recommender.flush)
        self.writer.shutdown()
        self._loading.shutdown()
        self._watching.shutdown()
        self._logging.shutdown()
        self._log.deferred = False
        self._log.write()

    async def _repeat(self, name: str, seconds: float, worker: Executor, work: Callable[[], Any]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._once(name, worker, work)

    async def _once(self, name: str, worker: Executor, work: Callable[[], Any]) -> None:
        """Do some work; if it fails, say so, once per reason, and go on: the next round may succeed."""
        done = asyncio.get_running_loop().run_in_executor(worker, work)
        await asyncio.wait([done])
        error = done.exception()
        if error is not None:
            self._metrics.faults.labels(name).inc()
        self._report(name, error)

    def _report(self, name: str, error: BaseException | None) -> None:
        trouble = None if error is None else (type(error).__name__, str(error.args[0] if error.args else ""))
        if trouble == self._troubles.get(name):
            return
        if trouble is None:
            del self._troubles[name]
        else:
            self._troubles[name] = trouble
        # anyone may ask for it: what names files and addresses is for the log
        self._state.trouble = "; ".join(f"{task}: {kind}" for task, (kind, _) in self._troubles.items())
        if trouble is None:
            self._log.add("info", "recovered", {"task": name})
            return
        kind, message = trouble
        hint = error.hint if isinstance(error, FreshetError) else ""
        self._log.add("error", "upkeep", {"task": name, "error": kind, "message": message, "hint": hint})

    async def _watch_levels(self, watch: LevelWatch) -> None:
        """Look at the service levels, soon for the first time."""
        seconds = watch.seconds()
        await asyncio.sleep(min(seconds or FIRST, FIRST))
        while True:
            if seconds:
                await self._once("levels", self._watching, watch.look)
            await asyncio.sleep(seconds or FIRST)
            seconds = watch.seconds()

    def _reload(self) -> None:
        before, changed = self._recommender.current, False
        try:
            changed = self._follow_pin()
        finally:  # what can't be followed holds up nothing else
            changed |= self._recommender.reload()
        if not changed:
            return
        now = self._recommender.current
        if now == before:
            self._log.add("info", "reloaded", {"release": now})  # settings or experiments
        else:
            if self._workers is None or self._workers.is_first:  # a change of the server, not of each worker
                self._metrics.swaps.inc()
            self._log.add("info", "swapped", {"before": before, "release": now})

    def _follow_pin(self) -> bool:
        """Serve the release that another worker was told to serve; whether there was one."""
        told = None if self._workers is None else self._workers.new_pin()
        if self._workers is None or told is None:
            return False
        self._recommender.switch(release_of(told))
        self._workers.pin_done(told)
        return True

    def _write_log(self) -> None:
        self._log.write()
        self._metrics.set_gauges({"log_lines_lost": self._log.lost})
