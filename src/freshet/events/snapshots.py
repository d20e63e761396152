"""The log's state: a numbered list of immutable snapshots, each naming the day files that make up the log."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import uuid4

from freshet.errors import ArtifactError, Busy
from freshet.events import sql
from freshet.events.days import DayFile, day_path
from freshet.types import AsOf

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The log at one moment.

    Attributes:
        version: hash of exactly these days and their content.
        days: in order of time.
    """

    version: str
    days: tuple[DayFile, ...]

    @classmethod
    def of(cls, days: Iterable[DayFile]) -> Snapshot:
        """The snapshot of these days."""
        ordered = tuple(sorted(days, key=lambda day: day.day))
        listed = "".join(f"{day.day} {day.checksum}\n" for day in ordered)
        return cls(hashlib.sha256(listed.encode()).hexdigest()[:16], ordered)

    def before(self, as_of: AsOf | None) -> Snapshot:
        """Only the days before a point in time."""
        if as_of is None:
            return self
        return Snapshot.of(day for day in self.days if day.day < as_of.day)

    @property
    def rows(self) -> int:
        """Number of events."""
        return sum(day.rows for day in self.days)

    @property
    def scan(self) -> str:
        """All day files as a table function, for `SELECT ... FROM {scan}` in DuckDB; there must be a day."""
        return sql.parquet([day.path for day in self.days])


def latest(root: Path) -> tuple[int, Snapshot]:
    """The newest snapshot of a workspace and its number; (0, no days) before the first import.

    Raises:
        ArtifactError: the newest snapshot is damaged.
    """
    numbers = sorted(int(path.stem) for path in _folder(root).glob("*.json") if path.stem.isdigit())
    if not numbers:
        return 0, Snapshot.of(())
    path = _path(root, numbers[-1])
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        days = [
            DayFile(
                date.fromisoformat(day),
                day_path(root, date.fromisoformat(day), checksum),
                rows,
                checksum,
            )
            for day, checksum, rows in content["days"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path} is damaged: {error}",
            hint="delete it: the log falls back to the snapshot before it",
        ) from None
    return numbers[-1], Snapshot.of(days)


def commit(root: Path, number: int, snapshot: Snapshot) -> None:
    """Store a snapshot as the given number; a reader sees all of it or nothing.

    Raises:
        Busy: another import took this number meanwhile; nothing has changed.
    """
    path = _path(root, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    days = [[day.day.isoformat(), day.checksum, day.rows] for day in snapshot.days]
    aside = path.with_name(f".{path.name}.{uuid4().hex}")
    with aside.open("w", encoding="utf-8") as file:
        json.dump({"format": _FORMAT, "days": days}, file, separators=(",", ":"))
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(aside)  # unlike a rename, fails where the number is taken
    except FileExistsError:
        raise Busy(
            f"another import into {root} finished first", hint="import again", retryable=True
        ) from None
    finally:
        aside.unlink()


def _folder(root: Path) -> Path:
    return root / "events" / "log"


def _path(root: Path, number: int) -> Path:
    return _folder(root) / f"{number:08d}.json"
