"""`freshet replay` and `freshet cadence`: which update strategy pays on this log, and how often to run it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
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
    names,
    opened,
    parse_days,
    parse_moment,
    with_events,
)

if TYPE_CHECKING:
    from freshet.core.types import AsOf
    from freshet.replay import Plan
    from freshet.replay.frames import Results
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
    limit: Limit = LIMIT,
    seed: Seed = 0,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Roll through past time with every strategy, judge all by what people took up next, and say what pays.

    Resumable: a killed replay goes on where it was. Nothing of the workspace's own is changed.
    """
    from freshet.cli import show_replay

    with opened(workspace, wait) as ws:
        options = ReplayOptions.parse(every, tune_every, start, end, limit, seed, horizon, arms)
        plan = planned(ws, options)
        folder = ws.root / "replay" / plan.name
        found, page = _replayed(ws, plan, folder)
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
    with opened(workspace, wait) as ws:
        found, page = _recommended(ws, planned(ws, options), margin / 100)
    content = document("cadence", {**found, "page": page})
    answer(content, as_json, lambda console: show_replay.cadence(console, found, page))


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What to replay, lengths of time in days; None and () are as the log and the workspace suggest."""

    every: int | None
    tune_every: int | None
    start: AsOf | None
    end: AsOf | None
    limit: int
    seed: int
    horizon: int | None
    arms: tuple[str, ...]

    @classmethod
    def parse(
        cls,
        every: str | None,
        tune_every: str | None,
        start: str | None,
        end: str | None,
        limit: int,
        seed: int,
        horizon: str | None = None,
        arms: str = "",
    ) -> ReplayOptions:
        """From the texts of a command line.

        Raises:
            ConfigError: one of them is no date, or no number of days.
        """
        return cls(
            every=parse_days(every),
            tune_every=parse_days(tune_every),
            start=parse_moment(start, "--from"),
            end=parse_moment(end, "--to"),
            limit=limit,
            seed=seed,
            horizon=parse_days(horizon),
            arms=tuple(names([arms])),
        )


@dataclass(frozen=True, slots=True)
class Rolled:
    """A plan carried out: what its arms were measured to do, what it was of, and the sandbox it ran in."""

    results: Results
    log: dict[str, Any]
    sandbox: Workspace


def planned(ws: Workspace, options: ReplayOptions) -> Plan:
    """The plan of a replay; the log is imported first if it is empty."""
    from freshet.replay import Able, make_plan
    from freshet.stages import events
    from freshet.stages.events.step import latest

    latest(with_events(ws))  # raises where the log is empty
    return make_plan(
        [day.day for day in events.body(events.EventLog(ws.root).snapshot().days)],
        able=Able(
            ws.tuner is not None,
            find_spec("torch") is not None,
            ws.config.sequence.use,
            ws.config.live.use,
            ws.config.evidence.level != "none",
            ws.config.content.use,
        ),
        refresh_days=ws.config.schedule.refresh_days,
        tune_every=options.tune_every or ws.config.tuning.every_days,
        arms=options.arms,
        start=options.start,
        end=options.end,
        every=options.every,
        horizon=options.horizon,
        limit=options.limit,
        seed=options.seed,
    )


def rolled(ws: Workspace, plan: Plan, frames: Path) -> Rolled:
    """Carry a plan out in a sandbox beside the workspace's own artifacts; its frames go to a folder."""
    from freshet.replay import roll
    from freshet.replay.frames import Results
    from freshet.report.subject import simulated
    from freshet.wiring import open_sandbox

    sandbox = open_sandbox(ws, plan.start)
    origins = roll(sandbox, plan)
    results = Results.of(origins)
    results.write(frames)
    log = {
        "name": ws.root.resolve().name,
        "simulated": simulated(ws),
        "mixed": ws.config.sequence.use,
        "planner": ws.config.planner.called,
        "interests": int(origins[-1].manifest["interests"]),
        "from": str(plan.start),
        "to": str(plan.end),
        "every_days": plan.every,
        "tune_days": plan.tune_every,
        "horizon_days": plan.horizon,
        "currency": ws.config.prices.currency,
    }
    return Rolled(results, log, sandbox)


def _replayed(ws: Workspace, plan: Plan, folder: Path) -> tuple[dict[str, Any], Path]:
    """Replay; leaves replay.json and a page in `folder` and returns both."""
    from freshet.replay import drift_before_the_end, figures
    from freshet.report import write_replay
    from freshet.storage.durable import write_json

    done = rolled(ws, plan, folder)
    drift = drift_before_the_end(done.sandbox, plan)
    ws.reporter.say("figures and intervals")
    results = done.results
    found = plain_mapping(
        figures.summarise(results.judged, results.states, results.costs, done.log, drift, seed=plan.seed)
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
