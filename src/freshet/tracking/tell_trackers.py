"""Telling trackers what they were not told yet, within a bound of time, and remembering what they were told.

`tracking/sent.json` holds, by tracker and run, a hash of what was told. A run that changes later, such as one
that a person approves, is told again. Losing the file costs telling all again; no run is there twice then.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

from freshet.core.errors import ArtifactError, Busy, FreshetError, TrackingError
from freshet.core.ports import TrackedRun, Tracker
from freshet.storage.durable import read_json, write_json
from freshet.storage.lease import lease
from freshet.storage.workspace import Workspace
from freshet.tracking.run_facts import run_facts

NAME = "tracking/sent.json"
LOCK = "cache/tracking/LEASE"
"""Of this machine alone, like all caches, where the workspace lies in a bucket."""
SECONDS = 20.0
"""That telling may take at the end of a command; what is left then is told after the next one."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What one tracker was told.

    Attributes:
        target: who was told.
        sent: runs told now; `before`: told already, as they are now; `left`: not told.
        failure: why some are left, '' where only time ran out, or none is.
    """

    target: str
    sent: int
    before: int
    left: int
    failure: str = ""


def send_new(ws: Workspace, trackers: Sequence[Tracker], seconds: float = SECONDS) -> list[Sent]:
    """Tell each tracker of the runs that it was not told of, newest first, and say what is left.

    Nothing is raised: a command that did its work does not fail for it. Where another process is telling, it
    is left to that one.
    """
    try:
        found = send_all(ws, trackers, seconds=seconds)
    except Busy:
        return []
    except (FreshetError, OSError) as error:
        ws.reporter.say(f"tracking: {error}")
        return []
    for one in found:
        if one.left:
            why = f": {one.failure}" if one.failure else ""
            ws.reporter.say(f"tracking: {one.left} runs are not at {one.target} yet{why}")
            ws.reporter.say("  the ledger has them; the next run, or `freshet track`, sends them")
    return found


def send_all(
    ws: Workspace, trackers: Sequence[Tracker], again: bool = False, seconds: float = float("inf")
) -> list[Sent]:
    """Tell each tracker of the runs that it was not told of, newest first.

    Args:
        again: also of those that it was told of before.
        seconds: after which no further run is begun.

    Raises:
        Busy: another process is telling.
        ArtifactError: a record of the ledger is damaged.
    """
    until = time.monotonic() + seconds
    with lease(ws.root / LOCK, "track"):
        facts = [run_facts(ws, record) for record in reversed(ws.ledger.records())]
        ended = [run for run in facts if run is not None]
        return [_tell(ws, tracker, ended, again, until) for tracker in trackers]


def _tell(ws: Workspace, tracker: Tracker, runs: Sequence[TrackedRun], again: bool, until: float) -> Sent:
    known, new = _told(ws).get(tracker.target, {}), {}
    hashes = {run.key: _hash(run) for run in runs}
    waiting = [run for run in runs if again or known.get(run.key) != hashes[run.key]]
    show, failure = ws.reporter.progress(f"tracking: {tracker.target}"), ""
    try:
        for run in waiting:
            if time.monotonic() >= until:
                break
            tracker.send(run)
            new[run.key] = hashes[run.key]
            show(len(new), len(waiting))
    except TrackingError as error:
        failure = str(error)
    if new:
        _remember(ws, tracker.target, new)
    return Sent(tracker.target, len(new), len(runs) - len(waiting), len(waiting) - len(new), failure)


def _remember(ws: Workspace, target: str, new: dict[str, str]) -> None:
    """Keep what was told, in the bucket too where the workspace lies in one."""
    with ws.bucket.changed(NAME) if ws.bucket is not None else nullcontext():
        told = _told(ws)  # as others left it meanwhile
        write_json(ws.root / NAME, told | {target: told.get(target, {}) | new})


def _told(ws: Workspace) -> dict[str, dict[str, str]]:
    """What was told before; nothing where the file is lost or damaged: then all is told again."""
    path = ws.root / NAME
    try:
        found: Any = read_json(path) if path.exists() else {}
    except ArtifactError:
        return {}
    return found if isinstance(found, dict) else {}


def _hash(run: TrackedRun) -> str:
    text = json.dumps(asdict(run), sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
