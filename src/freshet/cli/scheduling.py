"""`freshet cadence`: the schedule to run on this log, with the hit rate and cost to expect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli import answers
from freshet.cli.options import (
    HERE,
    LIMIT,
    AsJson,
    Every,
    From,
    Here,
    Limit,
    Seed,
    To,
    TuneEvery,
    Wait,
    answer,
    days,
    moment,
    opened,
)
from freshet.cli.replaying import Asked, about, planned

if TYPE_CHECKING:
    from freshet.replay import Plan
    from freshet.storage.workspace import Workspace


def add(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("cadence", epilog="Example: `freshet cadence -w shop --every 2d --from 2013-06-01`")(cadence)


def cadence(
    workspace: Here = HERE,
    every: Every = None,
    tune_every: TuneEvery = None,
    start: From = None,
    end: To = None,
    limit: Limit = LIMIT,
    margin: Annotated[
        float,
        typer.Option("--margin", min=0.01, max=100, help="Points of hit@5 that a cheaper schedule may lose."),
    ] = 0.5,
    seed: Seed = 0,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """When to refresh and tune: the cheapest schedule that keeps up with the freshest, replayed on the past.

    Resumable, and read from a finished `freshet replay` of the same period where there is one.
    """
    from freshet.cli import compared

    asked = Asked(
        arms=(),
        every=days(every),
        tune_every=days(tune_every),
        horizon=None,
        start=moment(start, "--from"),
        end=moment(end, "--to"),
        limit=limit,
        seed=seed,
    )
    with opened(workspace, wait) as ws:
        found = carried_out(ws, asked, margin / 100)
    answer(answers.document("cadence", found), as_json, lambda console: compared.cadence(console, found))


def carried_out(ws: Workspace, asked: Asked, margin: float) -> dict[str, Any]:
    """Recommend, and leave cadence.json, .parquet and .html in the workspace's folder `cadence`."""
    from freshet.replay import roll
    from freshet.replay.figures.schedule_advice import schedule, wanted
    from freshet.replay.frames import Results
    from freshet.report import write_schedule
    from freshet.storage.durable import write_json
    from freshet.wiring import open_sandbox

    plan, folder = planned(ws, asked), ws.root / "cadence"
    frames = ws.root / "replay" / plan.name
    if not _replayed_before(frames, plan):  # with all arms; else only those that are schedules
        freshest = "hybrid" if ws.tuner is not None else "counts"
        plan = replace(plan, arms=tuple(arm for arm in plan.arms if wanted(arm.name, freshest)))
        frames = folder
    origins = roll(open_sandbox(ws, plan.start), plan)
    results, interests = Results.of(origins), int(origins[-1].manifest["interests"])
    results.write(frames)
    ws.reporter.say("figures and intervals")
    found = schedule(
        results.judged,
        results.states,
        results.costs,
        about(ws, plan, interests),
        seed=plan.seed,
        margin=margin,
    )
    document: dict[str, Any] = answers.plain({**found, "frames": frames})
    write_json(folder / "cadence.json", document)
    _write_parquet(document["schedules"], folder / "cadence.parquet")
    return {**document, "page": write_schedule(document, folder / "cadence.html")}


def _replayed_before(folder: Path, plan: Plan) -> bool:
    """Whether `freshet replay` went through the same arms: then every origin that still holds is there."""
    from freshet.storage.durable import read_json

    document = folder / "replay.json"
    return document.exists() and set(read_json(document)["arms"]) == {arm.name for arm in plan.arms}


def _write_parquet(schedules: list[dict[str, Any]], path: Path) -> None:
    """One row per schedule; intervals and costs in columns of their own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from freshet.storage.durable import written

    rows = []
    for line in schedules:
        row = {key: value for key, value in line.items() if not isinstance(value, dict)}
        for name in ("hit_at_5", "difference"):
            low, high = line[name]["ci95"] or (None, None)
            row |= {name: line[name]["value"], f"{name}_low": low, f"{name}_high": high}
        for part, cost in line["cost"].items():
            prefix = "" if part == "all" else f"{part}_"
            row |= {f"{prefix}{unit}_per_30_days": value for unit, value in cost.items()}
        rows.append(row)
    with written(path) as draft:
        pq.write_table(pa.Table.from_pylist(rows), draft)
