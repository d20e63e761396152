"""Worlds for closed loops by name, and a SIMULATED experiment: its arms, days and settings."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from freshet.core.errors import ConfigError
from freshet.core.time import DAY, SECOND
from freshet.core.types import Experiment, ExperimentArm, Serves
from freshet.simulator.simulated_log import midnight
from freshet.simulator.slot import Habits
from freshet.simulator.world import Drift, World
from freshet.storage.experiment_registry import check, parse_serves

STALE = 30
"""Days before the experiment as of which the first release is made: a month of staleness."""
EXPERIMENT = "simulated"
STEPS = {"tuning": 500, "sequence": 1500, "ranker": 300}
"""Optimiser steps of one training, at most: about a minute each on two cores."""
EVENTS, ITEMS = "world/events.parquet", "world/items.parquet"


@dataclass(frozen=True, slots=True)
class Preset:
    """A SIMULATED world with people; lengths of time in days.

    Attributes:
        world: its days, users and seed are those of each experiment.
        habits: of the people.
        history: days lived before the experiment.
        interests: how many Freshet forms.
    """

    world: World
    habits: Habits = field(default_factory=Habits)
    history: int = 120
    interests: int = 60

    def of(self, days: int, users: int, seed: int, drift: Drift | None = None) -> World:
        """The world of an experiment of so many days.

        Trends and new items go with drift: in a `static` world nothing changes that a refresh could learn.
        """
        world = replace(self.world, days=self.history + days, users=users, seed=seed)
        if drift in (None, world.drift):
            return world
        if drift == "static":
            return replace(world, drift="static", trends=0.0, new_items=0.0)
        # what comes at once comes in the month of staleness
        return replace(world, drift=drift, drift_size=1.0, change_day=self.history - STALE // 2)


PRESETS = {
    "shorts": Preset(World(trends=2.0, contrast=0.45, drift_size=0.8, turnover_days=30.0)),
    "transitions": Preset(
        World(trends=0.0, contrast=0.8, drift_size=0.8, turnover_days=30.0, balanced=True),
    ),
}
"""Both were calibrated on how fast the successors of MovieTweetings turn over, before any arm was run.

In `shorts` most of that turnover is popularity that moves (decision 24); in `transitions` popularity stays as
it is, and who moves on to what changes (decision 28).
"""


def preset(name: str) -> Preset:
    """A world by name.

    Raises:
        ConfigError: there is none.
    """
    if name not in PRESETS:
        raise ConfigError(f"there is no world '{name}'", hint=f"worlds: {', '.join(PRESETS)}")
    return PRESETS[name]


@dataclass(frozen=True, slots=True)
class Plan:
    """A closed loop, all decided.

    Attributes:
        name: of the world.
        world: its days are those of the history and of the experiment.
        days: of the experiment.
        arms: names; the first is the control.
        refreshes: days of the experiment at whose beginning the fast path runs.
    """

    name: str
    preset: Preset
    world: World
    days: int
    arms: tuple[str, ...]
    refreshes: tuple[int, ...]

    @property
    def start(self) -> int:
        """The experiment's first midnight, in microseconds since 1970 (UTC)."""
        return self.midnight(1)

    def midnight(self, day: int) -> int:
        """That a day of the experiment begins with, in microseconds since 1970; days count from 1."""
        return midnight(self.world) * SECOND + (self.preset.history + day - 1) * DAY

    def check(self) -> None:
        """Raises ConfigError where the arms make no experiment."""
        check(self.experiment())

    def experiment(self, first: int = 1) -> Experiment:
        """One experiment for all arms, in equal shares; `first` numbers the release it begins with."""
        share = 1 / max(1, len(self.arms))
        arms = tuple(ExperimentArm(name, share, self.serves(name, first)) for name in self.arms)
        salt = f"{EXPERIMENT}-{self.world.seed}"
        return Experiment(EXPERIMENT, salt, arms, 1.0, ("satisfied",), self.start, first)

    def serves(self, arm: str, first: int) -> Serves:
        """What an arm is answered with; `static` by the first release."""
        return Serves(first, "hybrid") if arm == "static" else parse_serves(arm)


def workspace_settings(plan: Plan, planner: str, max_steps: int = 0) -> dict[str, dict[str, Any]]:
    """What the workspace's `freshet.toml` says.

    Nothing slow is due during the experiment: what refreshes is the fast path. A table that has changed much
    after a month is what the experiment is about, so it does not wait for a person.

    Args:
        max_steps: of each training; 0 = those of `STEPS`.
    """
    steps = {name: max_steps or most for name, most in STEPS.items()}
    local = planner != "counts"
    return {
        "events": {"files": [EVENTS], "items": ITEMS, "positive": "value >= 7"},
        "interests": {"count": plan.preset.interests},
        "planner": {"kind": planner},
        "tuning": {"every_days": STALE + plan.days + 1, "max_steps": steps["tuning"]},
        "sequence": {"use": local, "max_steps": steps["sequence"]},
        "ranker": {"use": True, "max_steps": steps["ranker"]},
        "table": {"max_churn": 1.0},
        "experiments": {
            "satisfied": "outcome in ('completed', 'liked')",
            "dissatisfied": "outcome = 'disliked'",
            "negative": "outcome = 'disliked'",
        },
    }
