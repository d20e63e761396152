"""The dashboard beside the service: a process of its own, started when somebody first asks for a page.

Pages read ledgers, compare releases and draw charts, which takes a processor for hundreds of milliseconds.
Within the service's process, even in threads, the requests of the API would wait for them. So this process
passes them on, as bytes over a Unix socket that it alone can reach, and looks into none of them.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from freshet.core.config import DashboardConfig, HttpConfig
from freshet.core.errors import ConfigError
from freshet.http import bodies
from freshet.http.addresses import is_loopback
from freshet.http.problems import Refusal
from freshet.http.prometheus import own_environment
from freshet.http.relaying import head_of, relay

MOUNT = "/dashboard"
MODULE = "freshet.dashboard.dashboard_process"
START, PATIENCE, POLL = 120.0, 2.0, 0.05
"""Seconds in which the process must answer, for which a request waits for it, and between two looks."""
STARTING = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Freshet</title></head>
<body><main><h1>The dashboard is starting</h1><p>This page loads itself again.</p></main></body></html>
"""
MOST = 64
"""Requests under way at once; each is a connection and little more."""
IDLE = 1800.0
"""Seconds without a request after which the process is ended: it holds memory."""


def is_dashboard(path: str) -> bool:
    """Whether a path is the dashboard's."""
    return path in ("/", MOUNT) or path.startswith(f"{MOUNT}/")


@dataclass(frozen=True, slots=True)
class DashboardSettings:
    """What the process is told at its start, over a pipe.

    Attributes:
        root: of the workspace.
        no_auth: keys are not asked for.
        open_scope: what may be done where no key is asked for.
        secret: signs sessions.
        socket: where it listens.
    """

    root: str
    no_auth: bool
    open_scope: str
    secret: str
    socket: str


@dataclass(frozen=True, slots=True)
class SharedDashboard:
    """The dashboard of several workers, of which one starts the process.

    Attributes:
        socket: where the process listens.
        secret: signs sessions.
    """

    socket: Path
    secret: str


def companion_of(
    root: Path,
    config: DashboardConfig,
    host: str,
    no_auth: bool,
    hosts: Sequence[str] = (),
    shared: SharedDashboard | None = None,
) -> Companion | None:
    """The dashboard of a workspace, not started yet; None where it is switched off.

    Who reaches a server without keys may only look, unless nobody but this machine reaches it. A further name
    in `[http] hosts` says that a proxy brings others to it.

    Args:
        host: that the server listens on.
        hosts: `[http] hosts`.
        shared: of several workers, None = the dashboard is this process's alone.

    Raises:
        ConfigError: the variable that holds the secret is not set.
    """
    if not config.use:
        return None
    secret = secret_of(config) if shared is None else shared.secret
    alone = is_loopback(host) and not hosts
    socket = None if shared is None else shared.socket
    return Companion(root.absolute(), no_auth, "admin" if alone else "read", secret, socket)


def secret_of(config: DashboardConfig) -> str:
    """What signs sessions: as the settings say, else new.

    Raises:
        ConfigError: the variable that holds it is not set.
    """
    secret = os.environ.get(config.secret_env, "") if config.secret_env else os.urandom(32).hex()
    if config.use and not secret:
        raise ConfigError(
            f"[dashboard] secret_env names {config.secret_env}, which is not set",
            hint="give all replicas the same long random value",
        )
    return secret


