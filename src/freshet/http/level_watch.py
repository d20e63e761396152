"""Looks at the service levels beside a server: in a process of its own, every few minutes.

A look reads ledgers and may measure drift, which takes a processor for seconds; within the service's process
requests would wait for it. So `freshet alerts` does it, which also tells the receivers of `[alerts]`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import orjson

from freshet.core.config import load
from freshet.core.errors import ConfigError, StateError
from freshet.core.masking import masked
from freshet.http.prometheus import Level, Metrics, own_environment

FIRST = 20.0
"""Seconds before the first look at most: a server that starts has other things to do."""
LONGEST = 600.0
"""Seconds that a look may take."""
NICE = 10
SETTINGS = "freshet.toml"


class LevelWatch:
    """What a server knows of the levels of its workspace.

    Args:
        root: of the workspace.
        metrics: is told of what is found.
    """

    def __init__(self, root: Path, metrics: Metrics) -> None:
        self._root = root
        self._metrics = metrics
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False
        self._seconds = FIRST
        self._measures = True
        self._lock = threading.Lock()

    def seconds(self) -> float:
        """From one look to the next, by the settings as they are now or were last right; 0 = never."""
        with suppress(ConfigError):  # a look says what is wrong with them
            self._seconds = load(self._root / SETTINGS).alerts.every_minutes * 60
        self._metrics.set_looks(self._seconds)
        return self._seconds

    def look(self) -> None:
        """Look once, and tell whom it concerns.

        Raises:
            ConfigError: the settings are wrong.
            StateError: the look failed.
        """
        send = ["--send"] if load(self._root / SETTINGS).alerts.used else []
        measure = [] if self._measures else ["--no-measure"]
        command = [
            sys.executable,
            "-P",  # nothing is imported from where the server was started
            "-m",
            "freshet",
            "alerts",
            "-w",
            str(self._root),
            "--json",
            *send,
            *measure,
        ]
        with self._lock:
            if self._ended:
                return
            self._process = process = subprocess.Popen(
                command,
                env=own_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
        try:
            out, said = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self._measures = False  # or every look would begin anew what none can finish
            raise StateError(
                f"a look at the service levels took more than {LONGEST:g} s",
                hint="this server leaves drift and loss to `freshet alerts` and the scheduler from now on",
            ) from None
        if self._ended:
            return
        if process.returncode:
            last = masked(said.decode("utf-8", "replace").strip()[-300:])
            raise StateError(f"a look at the service levels failed: {last}", retryable=True)
        found = orjson.loads(out)
        levels = [Level(one["name"], one["state"], one["value"], one["objective"]) for one in found["levels"]]
        self._metrics.set_levels(levels, [one["name"] for one in found["firing"]], time.time())

    def end(self) -> None:
        """End a look that is under way; what it told is remembered by then, or told again."""
        with self._lock:
            self._ended = True
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
