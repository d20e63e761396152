"""A SIMULATED experiment, all decided, and the settings of its workspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from freshet.core.time import DAY, SECOND
from freshet.core.types import Experiment, ExperimentArm, Serves
from freshet.simulator.presets import STALE, Preset
from freshet.simulator.telling import midnight
from freshet.simulator.world import World
from freshet.storage.experiment_registry import check, parse_serves

EXPERIMENT = "simulated"
STEPS = {"tuning": 500, "sequence": 1500, "ranker": 300}
"""Optimiser steps of one training, at most: about a minute each on two cores."""
EVENTS, ITEMS = "world/events.parquet", "world/items.parquet"


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

    def experiment(self) -> Experiment:
        """One experiment for all arms, in equal shares."""
        share = 1 / max(1, len(self.arms))
        arms = tuple(ExperimentArm(name, share, self.serves(name)) for name in self.arms)
        salt = f"{EXPERIMENT}-{self.world.seed}"
        return Experiment(EXPERIMENT, salt, arms, 1.0, ("satisfied",), self.start, 1)

    def serves(self, arm: str) -> Serves:
        """What an arm is answered with; `static` by the first release."""
        return Serves(1, "hybrid") if arm == "static" else parse_serves(arm)


def chosen(plan: Plan, planner: str, max_steps: int = 0) -> dict[str, dict[str, Any]]:
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
