"""`freshet drift`: how fast successors change on this log, against the no-drift null."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli.json_documents import document, plain_mapping
from freshet.cli.options import (
    HERE,
    AsJson,
    Here,
    Moment,
    Seed,
    To,
    Wait,
    answer,
    opened,
    parse_days,
    parse_moment,
    with_events,
)
from freshet.core.errors import NotEnoughData

if TYPE_CHECKING:
    from freshet.core.types import AsOf, Transitions
    from freshet.run_context import LogSnapshot
    from freshet.storage.workspace import Workspace


def drift(
    workspace: Here = HERE,
    every: Annotated[
        str, typer.Option("--every", metavar="month", help="Length of a window: month, 28d, 4w.")
    ] = "month",
    start: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="First day; else that of the log.")
    ] = None,
    end: To = None,
    min_support: Annotated[
        int, typer.Option("--min-support", min=1, help="Fewest transitions of a context in each window.")
    ] = 10,
    permutations: Annotated[int, typer.Option("--permutations", min=20, help="Shuffles of the null.")] = 200,
    limit: Annotated[
        int, typer.Option("--limit", min=1000, help="Transitions used; of more, a sample of users.")
    ] = 500_000,
    seed: Seed = 0,
    as_of: Moment = None,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """How fast successors change: month over month and with distance, against the no-drift null."""
    options = DriftOptions(
        every,
        parse_moment(start, "--from"),
        parse_moment(end, "--to"),
        min_support,
        permutations,
        limit,
        seed,
    )
    with opened(workspace, wait, makes_way=True) as ws:
        found, page = _measured(ws, options, parse_moment(as_of))
    lines = [*found["answer"], f"wrote {page}"]
    content = document("drift", {**found, "page": page})
    answer(content, as_json, lambda console: console.print("\n".join(lines)))


@dataclass(frozen=True, slots=True)
class DriftOptions:
    """What to measure.

    Attributes:
        every: length of a window: `month`, or days as `28d` or `4w`.
        start, end: days before and after which nothing is read; None = all of the log.
        min_support: fewest transitions of a context in each window.
        permutations: shuffles of the no-drift null.
        limit: transitions used at most; of more, a sample of whole users.
    """

    every: str
    start: AsOf | None
    end: AsOf | None
    min_support: int
    permutations: int
    limit: int
    seed: int


def _measured(ws: Workspace, options: DriftOptions, as_of: AsOf | None) -> tuple[dict[str, Any], Path]:
    """Measure drift; leaves drift.json, drift.parquet and drift.html in the workspace's folder `drift`."""
    from freshet import operations
    from freshet.report.drift_page import sentences, write_drift
    from freshet.stages.schedule.log_drift import drift_of
    from freshet.storage.durable import write_json

    _, known = operations.form_interests(with_events(ws), as_of)
    rows, edges = _rows(known, options)
    measured = drift_of(
        rows,
        edges,
        permutations=options.permutations,
        min_support=options.min_support,
        seed=options.seed,
        progress=ws.reporter.progress("drift"),
    )
    log = _about(ws, known, options, rows, edges)
    found = plain_mapping({"log": log, "drift": _named(measured, known.interests.descriptions)})
    found["answer"] = sentences(found["drift"], log)
    folder = ws.root / "drift"
    write_json(folder / "drift.json", found)
    _write_parquet(found["drift"], folder / "drift.parquet")
    return found, write_drift(found, folder / "drift.html")


def _rows(known: LogSnapshot, options: DriftOptions) -> tuple[Transitions, list[int]]:
    from freshet.core.types import AsOf
    from freshet.stages.schedule.log_drift import month_edges

    first = options.start or AsOf.parse(known.window[0])
    end = min(options.end or known.as_of, known.as_of, key=lambda at: at.day)
    if options.every == "month":
        edges = month_edges(first.day, end.day)
    else:
        length, last = parse_days(options.every) or 28, end.day_number
        edges = list(range(last, first.day_number - 1, -length))[::-1]
    if len(edges) < 3:
        raise NotEnoughData(
            f"{first} to {end} does not hold two windows of a {options.every}",
            hint="choose shorter windows, such as --every 14d",
        )
    span = AsOf.from_day_number(edges[0]), AsOf.from_day_number(edges[-1])
    return known.transitions.between(*span, options.limit, options.seed), edges


def _about(
    ws: Workspace, known: LogSnapshot, options: DriftOptions, rows: Transitions, edges: list[int]
) -> dict[str, Any]:
    from freshet.core.time import day_name
    from freshet.report.subject import Subject

    last = datetime.fromisoformat(day_name(edges[-1])) - timedelta(days=1)
    return {
        "name": ws.root.resolve().name,
        "simulated": bool(Subject.of(ws).simulated),
        "from": day_name(edges[0]),
        "to": str(last.date()),
        "as_of": str(known.as_of),
        "every": options.every,
        "windows": len(edges) - 1,
        "transitions": len(rows),
        "users": len(set(rows.user.tolist())),
        "interests": len(known.interests),
        "min_support": options.min_support,
        "permutations": options.permutations,
        "seed": options.seed,
    }


def _named(found: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Days as dates, interests by their descriptions."""
    from freshet.core.time import day_name

    for kind in ("pair", "last"):
        for window in found[kind]["windows"]:
            window.update({key: day_name(window[key]) for key in ("start", "middle", "end")})
        for mover in found[kind]["moved"]:
            mover["context"] = [names[one] for one in mover["context"]]
            mover["rising"], mover["falling"] = names[mover["rising"]], names[mover["falling"]]
    return found


def _write_parquet(found: dict[str, Any], path: Path) -> None:
    """One row per comparison of adjacent windows and per point of the curve by distance."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from freshet.storage.durable import written

    figures = ("jaccard", "null", "low", "high", "z", "p", "n")
    rows = [
        {
            "context": kind,
            "figure": figure,
            **{key: one.get(key) for key in ("start", "middle", "end", "days")},
            **{key: one[key] for key in figures},
        }
        for kind in ("pair", "last")
        for figure in ("windows", "decay")
        for one in found[kind][figure]
    ]
    text, number = ("context", "figure", "start", "middle", "end"), ("days", *figures[:-1])
    schema = pa.schema(
        [(key, pa.string()) for key in text] + [(key, pa.float64()) for key in number] + [("n", pa.int64())]
    )
    with written(path) as draft:
        pq.write_table(pa.Table.from_pylist(rows, schema), draft)
