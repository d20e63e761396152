"""SIMULATED campaigns of fake users: what a number of them does, and the moves that follow from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.time import DAY
from freshet.stages.transitions.day_files import ENGAGEMENT
from freshet.stages.transitions.engagements import drop_repeated, sort_engagements
from freshet.stages.transitions.walk import walk

Rows = NDArray[np.void]
HOUR = DAY // 24


@dataclass(frozen=True)
class Scene:
    """What a campaign is made for.

    Attributes:
        real: engagements of real users, by user and time.
        interests: N.
        pushed: the interest that is to be first; in a demotion the one that is not to be.
        after: the interest whose row a campaign of pairs moves.
        now: microseconds since 1970, the moment of the next refresh.
        horizon: days after which an interest is new again; None = never.
    """

    real: Rows
    interests: int
    pushed: int
    after: int
    now: int
    horizon: int | None

    def moves(self, engaged: Rows) -> Rows:
        """The transitions of fake users."""
        rows = drop_repeated(sort_engagements(engaged))
        everything = np.ones(len(rows), bool)
        return walk(rows, everything, interests=self.interests, novelty_days=self.horizon, seed=0)


Campaign = Callable[[Scene, int, np.random.Generator], Rows]


def single(days: int) -> Campaign:
    """New users of one event each, on the pushed interest, dated over the last days."""
    return lambda scene, users, rng: _events(_ids(users, rng), _over(days, scene, users, rng), scene.pushed)


def pairs(scene: Scene, users: int, rng: np.random.Generator) -> Rows:
    """Users who take one interest and within a day the pushed one: a row of that interest is meant."""
    ids, first = _ids(users, rng), _over(10, scene, users, rng) - DAY
    second = first + rng.integers(HOUR, DAY, users)
    return np.concatenate([_events(ids, first, scene.after), _events(ids, second, scene.pushed)])


def busy(scene: Scene, users: int, rng: np.random.Generator) -> Rows:
    """Few users with fifty events each, half of them on the pushed interest."""
    ids = np.repeat(_ids(users, rng), 50)
    interest = np.where(np.arange(len(ids)) % 2, scene.pushed, rng.integers(0, scene.interests, len(ids)))
    return _events(ids, _over(10, scene, len(ids), rng), interest)


def copies(scene: Scene, users: int, rng: np.random.Generator) -> Rows:
    """Mimicry: the last 30 days of real users with three events or more, hours apart, then the pushed one."""
    own = scene.real[(scene.real["time"] >= scene.now - 30 * DAY) & (scene.real["interest"] != scene.pushed)]
    _, start, count = np.unique(own["user"], return_index=True, return_counts=True)
    models = np.flatnonzero(count >= 3)
    parts = []
    for id_, model in zip(_ids(users, rng), rng.choice(models, users), strict=True):
        part = own[start[model] : start[model] + count[model]].copy()
        part["user"] = id_
        part["time"] -= rng.integers(0, 6 * HOUR, len(part))
        parts.append(part)
        parts.append(_events(np.array([id_]), _over(2, scene, 1, rng), scene.pushed))
    return np.concatenate(parts)


def aged(scene: Scene, users: int, rng: np.random.Generator) -> Rows:
    """Accounts with an event three weeks and one two weeks ago, on any interest, which then push."""
    ids, parts = _ids(users, rng), []
    for days in (21, 14):
        times = scene.now - days * DAY - rng.integers(0, DAY, users)
        other = (scene.pushed + rng.integers(1, scene.interests, users)) % scene.interests
        parts.append(_events(ids, times, other))
    return np.concatenate([*parts, _events(ids, _over(2, scene, users, rng), scene.pushed)])


def demotion(scene: Scene, users: int, rng: np.random.Generator) -> Rows:
    """New users of one event each, on any interest but the pushed one, which is first so far."""
    other = (scene.pushed + rng.integers(1, scene.interests, users)) % scene.interests
    return _events(_ids(users, rng), _over(10, scene, users, rng), other)


CAMPAIGNS: dict[str, Campaign] = {
    "one event, last day": single(1),
    "one event, 10 days": single(10),
    "one event, 56 days": single(56),
    "pairs": pairs,
    "fifty events": busy,
    "copies of real users": copies,
    "aged accounts": aged,
    "demotion": demotion,
}


def _ids(users: int, rng: np.random.Generator) -> NDArray[np.uint64]:
    return rng.integers(1, 2**63, users).astype(np.uint64)


def _over(days: int, scene: Scene, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return np.asarray(scene.now - 1 - rng.integers(0, days * DAY, count))


def _events(users: NDArray[np.uint64], times: NDArray[np.int64], interest: int | NDArray[np.int64]) -> Rows:
    rows = np.empty(len(users), ENGAGEMENT)
    rows["user"], rows["time"], rows["interest"] = users, times, interest
    return rows
