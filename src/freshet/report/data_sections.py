"""Sections on the data: the log and what was refused of it, and where the page's figures come from."""

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


def gather_data(subject: Subject) -> Data:
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


GLOSSARY = (
    ("interest", "a cluster of items, with a stable id and a unique description made of keywords"),
    ("context", "a person's most recent distinct interests, in order"),
    ("successor", "the next interest that is novel to the person"),
    ("transition", "a context and the successor taken up after it, counted once per person and day"),
    ("evidence", "what recent transitions say about a context; it is put into the planner's prompt"),
    (
        "planner",
        "ranks successors beside plain counts: a small transformer, or a fine-tuned language model",
    ),
    ("fused score", "planner and count scores combined by weights fitted on held-out transitions"),
    ("table", "for every context, the ranked successors; a release is a published table"),
    ("churn", "share of the top-5 successors that a refresh replaced"),
    ("floor", "the churn that chance alone makes: two tables from resamples of the same people"),
)


@dataclass(frozen=True, slots=True)
class Origins:
    """`versions`: what each artifact is called in the store; `settings`: what shaped the figures."""

    glossary: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    libraries: tuple[tuple[str, str], ...]


def gather_origins(subject: Subject) -> Origins:
    """Where the figures come from."""
    config = subject.ws.config
    settings = (
        ("positive rule", config.events.positive or "every event is an engagement"),
        ("novel means", _novel(config.transitions.novelty_days)),
        ("context length", str(config.transitions.k)),
        ("evidence", f"{config.evidence.level}, by {config.evidence.rank_by}"),
        (
            "price book",
            f"{config.prices.per_hour} per hour, {config.prices.per_million_tokens} per million "
            f"tokens, in {config.prices.currency}",
        ),
    )
    libraries = subject.records[-1].libraries if subject.records else {}
    return Origins(GLOSSARY, tuple(_versions(subject)), settings, tuple(libraries.items()))


def _novel(days: int | str) -> str:
    return "never engaged before" if days == "ever" else f"not engaged within the last {days} days"


def _versions(subject: Subject) -> list[tuple[str, str]]:
    found = []
    if subject.opened is not None:
        release, manifest = subject.opened.release, subject.opened.made.manifest
        found = [
            ("release", f"{release.number}, published by run {release.run}"),
            ("as of", release.as_of),
            ("events", " to ".join(manifest["window"])),
            ("table", release.table),
            ("planner", manifest["planner"] or "none"),
        ]
    if subject.model is not None:
        found.append(("model", subject.model.version))
    if subject.interests is not None:
        found.append(("interests", subject.interests.version))
    if subject.counted is not None:
        found.append(("transitions", subject.counted.version))
    return found
