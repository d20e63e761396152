"""Section: the data. What came in, what was refused and why, what belongs to no interest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import altair as alt
from markupsafe import Markup

from freshet.core.types import AsOf
from freshet.report import charts
from freshet.report.subject import Subject
from freshet.stages.events import EventLog, Snapshot
from freshet.storage.sql import connect

_EXAMPLE = 160
"""Characters shown of a refused row."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Rows in quarantine for one reason, and one of them as it came."""

    reason: str
    rows: int
    example: str


@dataclass(frozen=True, slots=True)
class Data:
    """The log before as_of; `later` events came after it.

    Attributes:
        assigned: items by how they got their interest; empty before interests are built.
        unassigned_traffic: share of engagements with items that have no interest.
    """

    events: int
    later: int
    users: int
    items: int
    days: int
    first: date | None
    last: date | None
    refused: tuple[Refused, ...]
    without_text: int
    assigned: dict[str, int]
    unassigned: int
    unassigned_traffic: float
    chart: Markup | None


def gather(subject: Subject) -> Data:
    """What was imported."""
    whole = EventLog(subject.ws.root).snapshot()
    known = whole.before(AsOf.parse(subject.as_of)) if subject.as_of else whole
    users, items = _distinct(known)
    summary = _summary(subject)
    return Data(
        known.rows,
        whole.rows - known.rows,
        users,
        items,
        len(known.days),
        known.days[0].day if known.days else None,
        known.days[-1].day if known.days else None,
        _refused(subject),
        _without_text(subject),
        summary.get("assigned", {}),
        summary.get("unassigned", 0),
        summary.get("unassigned_traffic", 0.0),
        _chart(known) if known.days else None,
    )


def _distinct(known: Snapshot) -> tuple[int, int]:
    """Distinct users and items of the log."""
    if not known.days:
        return 0, 0
    for day in known.days:
        day.verify()
    with connect() as connection:
        found = connection.execute(
            f'SELECT count(DISTINCT "user"), count(DISTINCT item) FROM {known.scan}'
        ).fetchall()
    return int(found[0][0]), int(found[0][1])


def _refused(subject: Subject) -> tuple[Refused, ...]:
    files = [str(path) for path in sorted((subject.ws.root / "quarantine").glob("*.parquet"))]
    if not files:
        return ()
    with connect() as connection:
        rows: Sequence[tuple[Any, ...]] = connection.execute(
            "SELECT reason, count(*) AS rows, min(raw) FROM read_parquet(?) "
            "GROUP BY reason ORDER BY rows DESC, reason",
            [files],
        ).fetchall()
    return tuple(Refused(reason, count, str(raw or "")[:_EXAMPLE]) for reason, count, raw in rows)


def _summary(subject: Subject) -> dict[str, Any]:
    """How items got their interest, from the assignment behind the transitions."""
    if subject.counted is None:
        return {}
    version = subject.counted.manifest["inputs"]["assignment"]
    found = subject.ws.store.find("assignments", version)
    return dict(found.manifest["summary"]) if found else {}


def _without_text(subject: Subject) -> int:
    if subject.interests is None:
        return 0
    found = subject.ws.store.find("items", subject.interests.manifest["inputs"]["items"])
    return int(found.manifest["without_text"]) if found else 0


def _chart(known: Snapshot) -> Markup:
    rows = [{"day": str(day.day), "events": day.rows} for day in known.days]
    chart = (
        alt.Chart(charts.data(rows))
        .mark_area(color=charts.ACCENT, opacity=0.25, line={"color": charts.ACCENT, "strokeWidth": 1.5})
        .encode(
            x=alt.X("day:T", axis=charts.axis(grid=False)),
            y=alt.Y("events:Q", axis=charts.axis("events per day")),
        )
        .properties(width=charts.WIDTH - 60, height=120)
    )
    most = max(known.days, key=lambda day: day.rows)
    return charts.render(
        chart,
        f"Events per day from {known.days[0].day} to {known.days[-1].day}; the busiest day, {most.day}, "
        f"had {most.rows:,}",
    )
