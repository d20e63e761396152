"""How far the world has moved since the last refresh, and what the age of the table costs, for people.

The same test and the same regression as the policies use, but reported rather than decided on: a number
beside what chance alone would make of it, and a loss with its interval.
"""

from __future__ import annotations

import numpy as np

from freshet.core.types import BoolArray, FloatArray, Signs, Staleness
from freshet.stages.schedule.age_findings import DriftSince, LossByAge
from freshet.stages.schedule.cadence_policies import LONG, SHORT, SURPRISING, lost_hits, slope
from freshet.stages.schedule.drift_test import Surprise, windows

DRAWS = 199
"""Draws behind the null: p-values are multiples of 1/200."""
REFERENCE = 4
"""Windows before the refresh that the days since are compared with."""
GROUPS = 6
LONGEST = 16
"""Sevenths of a window, the latest ones, that are compared at most."""
FEWEST = 20
"""Transitions since the refresh below which nothing is said."""


def drift_since(signs: Signs, seed: int = 0) -> DriftSince | None:
    """The test of `drift_policy` on all days since the last refresh; None where they hold too little."""
    unit = max(1, signs.window_days // 7)
    days = min(signs.age, LONGEST * unit)
    if days < 1:
        return None
    found = windows(
        signs.transitions, signs.refreshes[-1], signs.day, days, REFERENCE * signs.window_days, GROUPS
    )
    recent = found.chunk == 0
    if int(recent.sum()) < FEWEST or recent.all():
        return None
    surprise = Surprise(found)
    draws = surprise.draws(DRAWS, np.random.default_rng([seed, signs.day]))
    values = np.concatenate([surprise.observed[None, :], draws])
    spread = values.std(axis=0)
    largest = ((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)).max(axis=1)
    return DriftSince(
        days,
        int(recent.sum()),
        float(largest[0]),
        float(np.quantile(largest[1:], 0.95)),
        float((largest >= largest[0]).mean()),
    )


def loss_by_age(signs: Signs) -> LossByAge | None:
    """What age costs, by the regression of the cost policy; None where no table was old enough to show it.

    As there, losses since the last refresh stand alone where they differ from the usual ones.
    """
    staleness = signs.staleness
    back = (signs.day - 1 - staleness.day).astype(np.float64)
    weight = 0.5 ** (back / (LONG * signs.window_days))
    short = 0.5 ** (back / (SHORT * max(1.0, signs.window_days / 7)))
    since = np.asarray(staleness.day >= signs.refreshes[-1])
    usual, late = slope(staleness, weight, back >= 0), slope(staleness, short, since)
    if abs(late.value - usual.value) > SURPRISING * late.error:
        return _clustered(staleness, short, since)
    return _clustered(staleness, weight, np.asarray(back >= 0))


def _clustered(staleness: Staleness, weight: FloatArray, rows: BoolArray) -> LossByAge | None:
    """The slope, its error by sums of users' residuals: a person's answers are not independent."""
    age, weight = staleness.age[rows].astype(np.float64), weight[rows]
    scale = float((weight * age**2).sum())
    if scale == 0 or len(np.unique(staleness.user[rows])) < 2:
        return None
    lost = lost_hits(staleness)[rows]
    value = float((weight * age * lost).sum()) / scale
    _, who = np.unique(staleness.user[rows], return_inverse=True)
    of_users = np.bincount(who, weight * age * (lost - value * age))
    users = len(of_users)
    error = float(np.sqrt((of_users**2).sum() * users / (users - 1))) / scale
    return LossByAge(value, error, int(rows.sum()), int(age.max()))
