"""The first day that `[retention]` keeps: what is older went on purpose, and must not come in again."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from freshet.core.errors import ArtifactError
from freshet.storage.durable import read_json, write_json
from freshet.storage.user_ids import FORGOTTEN

TOO_OLD = "older than [retention] keeps"
"""Why a row is refused; of such a row nothing is kept."""
ON_PURPOSE = frozenset({FORGOTTEN, TOO_OLD})
"""Reasons of rows with which nothing is wrong; none of them goes to quarantine."""


def keep(root: Path, first: date, events_days: int) -> None:
    """Refuse events before a day from now on; call it under the lease.

    Args:
        events_days: of `[retention]`, by which it was the first.
    """
    content = {"format": 1, "first_day": first.isoformat(), "events_days": events_days}
    if _read(root) != (first, events_days):
        write_json(_path(root), content)


def lift(root: Path, events_days: int) -> None:
    """Refuse nothing any more if `[retention]` now keeps more days, or all; call it under the lease."""
    found = _read(root)
    if found is not None and (not events_days or events_days > found[1]):
        _path(root).unlink()


def first_day(root: Path) -> date | None:
    """The day before which events are refused; None where none is.

    Raises:
        ArtifactError: `first-day.json` is damaged.
    """
    found = _read(root)
    return found[0] if found is not None else None


def _read(root: Path) -> tuple[date, int] | None:
    path = _path(root)
    if not path.exists():
        return None
    content = read_json(path)
    try:
        return date.fromisoformat(content["first_day"]), int(content["events_days"])
    except (ValueError, KeyError, TypeError):
        raise ArtifactError(
            f"{path} is damaged", hint="delete it: the next `freshet` run with [retention] makes it again"
        ) from None


def _path(root: Path) -> Path:
    return root / "events" / "first-day.json"
