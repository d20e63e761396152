"""The log's state: a numbered list of immutable snapshots, each naming the day files that make up the log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from freshet.core import safe_names as names
from freshet.core.errors import ArtifactError, Busy
from freshet.core.types import AsOf
from freshet.stages.events import stream_state
from freshet.stages.events.event_days import DayFile, day_path
from freshet.stages.events.stream_state import Streams
from freshet.storage import sql
from freshet.storage.checksums import check_format
from freshet.storage.durable import read_json, write_text

_FORMAT, _STREAMED = 2, 3
"""Of a snapshot without streams, and with: who can't read them must not forget them."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The log at one moment.

    Attributes:
        version: hash of exactly these days and their content.
        days: in order of time.
        streams: how far each was read; the version doesn't depend on it.
    """

    version: str
    days: tuple[DayFile, ...]
    streams: Streams = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, days: Iterable[DayFile], streams: Streams | None = None) -> Snapshot:
        """The snapshot of these days."""
        ordered = tuple(sorted(days, key=lambda day: day.day))
        content = "".join(f"{day.day} {day.checksum}\n" for day in ordered)
        return cls(hashlib.sha256(content.encode()).hexdigest()[:16], ordered, streams or {})

    def before(self, as_of: AsOf | None) -> Snapshot:
        """Only the days before a point in time."""
        if as_of is None:
            return self
        return Snapshot.of((day for day in self.days if day.day < as_of.day), self.streams)

    @property
    def rows(self) -> int:
        """Number of events."""
        return sum(day.rows for day in self.days)

    @property
    def scan(self) -> str:
        """All day files as a table function, for `SELECT ... FROM {scan}` in DuckDB; there must be a day.

        Raises:
            ArtifactError: a file is missing or was cut off; only `DayFile.verify` finds other damage.
        """
        for day in self.days:
            day.check()
        return sql.parquet([day.path for day in self.days])


def latest(root: Path) -> tuple[int, Snapshot]:
    """The newest snapshot of a workspace and its number; (0, no days) before the first import.

    Raises:
        ArtifactError: the newest snapshot is damaged.
    """
    numbers = listed(root)
    return (numbers[-1], read(root, numbers[-1])) if numbers else (0, Snapshot.of(()))


def listed(root: Path) -> list[int]:
    """Numbers of all snapshots, oldest first."""
    found = (names.number(path.stem) for path in _folder(root).glob("*.json"))
    return sorted(number for number in found if number is not None)


def read(root: Path, number: int) -> Snapshot:
    """One snapshot.

    Raises:
        ArtifactError: it is damaged, or made by a newer Freshet.
    """
    path = place(root, number)
    content = read_json(path)
    try:
        streamed = content["format"] == _STREAMED
        check_format(path, content["format"], _STREAMED if streamed else _FORMAT)
        days = [
            DayFile(
                date.fromisoformat(day),
                day_path(root, date.fromisoformat(day), names.checked(checksum, "checksum of a day")),
                rows,
                checksum,
                size,
            )
            for day, checksum, rows, size in content["days"]
        ]
        found = Snapshot.of(days, stream_state.from_json(content["streams"]) if streamed else None)
        if found.version != content["version"]:
            raise ValueError("its checksum differs")
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path} is damaged: {error}",
            hint="`freshet doctor --repair` moves it aside: the log falls back to the snapshot before it",
        ) from None
    return found


def commit(root: Path, number: int, snapshot: Snapshot) -> None:
    """Store a snapshot as the given number; a reader sees all of it or nothing.

    Raises:
        Busy: another import took this number meanwhile; nothing has changed.
    """
    days = [[day.day.isoformat(), day.checksum, day.rows, day.size] for day in snapshot.days]
    content: dict[str, Any] = {"format": _FORMAT, "version": snapshot.version, "days": days}
    if snapshot.streams:
        content |= {"format": _STREAMED, "streams": stream_state.to_json(snapshot.streams)}
    text = json.dumps(content, separators=(",", ":"))
    try:
        write_text(place(root, number), text, exclusive=True)
    except FileExistsError:
        raise Busy(
            f"another import into {root} finished first", hint="import again", retryable=True
        ) from None


def _folder(root: Path) -> Path:
    return root / "events" / "log"


def place(root: Path, number: int) -> Path:
    """Where a snapshot is kept."""
    return _folder(root) / f"{number:08d}.json"
