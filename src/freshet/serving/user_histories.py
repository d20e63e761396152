"""Fills the user store from the log: what every user engaged, as serving remembers it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import NotServing
from freshet.core.ports import UserStore
from freshet.core.time import DAY
from freshet.core.types import History
from freshet.stages import events, interests
from freshet.stages.events import DayFile, HistoryReader
from freshet.stages.transitions import reassigned
from freshet.storage import sql
from freshet.storage.artifacts import Artifact
from freshet.storage.ledger import Run
from freshet.storage.release_parts import parts_of
from freshet.storage.workspace import DRAFTS, Workspace

NOTE = "remembered"
"""Name of the note of what is in the histories."""

ROWS = 4_000_000
"""Events read by one query, about: what bounds memory."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the current release reads the log; where `settings` change, all of it is read anew."""

    settings: dict[str, Any]
    assignment: Artifact
    ids: NDArray[np.int32]

    @property
    def assigned(self) -> Path:
        return self.assignment.path / "assignment.parquet"

    def noted(self, days: dict[str, str]) -> dict[str, Any]:
        """A note that these days (day -> checksum) are remembered, read in this way."""
        return {"settings": self.settings, "assignment": self.assignment.version, "days": days}


def join_histories(ws: Workspace, run: Run, store: UserStore | None) -> None:
    """Join the log's histories to a user store, if there is one, once something was published."""
    if store is not None and ws.releases.current() is not None:
        with run.step("histories") as step:
            step.details = {"joined": remember(ws, store)}


def remember(ws: Workspace, store: UserStore) -> int:
    """Join the histories of the workspace's log to a user store; returns how many were joined.

    Only days that changed since the last call are read, and those with items whose interest changed. What a
    call leaves undone, because it was killed, the next one does. Memory does not grow with the log.

    Raises:
        NotServing: nothing has been published yet, so that items have no interests.
        ArtifactError: a part of the current release, or of the log, is missing or damaged.
        StateError: the user store can't be written.
    """
    reading = _reading(ws)
    log = events.EventLog(ws.source).snapshot().days
    progress = ws.reporter.progress("histories")
    before = json.loads(store.notes.get(NOTE) or b"{}")
    joined = 0
    scratch = ws.root / DRAFTS / f"histories-{uuid4().hex[:8]}"  # made where memory doesn't suffice
    with sql.connect_spilling(scratch) as db:
        stale = _stale(ws, db, before, reading, log)
        held = {str(day.day): day.checksum for day in log if day not in stale}
        reader = HistoryReader(db, reading.assigned, reading.ids, _rule(ws), _since(reading, log))
        for part in _parts(stale):
            for day in part:
                day.verify()
            counted = _Counted(reader.read(part, log))
            store.merge(counted)
            joined += counted.seen
            held |= {str(day.day): day.checksum for day in part}
            _note(store, reading.noted(held))
            progress(len(held), len(log))
    if not stale and before != reading.noted(held):
        _note(store, reading.noted(held))
    return joined


def _reading(ws: Workspace) -> _Reading:
    release = ws.releases.current()
    if release is None:
        raise NotServing("nothing has been published yet", hint="`freshet run` publishes a first release")
    parts = parts_of(ws.store, release)
    settings = {
        "interests": release.interests,
        "rule": ws.config.events.positive,
        "novelty_days": parts.table.manifest["settings"]["transitions"]["novelty_days"],
    }
    return _Reading(settings, parts.assignment, interests.load(parts.interests.path).ids)


def _stale(
    ws: Workspace,
    db: duckdb.DuckDBPyConnection,
    before: dict[str, Any],
    reading: _Reading,
    log: Sequence[DayFile],
) -> list[DayFile]:
    """Days to read: what is remembered of them is missing, or was read in another way."""
    if before.get("settings") != reading.settings:
        return list(log)
    changed = {str(day.day) for day in log if before["days"].get(str(day.day)) != day.checksum}
    if before["assignment"] != reading.assignment.version:
        old = ws.store.find("assignments", before["assignment"])
        if old is None:
            return list(log)
        days = [(day.day, day.path) for day in log]
        changed |= reassigned(db, days, old.path / "assignment.parquet", reading.assigned)
    return [day for day in log if str(day.day) in changed]


def _rule(ws: Workspace) -> str:
    return events.parse(ws.config.events.positive).sql


def _since(reading: _Reading, log: Sequence[DayFile]) -> int:
    """Interests engaged before this moment (microseconds since 1970) are novel again: they need no memory."""
    days = reading.settings["novelty_days"]
    if days == "ever" or not log:
        return 0
    last = (log[-1].day - type(log[-1].day)(1970, 1, 1)).days
    return (last - int(days)) * DAY


def _parts(days: Sequence[DayFile]) -> Iterator[list[DayFile]]:
    """Days in order, about ROWS events at a time."""
    part: list[DayFile] = []
    for day in days:
        part.append(day)
        if sum(one.rows for one in part) >= ROWS:
            yield part
            part = []
    if part:
        yield part


class _Counted:
    """An iterable that knows how many it gave."""

    def __init__(self, histories: Iterator[tuple[bytes, History]]) -> None:
        self._histories = histories
        self.seen = 0

    def __iter__(self) -> Iterator[tuple[bytes, History]]:
        for one in self._histories:
            self.seen += 1
            yield one


def _note(store: UserStore, note: dict[str, Any]) -> None:
    store.notes.put(NOTE, json.dumps(note).encode())