class Companion:
    """Starts the process, passes requests on to it, ends it.

    Args:
        root: of the workspace.
        no_auth, open_scope, secret: see `DashboardSettings`.
        shared: the socket where other processes pass requests on as well: whoever comes first starts the
            process, and the next one does when that one is gone. None = an own one.

    Attributes:
        settings: what the process is told.
    """

    def __init__(
        self, root: Path, no_auth: bool, open_scope: str, secret: str, shared: Path | None = None
    ) -> None:
        self._folder = None if shared else tempfile.TemporaryDirectory(prefix="freshet-dashboard-")
        socket = shared or Path(self._folder.name if self._folder else "") / "socket"
        self._socket = str(socket)
        self._lock = socket.with_name("dashboard.lock")
        self.settings = DashboardSettings(str(root), no_auth, open_scope, secret, self._socket)
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = asyncio.Lock()
        self._begun = 0.0
        self._ready = False
        self._under_way = 0
        self._asked = 0
        self._ended = False

    async def request(self, scope: Scope, prefix: str, receive: Receive, limits: HttpConfig) -> ASGIApp:
        """What answers a request; its body is read before, within the limits of all bodies.

        While the process starts, that is a page which asks again by itself.

        Raises:
            Refusal: too many are under way, or the process does not start.
        """
        path, method = scope["path"], scope["method"]
        if path in ("/", MOUNT):
            if method not in ("GET", "HEAD"):
                raise Refusal(405, "wrong_method", "pages are read", "", {"Allow": "GET, HEAD"})
            return RedirectResponse(f"{prefix}{MOUNT}/", 303, {"Cache-Control": "no-store"})
        if self._under_way >= MOST:
            raise Refusal(503, "busy", f"{MOST} pages are under way", "try again later", {"Retry-After": "1"})
        body = await bodies.read(scope["headers"], receive, limits) if method == "POST" else b""
        head = head_of(scope, prefix, len(body))

        async def relayed(_: Scope, receive: Receive, send: Send) -> None:
            self._under_way += 1
            self._asked += 1
            with suppress(FileNotFoundError):
                os.utime(self._lock)  # whoever started the process sees that it is of use to others
            try:
                await relay(self._socket, head + body, receive, send)
            finally:
                self._under_way -= 1
                asyncio.get_running_loop().call_later(IDLE, self._rest, self._asked)

        return relayed if await self._started() else _starting(method)

    def end(self) -> None:
        """End the process, and so every page that still goes on."""
        if self._ended:
            return
        self._ended = True
        self._stop()
        if self._folder is not None:
            self._folder.cleanup()

    def _stop(self) -> None:
        process, self._process, self._ready = self._process, None, False
        if process is None:
            return
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        process.kill()  # it only reads: what it changes, other processes do for it
        process.wait()

    def _rest(self, asked: int) -> None:
        """End the process if nobody has asked since, here or at another worker."""
        if asked != self._asked or self._under_way or self._process is None:
            return
        quiet = time.time() - self._lock.stat().st_mtime
        if quiet >= IDLE - 1:
            self._stop()
        else:
            asyncio.get_running_loop().call_later(IDLE - quiet, self._rest, asked)

    async def _started(self) -> bool:
        """Start the process if it doesn't run; whether it answers.

        Raises:
            Refusal: it does not start.
        """
        clock = asyncio.get_running_loop().time
        async with self._starting:
            if self._ended:
                raise Refusal(503, "stopping", "the server is stopping")
            if self._process is None or self._process.poll() is not None:
                failed = self._process is not None and not self._ready
                self._stop()
                if failed:
                    raise _broken()
                if (lock := self._turn()) is not None:
                    try:
                        with suppress(FileNotFoundError):
                            Path(self._socket).unlink()
                        launched = await asyncio.to_thread(_launched, self.settings, lock)
                        self._process, self._begun = launched, clock()
                    finally:
                        os.close(lock)
        end = clock() + PATIENCE
        while not self._ready:
            with suppress(OSError):
                _, writer = await asyncio.open_unix_connection(self._socket)
                writer.close()
                self._ready = self._process is not None  # of another's process that is asked each time
                return True
            if self._process is not None and (
                self._process.poll() is not None or clock() - self._begun > START
            ):
                self._stop()
                raise _broken()
            if clock() > end or self._ended:
                break
            await asyncio.sleep(POLL)
        return self._ready

    def _turn(self) -> int | None:
        """A lock that the process is to hold as long as it lives; None where one holds it already."""
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock


def _starting(method: str) -> Response:
    headers = {"Refresh": "1", "Retry-After": "1", "Cache-Control": "no-store"}
    return Response(STARTING if method != "HEAD" else b"", 503, headers, "text/html; charset=utf-8")


def _broken() -> Refusal:
    return Refusal(503, "no_dashboard", "the dashboard did not start", "the server's log says why")


def _launched(settings: DashboardSettings, lock: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", MODULE],  # nothing is imported from where the server was started
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=own_environment(),
        pass_fds=[lock],
        start_new_session=True,  # which it lowers: Linux shares processors between sessions first
    )
    if process.stdin is None:
        raise AssertionError("it has a pipe")
    with suppress(OSError):  # it has ended already, which is found out
        process.stdin.write(orjson.dumps(settings) + b"\n")
        process.stdin.flush()
    return process
