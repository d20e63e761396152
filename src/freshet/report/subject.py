"""What a report is about: the release that serves, or, before there is one, what has been built so far."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from freshet import inspect
from freshet.core.errors import FreshetError
from freshet.core.types import AsOf
from freshet.simulator import SIMULATED
from freshet.stages.events.formats import listing
from freshet.stages.events.step import located
from freshet.stages.schedule.successor_overlap import ContextTransitions
from freshet.stages.transitions import TransitionLog
from freshet.storage.artifacts import Artifact
from freshet.storage.ledger import Record
from freshet.storage.workspace import Workspace

MAX_CELLS = 40_000_000
"""Transitions times interests held in memory at once; users are sampled beyond."""


@dataclass(frozen=True)
class Subject:
    """A workspace, opened for reading.

    Attributes:
        opened: the current release, or None.
        interests: artifact of the interests behind it, or the newest; None before any were built.
        counted: artifact of its transitions, or the newest of these interests.
        records: the ledger, oldest run first.
    """

    ws: Workspace
    opened: inspect.Opened | None
    interests: Artifact | None
    counted: Artifact | None
    records: list[Record]

    @classmethod
    def of(cls, ws: Workspace) -> Subject:
        records = ws.ledger.records()
        if ws.releases.current() is None:
            interests = _newest(ws, "interests")
            return cls(ws, None, interests, _newest(ws, "transitions"), records)
        opened = inspect.open_release(ws)
        inputs = opened.made.manifest["inputs"]
        return cls(
            ws,
            opened,
            ws.store.find("interests", inputs["interests"]),
            ws.store.find("transitions", inputs["transitions"]),
            records,
        )

    @property
    def as_of(self) -> str:
        """The release's moment; before there is one, that of the last run that had a moment; or ''."""
        if self.opened:
            return self.opened.release.as_of
        return next((record.as_of for record in reversed(self.records) if record.as_of), "")

    @property
    def model(self) -> Artifact | None:
        """The model behind the release, or the newest one before there is a release."""
        if self.opened is None:
            return _newest(self.ws, "models")
        version = self.opened.release.model
        return self.ws.store.find("models", version) if version else None

    @cached_property
    def history(self) -> list[inspect.RunLine]:
        """The runs in a line each, oldest first."""
        return inspect.history(self.ws)

    @cached_property
    def log(self) -> TransitionLog | None:
        """The counted transitions."""
        if self.counted is None or self.interests is None:
            return None
        return TransitionLog(self.counted.path, self.ws.pool, self.size)

    @property
    def size(self) -> int:
        """How many interests there are."""
        return int(self.interests.manifest["summary"]["interests"]) if self.interests else 0

    @cached_property
    def dated_transitions(self) -> ContextTransitions | None:
        """All transitions before as_of, or those of a sample of users where they are too many."""
        if self.log is None or not self.as_of:
            return None
        start = AsOf.from_day_number(max(self.log.first_day, 0))
        found = self.log.between(start, AsOf.parse(self.as_of), limit=max(1, MAX_CELLS // self.size))
        return ContextTransitions.of(found, 1)

    @cached_property
    def simulated(self) -> bool | None:
        """See `simulated`."""
        return simulated(self.ws)


def simulated(ws: Workspace) -> bool | None:
    """Whether a source file says that it is simulated; None where no source file can be read."""
    files = [*ws.config.events.files, ws.config.events.items]
    marks = [_marked(ws, name) for name in files if name]
    known = [mark for mark in marks if mark is not None]
    return any(known) if known else None


def _marked(ws: Workspace, name: str) -> bool | None:
    """Whether a source carries the simulator's mark; None if it is gone. Only Parquet can carry it."""
    where = located(ws, name)
    if isinstance(where, Path) and not where.exists():
        return None
    if where.suffix != ".parquet":
        return False
    try:
        there = listing(where, ws.sources)
        if there.what != "file":
            return False if there.what == "folder" else None
        with there.files[0].content.open() as file:
            metadata = pq.read_schema(file).metadata or {}
    except (pa.ArrowInvalid, FreshetError):
        return None
    return bool(metadata.get(b"freshet", b"").decode("utf-8", "replace") == SIMULATED)


def _newest(ws: Workspace, kind: str) -> Artifact | None:
    versions = ws.store.versions(kind)
    return ws.store.find(kind, versions[-1]) if versions else None
