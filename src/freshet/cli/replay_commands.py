"""`freshet replay` and `freshet cadence`: which update strategy pays on this log, and how often to run it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli.json_documents import document, plain_mapping
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
    opened,
)
from freshet.cli.replay_runs import ReplayOptions, dry, planned, rolled

if TYPE_CHECKING:
    from freshet.replay import Plan
    from freshet.storage.workspace import Workspace


def replay(
    workspace: Here = HERE,
    arms: Annotated[
        str, typer.Option("--arms", metavar="A,B", help="Strategies to compare; all by default.")
    ] = "",
    every: Every = None,
    tune_every: TuneEvery = None,
    start: From = None,
    end: To = None,
    horizon: Annotated[
        str | None, typer.Option("--horizon", metavar="7d", help="Within which any interest counts as found.")
    ] = None,
    shares: Annotated[
        str,
        typer.Option("--shares", metavar="1,10,100", help="Learn from these per cent of the users, in turn."),
    ] = "",
    limit: Limit = LIMIT,
    seed: Seed = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be replayed, and what it may cost.")
    ] = False,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Roll through past time with every strategy, judge all by what people took up next, and say what pays.

    Resumable: a killed replay goes on where it was. Nothing of the workspace's own is changed.
    With --shares the same people are judged by what was learned from a few, more, all of the users.
    """
    from freshet.cli import show_replay

    options = ReplayOptions.parse(every, tune_every, start, end, limit, seed, horizon, arms, shares)
    with opened(workspace, wait, makes_way=True) as ws:
        plan = planned(ws, options)
        if dry_run:
            foreseen = document("replay-plan", dry(ws, plan))
            answer(foreseen, as_json, lambda console: show_replay.plan(console, foreseen))
            return
        folder = ws.root / "replay" / (f"{plan.name}_shares" if options.shares else plan.name)
        found, page = _replayed(ws, plan, folder, options.shares)
    content = document("replay", {**found, "folder": folder, "page": page})
    answer(content, as_json, lambda console: show_replay.replay(console, found, page))


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
    from freshet.cli import show_replay

    options = ReplayOptions.parse(every, tune_every, start, end, limit, seed)
    with opened(workspace, wait, makes_way=True) as ws:
        found, page = _recommended(ws, planned(ws, options), margin / 100)
    content = document("cadence", {**found, "page": page})
    answer(content, as_json, lambda console: show_replay.cadence(console, found, page))


def _replayed(
    ws: Workspace, plan: Plan, folder: Path, shares: tuple[float, ...]
) -> tuple[dict[str, Any], Path]:
    """Replay; leaves replay.json and a page in `folder` and returns both.

    With shares of the users the frames of each go to a folder of its own; the document is that of the
    largest, with the curve.
    """
    from freshet.replay import drift_before_the_end, figures
    from freshet.report import write_replay
    from freshet.storage.durable import write_json

    curve = []
    for number, percent in enumerate(shares, start=1):
        ws.reporter.say(f"learning from {percent:g} % of the users ({number} of {len(shares)})")
        done = rolled(ws, plan.learned_by(percent), folder / "shares" / f"{percent:g}")
        curve.append(done.share)
    if not shares:
        done = rolled(ws, plan, folder)
    drift = drift_before_the_end(done.sandbox, plan)
    ws.reporter.say("figures and intervals")
    results = done.results
    found = plain_mapping(
        figures.summarise(
            results.judged,
            results.states,
            results.costs,
            done.log,
            drift,
            results.circumstances,
            curve,
            seed=plan.seed,
        )
    )
    write_json(folder / "replay.json", found)
    return found, write_replay(found, folder / "replay.html")


def _recommended(ws: Workspace, plan: Plan, margin: float) -> tuple[dict[str, Any], Path]:
    """Recommend a schedule; leaves cadence.json, .parquet and .html in the workspace's folder `cadence`."""
    from freshet.replay.figures.schedule_advice import schedule, wanted
    from freshet.report import write_cadence
    from freshet.storage.durable import write_json

    folder, frames = ws.root / "cadence", ws.root / "replay" / plan.name
    if not _replayed_before(frames, plan):  # with all arms; else only those that are schedules
        freshest = "hybrid" if ws.tuner is not None else "counts"
        plan = replace(plan, arms=tuple(arm for arm in plan.arms if wanted(arm.name, freshest)))
        frames = folder
    done = rolled(ws, plan, frames)
    ws.reporter.say("figures and intervals")
    results = done.results
    recommended = schedule(
        results.judged, results.states, results.costs, done.log, seed=plan.seed, margin=margin
    )
    found = plain_mapping({**recommended, "frames": frames})
    write_json(folder / "cadence.json", found)
    _write_parquet(found["schedules"], folder / "cadence.parquet")
    return found, write_cadence(found, folder / "cadence.html")


def _replayed_before(folder: Path, plan: Plan) -> bool:
    """Whether `freshet replay` went through the same arms: then every origin that still holds is there."""
    from freshet.storage.durable import read_json

    written = folder / "replay.json"
    return written.exists() and set(read_json(written)["arms"]) == {arm.name for arm in plan.arms}


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
