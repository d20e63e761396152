"""Runs the service: one process, one event loop, until a signal stops it."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TextIO

import uvicorn

from freshet.core import tracing
from freshet.core.config import HttpConfig
from freshet.core.errors import FreshetError, StateError
from freshet.http.addresses import Visitors
from freshet.http.api_keys import Keyring
from freshet.http.application import make_app
from freshet.http.companion import Companion
from freshet.http.connection_pool import ConnectionPool, connection_limits
from freshet.http.connections import OnRefusal, guarded
from freshet.http.json_log import JsonLog
from freshet.http.level_watch import LevelWatch
from freshet.http.problems import Refusal
from freshet.http.prometheus import Metrics
from freshet.http.request_traces import RequestTraces
from freshet.http.service import ServerState, Service
from freshet.http.worker_folder import WorkerFolder, release_of
from freshet.serving.messages import Query

if TYPE_CHECKING:
    from freshet.serving.live_stream import LiveStream
    from freshet.serving.recommend import Recommender

SWITCH = 0.0005
"""Seconds after which a busy thread makes way; by default requests would wait 5 ms for one that loads."""
YOUNG = 20_000
"""New objects between two collections: an answer makes a hundred, none of them in circles."""
ECHO = 1.0
"""Seconds within which a worker is told the same twice."""
GRACE = 10
"""Seconds that requests under way get to end."""


def warm_up(recommender: Recommender) -> None:
    """Query once before others do: the first answer compiles, or loads, what all answers run."""
    recommender.recommend(Query(user="", interests=1, items=1, explain=True, log=False))
    recommender.recommend(Query(history=("",), interests=1, items=1, log=False))


class _Server(uvicorn.Server):
    """Announces when it listens; on SIGTERM `/readyz` turns to not ready first, then it stops.

    Args:
        echo: seconds within which a second SIGTERM is the first one, told by somebody else.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        state: ServerState,
        drain: float,
        announce: Callable[[], None],
        end: Callable[[], None],
        echo: float = 0.0,
    ) -> None:
        super().__init__(config)
        self._echo, self._told = echo, -math.inf
        self._end = end  # of what never ends by itself
        self._state = state
        self._drain = drain
        self._announce = announce
        self._loop: asyncio.AbstractEventLoop | None = None  # none as long as nobody is served

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        gc.collect()
        gc.freeze()  # what is loaded stays: collections need not look at it
        gc.set_threshold(YOUNG)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end()
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn leaves it out then: who is in a hurry still wants what was accepted
            await self.lifespan.shutdown()

    def handle_exit(self, sig: int, _: FrameType | None) -> None:
        before, self._told = self._told, time.monotonic()
        if sig == signal.SIGTERM and self._told - before < self._echo:
            return  # the same one: a service manager tells every process, and the parent passes it on
        if sig == signal.SIGINT or self._state.draining or self._loop is None:
            self.force_exit = self.should_exit
            self.should_exit = True
            return
        self._state.draining = True
        self._loop.call_soon_threadsafe(self._loop.call_later, self._drain, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


def serve(
    recommender: Recommender,
    limits: HttpConfig,
    listener: socket.socket,
    announce: Callable[[], None],
    keyring: Keyring,
    host: str = "127.0.0.1",
    root_path: str = "",
    log_to: TextIO = sys.stderr,
    stream: LiveStream | None = None,
    companion: Companion | None = None,
    watched: Path | None = None,
    traced: float = 0.0,
    workers: WorkerFolder | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then write what was accepted and close the recommender.

    Args:
        listener: where, as `bind` took it.
        announce: called once requests are answered.
        host: the address at which it listens, as the user gave it.
        root_path: what a proxy leaves before all paths, '' = nothing.
        stream: whose events are recorded beside those of requests, None = there is none.
        companion: answers the pages of the dashboard, None = there are none.
        watched: the workspace whose service levels are looked at now and then, None = nobody looks.
        traced: share of requests that are traced, where anybody traces this process.
        workers: what this process shares with the others of its server, None = it is alone.

    Raises:
        ConfigError: the process may open too few files to serve anybody.
        StateError: what was shown could not all be written before the end.
    """
    log = JsonLog(log_to)
    if workers is not None:
        log = JsonLog(log_to, {"worker": workers.number}, workers.in_turn)
    shared = "" if workers is None else str(workers.path)
    metrics = Metrics(watches=workers is None or workers.is_first, shared=shared)
    if workers is not None and (told := workers.new_pin()) is not None:  # it takes the place of another
        with suppress(FreshetError):  # told again by the upkeep
            recommender.switch(release_of(told))
            workers.pin_done(told)
    logger = logging.getLogger("uvicorn.error")
    logger.handlers, logger.propagate = [log], False
    logger.setLevel(logging.WARNING)
    try:
        most, backlog = connection_limits(limits.open_connections)
        pool = ConnectionPool(most)
        metrics.watch_connections(lambda: len(pool))
        visitors = Visitors(listener.getsockname()[0], [host, *limits.hosts], limits.origins)
        watch = None if watched is None else LevelWatch(watched, metrics)
        tracer = tracing.tracer()
        traces = None if tracer is None else RequestTraces(tracer, traced)
        service = Service(
            recommender,
            limits,
            keyring,
            visitors,
            metrics,
            log,
            root_path,
            stream,
            companion,
            watch,
            traces,
            workers,
        )
        config = uvicorn.Config(
            make_app(service),
            loop="uvloop",
            http=guarded(limits, pool, _on_refusal(service)),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=backlog,
            timeout_graceful_shutdown=GRACE,
        )
        sys.setswitchinterval(SWITCH)
        end = companion.end if companion else lambda: None
        echo = 0.0 if workers is None else ECHO
        _Server(config, service.state, limits.drain_seconds, announce, end, echo).run([listener])
    finally:
        if companion is not None:
            companion.end()
        gc.unfreeze()
        _close(recommender, log)


def _on_refusal(service: Service) -> OnRefusal:
    """Counts and logs what was refused before it was a request, as the front does with requests."""

    def note(refusal: Refusal, request_id: str) -> None:
        service.metrics.count_request("other", refusal.status, 0.0)
        if service.limits.log_requests:
            fields = {"request_id": request_id, "status": refusal.status, "message": refusal.message}
            service.log.add("info", "turned_away", fields)

    return note


def _close(recommender: Recommender, log: JsonLog) -> None:
    """Let go of the recommender.

    Raises:
        StateError: impressions are lost, since they can't be written.
    """
    try:
        recommender.close()
    except Exception as error:
        if not (lost := recommender.buffered):
            raise
        why = error.message if isinstance(error, FreshetError) else str(error)
        fields = {"impressions": lost, "error": type(error).__name__, "message": why}
        log.add("error", "impressions_lost", fields)
        raise StateError(
            f"{lost:,} impressions could not be written before the end, and are lost: {why}",
            hint="events that were acknowledged are kept; the answers shown meanwhile can't be judged",
        ) from error
    finally:
        log.write()
