"""Where a Ray cluster is said to be, and whether anybody is there."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from freshet.core.errors import ExecutorLost

_ANSWER = 10.0
"""Seconds that the head of a cluster may take to accept a connection."""


def need_answer(address: str) -> None:
    """Refuse an address at which nobody listens: Ray itself would go on asking it for minutes.

    Raises:
        ExecutorLost: nobody does.
    """
    meant = _meant(address)
    host, _, port = meant.rpartition(":")
    if (
        not host or not port.isdigit()
    ):  # "local", or "auto" where no cluster was ever started: Ray knows at once
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER).close()
    except (OSError, OverflowError) as error:
        stands = "" if meant == address else f", for which {meant} was found"
        raise ExecutorLost(
            f"no Ray cluster answers at [ray] address = {address!r}{stands}: {error}",
            hint="start one with `ray start --head`, or set [ray] address",
            retryable=True,
        ) from None


def _meant(address: str) -> str:
    """What "auto" stands for: RAY_ADDRESS, or the cluster that was last started on this machine."""
    if address != "auto":
        return address
    if given := os.environ.get("RAY_ADDRESS"):
        return given
    with suppress(OSError):
        place = Path(os.environ.get("RAY_TMPDIR") or "/tmp")
        return (place / "ray" / "ray_current_cluster").read_text(encoding="utf-8").strip()
    return address
