"""A SIMULATED closed loop: the real pipeline and the real serving code, people who are not real.

    history -> first release, a month stale when the experiment starts
    every day:   recorded events and impressions are collected; on some days a refresh
    every hour:  who comes is offered one item; what becomes of it, and what they do next, is recorded

One experiment assigns people to arms; all of them live in the same world and in the same log.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from freshet import operations, pipeline
from freshet.core.config import Config
from freshet.core.ports import Progress, UserStore, silent
from freshet.core.time import DAY, SECOND, datetime_of
from freshet.core.types import AsOf
from freshet.serving import Clock, Recommender
from freshet.simulator.feed import Feed, SimulatedClock
from freshet.simulator.generation import live_through, write_history
from freshet.simulator.loop_plan import ITEMS, STALE, Plan
from freshet.simulator.people import People
from freshet.simulator.simulated_log import catalogue_of, write
from freshet.simulator.slot_impressions import Impressions, Oracles
from freshet.simulator.world import World
from freshet.storage.ledger import Reporter
from freshet.storage.workspace import Workspace

TRAININGS = ("tuning", "sequence", "ranker")
"""Steps that train: the planner, the sequence model, the ranker. The settings of each have its name."""


class Opening(Protocol):
    """What opens a workspace and serves it; `freshet.wiring` does."""

    def open_workspace(self, root: Path, reporter: Reporter | None = None) -> Workspace: ...

    def open_user_store(self, root: Path, config: Config) -> UserStore: ...

    def open_recommender(
        self, root: Path, reporter: Reporter | None = None, clock: Clock = ...
    ) -> Recommender: ...


@dataclass(frozen=True, slots=True)
class Beginning:
    """A world on the eve of an experiment: its people, and the oracles that saw them live."""

    people: People
    oracles: Oracles


def begin(plan: Plan, root: Path) -> Beginning:
    """Let people live through the history, and write it and the catalogue of the first release."""
    people = People(plan.world, plan.preset.habits)
    lived = live_through(people, range(plan.preset.history))
    write_history(people, lived, root / "world")
    write_items(plan.world, plan.preset.history - STALE, root / ITEMS)
    return Beginning(people, Oracles(plan, people, lived))


def run(
    plan: Plan,
    begun: Beginning,
    root: Path,
    opening: Opening,
    reporter: Reporter,
    progress: Progress = silent,
) -> Impressions:
    """Live through an experiment in a workspace that holds its settings and what `begin` wrote."""
    ws = opening.open_workspace(root, reporter)
    ws.experiments.start(plan.experiment(_first_release(plan, ws)))
    clock = SimulatedClock(plan.start)
    users = opening.open_user_store(root, ws.config)
    recommender = opening.open_recommender(root, reporter, clock)
    feed = Feed(plan, begun.people, begun.oracles, recommender, clock)
    try:
        for day in range(1, plan.days + 1):
            _keep_up(plan, ws, users, recommender, day)
            if day in plan.refreshes:
                begun.oracles.refresh(plan.preset.history + day - 1)
            for hour in range(24):
                feed.hour(day, hour)
                progress((day - 1) * 24 + hour + 1, plan.days * 24)
        _keep_up(plan, ws, users, recommender, plan.days + 1)
    finally:
        recommender.close()
    found = Impressions.joined(feed.impressions)
    write(plan.world, found.table(), root / "world" / "offers.parquet")
    return found


def trained(ws: Workspace) -> dict[str, Any]:
    """How far every training got, by step.

    `trained`: epochs. `steps`: of the optimiser, by training. `stopped`: steps that the
    clock ended: none, unless the machine is very slow.
    """
    made = [
        step
        for record in ws.ledger.records()
        for step in record.steps
        if step.name in TRAININGS and not step.cached
    ]
    return {
        "trained": {s.name: float(s.details.get("epochs", s.details.get("passes", 0.0))) for s in made},
        "steps": {s.name: {name: one["steps"] for name, one in s.details["trainings"].items()} for s in made},
        "stopped": [s.name for s in made if s.details.get("stopped")],
    }


def _first_release(plan: Plan, ws: Workspace) -> int:
    """Import the history; tune and publish as of a month before the experiment. Returns what serves then."""
    now = _moment(plan.start)
    moment = AsOf(_moment(plan.start - STALE * DAY).date())
    operations.import_log(ws, now)
    pipeline.refresh(ws, moment, publish=True)
    current = ws.releases.current()
    assert current is not None
    return current.number


def _keep_up(plan: Plan, ws: Workspace, users: UserStore, recommender: Recommender, day: int) -> None:
    """What production does at midnight: collect, and refresh where that is due."""
    now = _moment(plan.midnight(day))
    recommender.flush()
    operations.collect(ws, users, now)
    if day in plan.refreshes:
        write_items(plan.world, plan.preset.history + day - 1, ws.root / ITEMS)
        pipeline.refresh(ws, today=now, users=users)
        recommender.reload()


def write_items(world: World, day: int, path: Path) -> None:
    """The catalogue as a feed knows it at the beginning of a day of the world: what is out by then."""
    catalogue = catalogue_of(world)
    write(world, catalogue.table().filter(catalogue.release < max(day, 1)), path)


def _moment(micros: int) -> datetime:
    return datetime_of(micros // SECOND * SECOND)
