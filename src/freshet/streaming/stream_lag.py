"""How far behind a stream the log is, as its reader last saw it: for people, nothing reads on from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from freshet.core.errors import ArtifactError
from freshet.stages.events import snapshots
from freshet.storage.durable import locked, read_json, write_json
from freshet.storage.workspace import Workspace

_FILE = Path("events") / "stream-lag.json"


@dataclass(frozen=True, slots=True)
class SeenStream:
    """A stream of the log.

    Attributes:
        positions: partition -> position behind the last message that is in the log.
        read, added, duplicates, refused, lost: as in `freshet.stages.events.StreamState`.
        behind: partition -> messages that were not read when `seen` (UTC); None where nobody has looked.
        seen: when its readers last looked, the oldest look of all.
        last_event: time of the newest event that came from it.
    """

    name: str
    positions: Mapping[str, str]
    read: int
    added: int
    duplicates: int
    refused: int
    lost: int
    behind: Mapping[str, int] | None
    seen: str | None
    last_event: str | None


@dataclass(frozen=True, slots=True)
class _Look:
    behind: int
    seen: str


def note_lag(ws: Workspace, name: str, behind: Mapping[str, int], last_event: datetime | None) -> None:
    """Remember a look; other readers' partitions stay as they saw them."""
    path, now = ws.source / _FILE, datetime.now(UTC).isoformat(timespec="seconds")
    with locked(path.parent):
        known = _known(path)
        own = known.get(name, {"partitions": {}, "last_event": None})
        own["partitions"] |= {one: asdict(_Look(count, now)) for one, count in behind.items()}
        if last_event is not None:
            text = last_event.replace(tzinfo=UTC).isoformat(timespec="seconds")
            own["last_event"] = max(text, own["last_event"] or "")
        write_json(path, {**known, name: own})


def seen_streams(ws: Workspace) -> tuple[SeenStream, ...]:
    """All streams that the log has read from."""
    known = _known(ws.source / _FILE)
    found = []
    for name, state in snapshots.latest(ws.source)[1].streams.items():
        look = known.get(name, {"partitions": {}, "last_event": None})
        looks = [_Look(**one) for one in look["partitions"].values()]
        behind = {one: _Look(**seen).behind for one, seen in look["partitions"].items()}
        found.append(
            SeenStream(
                name,
                dict(state.positions),
                state.read,
                state.added,
                state.duplicates,
                state.refused,
                state.lost,
                behind or None,
                min((one.seen for one in looks), default=None),
                look["last_event"],
            )
        )
    return tuple(found)


def _known(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = read_json(path)
    except ArtifactError:  # information that the next look brings again
        return {}
    return found if isinstance(found, dict) else {}
