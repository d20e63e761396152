"""Prometheus and Alertmanager as processes, where they are installed."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import free_ports

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
NEEDS_PROMETHEUS = pytest.mark.skipif(PROMETHEUS is None, reason="no Prometheus: apt-get install prometheus")
NEEDS_PROMTOOL = pytest.mark.skipif(PROMTOOL is None, reason="no promtool: apt-get install prometheus")
NEEDS_ALERTMANAGER = pytest.mark.skipif(
    ALERTMANAGER is None, reason="no Alertmanager: apt-get install prometheus-alertmanager"
)
PATIENCE = 120.0
"""Seconds that a test waits for what should happen within a few: the machine may be busy."""


@contextmanager
def alertmanager(folder: Path) -> Iterator[str]:
    """An Alertmanager that sends nothing on; gives its address."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "alertmanager.yml"
    config.write_text("route: {receiver: nobody, group_wait: 1s}\nreceivers: [{name: nobody}]\n")
    [port] = free_ports(1)
    command = [
        str(ALERTMANAGER), f"--config.file={config}", f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    with _process(command, folder / "log", f"http://127.0.0.1:{port}/-/ready"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def prometheus(folder: Path, config: str) -> Iterator[str]:
    """A Prometheus with a configuration; gives its address."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "prometheus.yml"
    path.write_text(config)
    [port] = free_ports(1)
    command = [
        str(PROMETHEUS), f"--config.file={path}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with _process(command, folder / "log", f"http://127.0.0.1:{port}/-/ready"):
        yield f"http://127.0.0.1:{port}"


def eventually(look: Any, wanted: Any) -> Any:
    """What `look` gives once it is wanted; fails after `PATIENCE`."""
    until = time.monotonic() + PATIENCE
    while True:
        found = look()
        if wanted(found):
            return found
        assert time.monotonic() < until, found
        time.sleep(0.2)


@contextmanager
def _process(command: Sequence[str], log: Path, ready: str) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return httpx.get(ready).status_code == 200
            except httpx.TransportError:
                return False

        eventually(answers, bool)
        yield
    finally:
        process.kill()
        process.wait()
