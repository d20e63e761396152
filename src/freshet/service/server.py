"""Runs the service: one process, one event loop, until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, TextIO

import uvicorn

from freshet.config import HttpConfig
from freshet.errors import ConfigError
from freshet.service.addresses import is_loopback
from freshet.service.app import make_app
from freshet.service.keys import Keyring
from freshet.service.logs import JsonLog
from freshet.service.patience import impatient
from freshet.service.standing import Standing
from freshet.serving.asking import Ask

if TYPE_CHECKING:
    from freshet.serving.recommender import Recommender

SWITCH = 0.0005
"""Seconds after which a busy thread makes way; by default requests would wait 5 ms for one that loads."""
YOUNG = 20_000
"""New objects between two collections: an answer makes a hundred, none of them in circles."""
KEEP_ALIVE = 75
"""Seconds that an idle connection stays: longer than balancers keep theirs, so that these hang up first."""
GRACE = 10
"""Seconds that requests under way get to end."""


def check_open(keyring: Keyring, host: str) -> None:
    """Refuse to serve other machines without keys.

    Raises:
        ConfigError: the address is reached from elsewhere, and there is no key.
    """
    if not (is_loopback(host) or keyring.required or keyring.off):
        raise ConfigError(
            f"{host} is reached from other machines, and there is no API key",
            hint="`freshet keys add` makes one; --no-auth serves everyone who reaches the port",
        )


def bind(host: str, port: int) -> socket.socket:
    """Take a port; 0 takes any that is free.

    Raises:
        ConfigError: it can't be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
    except (OSError, OverflowError) as error:
        taken.close()
        raise ConfigError(f"cannot listen at {host}:{port}: {error}", hint="try another --port") from None
    return taken


def warm_up(recommender: Recommender) -> None:
    """Ask once before others do: the first answer compiles, or loads, what all answers run."""
    recommender.explore(Ask(user="", interests=1, items=1, explain=True, log=False))
    recommender.explore(Ask(history=("",), interests=1, items=1, log=False))


class _Server(uvicorn.Server):
    """Tells when it listens; on SIGTERM it says so to balancers first (`readyz`), then stops."""

    def __init__(
        self, config: uvicorn.Config, standing: Standing, drain: float, announce: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._standing = standing
        self._drain = drain
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        gc.collect()
        gc.freeze()  # what is loaded stays: collections need not look at it
        gc.set_threshold(YOUNG)
        self._announce()

    def handle_exit(self, sig: int, _: FrameType | None) -> None:
        if sig == signal.SIGINT or self._standing.draining:
            self.force_exit = self.should_exit
            self.should_exit = True
            return
        self._standing.draining = True
        self._loop.call_soon_threadsafe(self._loop.call_later, self._drain, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


def serve(
    recommender: Recommender,
    limits: HttpConfig,
    listener: socket.socket,
    announce: Callable[[], None],
    keyring: Keyring,
    log_to: TextIO = sys.stderr,
) -> None:
    """Serve until SIGTERM or SIGINT; both end well.

    Args:
        listener: where, as `bind` took it.
        announce: called once requests are answered.
    """
    log = JsonLog(log_to)
    logger = logging.getLogger("uvicorn.error")
    logger.handlers, logger.propagate = [log], False
    logger.setLevel(logging.WARNING)
    standing = Standing()
    config = uvicorn.Config(
        make_app(recommender, limits, keyring, log, standing),
        loop="uvloop",
        http=impatient(limits.seconds),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )
    sys.setswitchinterval(SWITCH)
    try:
        _Server(config, standing, limits.drain_seconds, announce).run([listener])
    finally:
        gc.unfreeze()
