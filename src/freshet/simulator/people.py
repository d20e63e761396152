"""SIMULATED people who live on from hour to hour, so that what they are shown can change what they do next.

They follow the rules of `freshet.simulator.generation`: sessions revisit a known theme, take up a new one or
are a miss. Beside the rules of the world each person has a taste of their own, an appetite for what is new,
and gets tired of being offered new things.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.simulator.slot import Chances, Habits, chances, worth_of
from freshet.simulator.world import (
    FORGET_DAYS,
    MISS,
    REVISIT,
    Floats,
    Ints,
    World,
    draw,
    next_odds,
    popularity,
    truths,
)

_SPREAD = 0.8  # of the logarithm of how often people come
_MOST_SESSIONS = 3.0  # a day
_HOURS = np.arange(24)
_RHYTHM = 1 + 0.7 * np.cos((_HOURS - 20) / 24 * 2 * np.pi)
"""How much more people come at an hour than on average; evenings are busiest."""


@dataclass(frozen=True, slots=True)
class Lived:
    """Sessions that people had of their own accord; each (n,) or (n, columns).

    Attributes:
        user, moment: who, and when, in days since the world's first midnight.
        theme, liked: what each session was about, and whether it was liked.
        recent: (n, 2) the theme before the last and the last liked before, -1 where there was none.
        known: (n, themes) themes liked lately, which are not new to the person.
    """

    user: Ints
    moment: Floats
    theme: Ints
    liked: NDArray[np.bool_]
    recent: Ints
    known: NDArray[np.bool_]


class People:
    """The SIMULATED people of a world and what they remember; users are numbers from 0."""

    def __init__(self, world: World, habits: Habits) -> None:
        rng = np.random.default_rng([world.seed, 6])
        users, themes = world.users, world.themes
        self.world, self.habits = world, habits
        self.own = np.exp(rng.normal(0, habits.own_taste, (users, themes)))
        self.appetite = rng.lognormal(-(habits.appetite**2) / 2, habits.appetite, users)
        rate = rng.lognormal(-(_SPREAD**2) / 2, _SPREAD, users) * habits.sessions
        self.rate = np.minimum(rate, _MOST_SESSIONS)
        self.arrival = rng.uniform(-0.5, 0.9, users).clip(0) * world.days
        self.engaged = np.full((users, themes), -np.inf)  # moment of the last engagement
        self.recent = np.full((users, 2), -1)
        self._tired = np.zeros(users)  # at the last offer
        self._offered = np.zeros(users)  # moment of the last offer
        self._follows, self._popular = truths(world), popularity(world)

    def coming(self, hour: int) -> tuple[Ints, Floats]:
        """Who begins a session within an hour of the world, and when; (n,) each, in order of time."""
        rng = np.random.default_rng([self.world.seed, 7, hour])
        chance = self.rate / 24 * _RHYTHM[hour % 24] * (self.arrival <= hour / 24)
        users = np.flatnonzero(rng.random(len(chance)) < chance)
        moments = (hour + rng.random(len(users))) / 24
        order = np.argsort(moments, kind="stable")
        return users[order], moments[order]

    def known(self, users: Ints, moments: Floats) -> NDArray[np.bool_]:
        """(n, themes) what is not new to each person."""
        return np.asarray(self.engaged[users] >= (moments - FORGET_DAYS)[:, None])

    def odds(self, users: Ints, moments: Floats) -> Floats:
        """(n, themes) the truth: odds of each theme to be the person's next new one, 0 for known ones."""
        odds = (
            next_odds(self._follows, self._popular, self._days(moments), self.recent[users]) * self.own[users]
        )
        fresh = odds * ~self.known(users, moments)
        return np.asarray(np.where(fresh.any(axis=1, keepdims=True), fresh, odds))

    def fatigue(self, users: Ints, moments: Floats) -> Floats:
        """(n,) how tired each person is of offers of something new, 0 to 1."""
        rested = np.exp(-(moments - self._offered[users]) / self.habits.rest_days)
        return np.asarray(self._tired[users] * rested)

    def chances(self, users: Ints, themes: Ints, moments: Floats) -> Chances:
        """What is true of offering a theme to each of n people now."""
        worth = worth_of(self.odds(users, moments), self.known(users, moments), self.habits)
        shown = worth[np.arange(len(users)), themes]
        return chances(shown, self.appetite[users], self.fatigue(users, moments), self.habits)

    def offered(self, users: Ints, themes: Ints, taken: NDArray[np.bool_], moments: Floats) -> None:
        """Let each of n people, all different, have been offered a theme, which some took."""
        tired = self.fatigue(users, moments)
        self._tired[users] = tired + self.habits.tiring * (1 - tired)
        self._offered[users] = moments
        self._engage(users[taken], themes[taken], moments[taken])

    def live(self, users: Ints, moments: Floats, rng: np.random.Generator) -> Lived:
        """A session of their own for each of n people, all different."""
        recent, known = self.recent[users].copy(), self.known(users, moments)
        kind = rng.random(len(users))
        liked = (kind >= MISS) | (recent[:, 1] < 0)
        popular = self._popular[self._days(moments)]
        new = np.where(liked[:, None], self.odds(users, moments), popular * ~known + popular * 1e-9)
        revisits = (kind < MISS + REVISIT) & liked & known.any(axis=1)
        theme = draw(np.where(revisits[:, None], known, new), rng)
        self._engage(users[liked], theme[liked], moments[liked])
        return Lived(users, moments, theme, liked, recent, known)

    def _days(self, moments: Floats) -> Ints:
        """(n,) the day of each; what begins before the world's end and goes on after it is of the last."""
        return np.minimum(moments.astype(np.int64), self.world.days - 1)

    def _engage(self, users: Ints, themes: Ints, moments: Floats) -> None:
        self.engaged[users, themes] = moments
        moved = themes != self.recent[users, 1]
        self.recent[users[moved]] = np.c_[self.recent[users[moved], 1], themes[moved]]
