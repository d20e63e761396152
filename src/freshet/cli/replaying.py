"""`freshet replay`: which update strategy pays on this log."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
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
    with_events,
)

if TYPE_CHECKING:
    from freshet.core.types import AsOf
    from freshet.replay import Plan
    from freshet.storage.workspace import Workspace


def add(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(
        "replay",
        epilog="Example: `freshet replay -w shop --arms static,hybrid,counts --every 2d --from 2013-06-01`",
    )(replay)


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
    from freshet.cli import compared

    with opened(workspace, wait) as ws:
        asked = Asked(
            arms=tuple(name.strip() for name in arms.split(",") if name.strip()),
            every=days(every),
            tune_every=days(tune_every),
            horizon=days(horizon),
            start=moment(start, "--from"),
            end=moment(end, "--to"),
            limit=limit,
            seed=seed,
        )
        found = carried_out(ws, planned(ws, asked))
    answer(answers.replayed(found), as_json, lambda console: compared.replay(console, found))


@dataclass(frozen=True, slots=True)
class Asked:
    """What was said on the command line; None and () = as the log and the workspace suggest."""

    arms: tuple[str, ...]
    every: int | None
    tune_every: int | None
    horizon: int | None
    start: AsOf | None
    end: AsOf | None
    limit: int
    seed: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay left: its folder, the page in it, and the document `replay.json`."""

    folder: Path
    page: Path
    found: dict[str, Any]


def planned(ws: Workspace, given: Asked) -> Plan:
    """The plan of a replay; the log is imported first if it is empty."""
    from freshet.replay import Able, make_plan
    from freshet.stages import events
    from freshet.stages.events.step import latest

    latest(with_events(ws))  # tells an empty log
    return make_plan(
        [found.day for found in events.body(events.EventLog(ws.root).snapshot().days)],
        able=Able(
            ws.tuner is not None,
            find_spec("torch") is not None,
            ws.config.sequence.use,
            ws.config.live.use,
            ws.config.evidence.level != "none",
        ),
        refresh_days=ws.config.schedule.refresh_days,
        tune_every=given.tune_every or ws.config.tuning.every_days,
        arms=given.arms,
        start=given.start,
        end=given.end,
        every=given.every,
        horizon=given.horizon,
        limit=given.limit,
        seed=given.seed,
    )


def carried_out(ws: Workspace, plan: Plan) -> Replayed:
    """Replay, and write what it found beside the workspace's own artifacts."""
    from freshet.replay import drift_before_the_end, figures, roll
    from freshet.replay.frames import Results
    from freshet.report import write_replay
    from freshet.storage.durable import write_json
    from freshet.wiring import open_sandbox

    sandbox = open_sandbox(ws, plan.start)
    origins = roll(sandbox, plan)
    found = Results.of(origins)
    folder = ws.root / "replay" / plan.name
    found.write(folder)
    drift = drift_before_the_end(sandbox, plan)
    ws.reporter.say("figures and intervals")
    document = answers.plain(
        figures.summarise(
            found.judged,
            found.states,
            found.costs,
            about(ws, plan, int(origins[-1].manifest["interests"])),
            drift,
            seed=plan.seed,
        )
    )
    write_json(folder / "replay.json", document)
    return Replayed(folder, write_replay(document, folder / "replay.html"), document)


def about(ws: Workspace, plan: Plan, interests: int) -> dict[str, Any]:
    """What a replay was of, as its documents say under `log`."""
    from freshet.report.subject import simulated

    return {
        "name": ws.root.resolve().name,
        "simulated": simulated(ws),
        "mixed": ws.config.sequence.use,
        "planner": ws.config.planner.called,
        "interests": interests,
        "from": str(plan.start),
        "to": str(plan.end),
        "every_days": plan.every,
        "tune_days": plan.tune_every,
        "horizon_days": plan.horizon,
        "currency": ws.config.prices.currency,
    }
