"""The rules of a SIMULATED world, known exactly: what is popular, and how tastes move on, day by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import ConfigError
from freshet.simulator.themes import THEMES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Drift = Literal["static", "gradual", "abrupt", "seasonal"]
DRIFTS: tuple[Drift, ...] = get_args(Drift)
_SEASON_DAYS = 60
_BALANCED, _MOST_SCALINGS = 1e-9, 1000
"""How near to one rows have to sum, and after how many scalings that is given up."""
LAST_WEIGHT = 0.75
"""How much the last theme decides, against the one before it."""
FORGET_DAYS = 30
"""A theme not engaged for so long is new again."""
MISS, REVISIT = 0.15, 0.35
"""Shares of sessions; the rest take up something new."""


def draw(odds: Floats, rng: np.random.Generator) -> Ints:
    """One column for each row of (rows, columns) odds, which need not sum to one; some must be positive."""
    edges = np.cumsum(odds, axis=1)
    below = edges <= rng.random(len(odds))[:, None] * edges[:, -1:]
    return np.asarray(np.minimum(below.sum(axis=1), odds.shape[1] - 1))


def normalised(odds: Floats) -> Floats:
    """Odds divided by their sum along the last axis."""
    return np.asarray(odds / odds.sum(axis=-1, keepdims=True))


@dataclass(frozen=True, slots=True)
class World:
    """What to simulate.

    Attributes:
        drift: how the way in which tastes move on changes. static: not at all; gradual: a little every day,
            and at once for a quarter of the themes on `change_day`; abrupt: at once for all themes on
            `change_day`; seasonal: it comes and goes every 60 days.
        drift_size: how far it goes, 0 (nowhere) to 1 (a change leaves nothing of the tastes before it).
        trends: height of the trends of popularity against the default; 0 = popularity never changes.
        turnover_days: of a gradual drift; where above 0, tastes wander instead: `drift_size` of their
            variance is forgotten at this rate (1/e is left after so many days), the rest lasts, and nothing
            changes at once.
        contrast: standard deviation of log-odds between themes: how much the last theme decides.
        new_items: share of items that appear as time goes on; the others are there on the first day.
        sessions: how often a typical (median) user comes.
        balanced: whether as many people move on to each theme as `popularity` says, every day, however much
            it changes where they come from; else drifting tastes move that as well.
    """

    themes: int = 60
    items: int = 2000
    users: int = 4000
    days: int = 120
    drift: Drift = "gradual"
    change_day: int = 80
    sessions: float = 8.0
    start: date = date(2024, 1, 1)
    seed: int = 0
    drift_size: float = 1.0
    trends: float = 1.0
    turnover_days: float = 0.0
    contrast: float = 1.6
    new_items: float = 0.4
    balanced: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.drift_size <= 1 or self.trends < 0:
            raise ConfigError(
                f"a world with drift of size {self.drift_size} and trends of height {self.trends}",
                hint="drift_size lies between 0 and 1, trends are 0 or higher",
            )
        if self.turnover_days < 0 or self.contrast < 0 or not 0 <= self.new_items <= 1:
            raise ConfigError(
                f"a world with a turnover of {self.turnover_days} days, contrast {self.contrast} and "
                f"{self.new_items} new items",
                hint="turnover_days and contrast are 0 or higher, new_items is a share",
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
    apart = np.abs(np.subtract.outer(np.arange(world.themes), np.arange(world.themes)))
    near = np.exp(-np.minimum(apart, world.themes - apart) / 2)  # related themes are next to each other
    wandering = world.drift == "gradual" and world.turnover_days > 0
    taste = _wandering(world) if wandering else _turning(world)
    odds = np.exp(taste + 1.5 * near) * (apart > 0)
    popular = popularity(world)
    return _balanced(odds, popular) if world.balanced else normalised(odds * popular[:, None, :])


def _balanced(odds: Floats, popular: Floats) -> Floats:
    """(days, themes, themes) the truth in which people leave themes and arrive at them in shares `popular`.

    Rows and columns of the flow between themes are scaled in turn until both sum to `popular` (iterative
    proportional fitting), which leaves the odds ratios as they are.

    Raises:
        ConfigError: a theme holds so many that its people can't all go elsewhere and come from elsewhere.
    """
    into = popular
    for _ in range(_MOST_SCALINGS if popular.max() < 0.5 else 0):
        leaving = popular / np.einsum("dij,dj->di", odds, into)
        into = popular / np.einsum("dij,di->dj", odds, leaving)
        follows = odds * (leaving / popular)[:, :, None] * into[:, None, :]
        if np.abs(follows.sum(axis=2) - 1).max() < _BALANCED:
            return normalised(follows)
    raise ConfigError(
        f"a theme holds {popular.max():.0%} of all popularity, so people can't move on in balance",
        hint="take more themes, or leave `balanced` out",
    )


def _turning(world: World) -> Floats:
    """(days, themes, themes) log-odds that turn from what they were to what they will be."""
    rng = np.random.default_rng([world.seed, 2])
    now, later, shock = rng.normal(0, world.contrast, (3, world.themes, world.themes))
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
    return np.asarray(taste)


def _wandering(world: World) -> Floats:
    """(days, themes, themes) log-odds of which a part lasts and a part is forgotten, at one pace throughout.

    The part that drifts is an Ornstein-Uhlenbeck process, so the variance is the same on every day and tastes
    d days apart correlate by 1 - drift_size * (1 - exp(-d / turnover_days)).
    """
    rng = np.random.default_rng([world.seed, 5])
    lasting, part = rng.normal(0, world.contrast, (2, world.themes, world.themes))
    kept = np.exp(-1 / world.turnover_days)
    taste = np.empty((world.days, world.themes, world.themes))
    for day in range(world.days):
        taste[day] = np.sqrt(1 - world.drift_size) * lasting + np.sqrt(world.drift_size) * part
        part = kept * part + np.sqrt(1 - kept**2) * rng.normal(0, world.contrast, part.shape)
    return taste


def next_odds(follows: Floats, popular: Floats, day: Ints, recent: Ints) -> Floats:
    """(n, themes) how the next new theme is drawn, by the rules of each day, after (n, 2) recent themes.

    Args:
        follows, popular: `truths` and `popularity` of the world.
        recent: the theme before the last, and the last; -1 where there was none.
    """
    previous, last = recent.T
    odds = LAST_WEIGHT * follows[day, last] + (1 - LAST_WEIGHT) * follows[day, previous]
    odds = np.where((previous < 0)[:, None], follows[day, last], odds)
    return np.asarray(np.where((last < 0)[:, None], popular[day], odds))
