"""The rules of a SIMULATED world, known exactly: what is popular, and how tastes move on, day by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np

from freshet.errors import ConfigError
from freshet.simulator.sampling import Floats, normalised
from freshet.simulator.themes import THEMES

_SEASON_DAYS = 60


@dataclass(frozen=True, slots=True)
class World:
    """What to simulate.

    Attributes:
        drift: how the way in which tastes move on changes. static: not at all; gradual: a little every day,
            and at once for a quarter of the themes on `change_day`; abrupt: at once for all themes on
            `change_day`; seasonal: it comes and goes every 60 days.
        drift_size: how far it goes, 0 (nowhere) to 1 (a change leaves nothing of the tastes before it).
        trends: height of the trends of popularity against the default; 0 = popularity never changes.
        sessions: how often a typical (median) user comes.
    """

    themes: int = 60
    items: int = 2000
    users: int = 4000
    days: int = 120
    drift: Literal["static", "gradual", "abrupt", "seasonal"] = "gradual"
    change_day: int = 80
    sessions: float = 8.0
    start: date = date(2024, 1, 1)
    seed: int = 0
    drift_size: float = 1.0
    trends: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.drift_size <= 1 or self.trends < 0:
            raise ConfigError(
                f"a world with drift of size {self.drift_size} and trends of height {self.trends}",
                hint="drift_size lies between 0 and 1, trends are 0 or higher",
            )
        if not 4 <= self.themes <= len(THEMES) or self.items < self.themes or self.users < 1 or self.days < 1:
            raise ConfigError(
                f"a world of {self.themes} themes, {self.items} items, {self.users} users, {self.days} days",
                hint=f"needs 4 to {len(THEMES)} themes, an item for each, a user and a day",
            )


def popularity(world: World) -> Floats:
    """(days, themes) share of people's first choices: a lasting level and two trends that rise and fall."""
    rng = np.random.default_rng([world.seed, 1])
    level = rng.lognormal(0.0, 0.5, world.themes)
    peak = rng.uniform(0, world.days, (2, world.themes))
    width = rng.uniform(4, 12, (2, world.themes))
    height = rng.uniform(0, 3, (2, world.themes)) * world.trends
    day = np.arange(world.days)[:, None, None]
    trend = (height * np.exp(-(((day - peak) / width) ** 2) / 2)).sum(axis=1)  # (days, themes)
    return normalised(level * (1 + trend))


def truth(world: World, day: int) -> Floats:
    """(themes, themes) probability of the next new theme after each theme on a day, trends included.

    It holds for a user with that one theme and nothing else known; the diagonal is zero.
    """
    return np.asarray(truths(world)[day])


def truths(world: World) -> Floats:
    """(days, themes, themes) the truth of every day."""
    rng = np.random.default_rng([world.seed, 2])
    now, later, shock = rng.normal(0, 1.6, (3, world.themes, world.themes))
    day = np.arange(world.days)[:, None, None]
    angle = {
        "static": 0.0 * day,
        "gradual": np.pi / 2 * day / max(world.days - 1, 1),
        "abrupt": 0.0 * day,
        "seasonal": np.pi / 2 * (1 - np.cos(2 * np.pi * day / _SEASON_DAYS)) / 2,
    }[world.drift]
    angle = world.drift_size * angle
    taste = np.cos(angle) * now + np.sin(angle) * later  # (days, themes, themes)
    shocked = {"gradual": 0.25, "abrupt": 1.0}.get(world.drift, 0.0)
    rows = rng.permutation(world.themes)[: round(shocked * world.themes)]
    kept = 1 - world.drift_size  # correlation of tastes before and after
    after = kept * taste[world.change_day :, rows] + np.sqrt(1 - kept**2) * shock[rows]
    taste[world.change_day :, rows] = after
    apart = np.abs(np.subtract.outer(np.arange(world.themes), np.arange(world.themes)))
    near = np.exp(-np.minimum(apart, world.themes - apart) / 2)  # related themes are next to each other
    odds = np.exp(taste + 1.5 * near) * popularity(world)[:, None, :] * (apart > 0)
    return normalised(odds)
