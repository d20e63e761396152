"""Worlds for closed loops, by name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from freshet.core.errors import ConfigError
from freshet.simulator.slot import Habits
from freshet.simulator.world import Drift, World

STALE = 30
"""Days before the experiment as of which the first release is made: a month of staleness."""


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
