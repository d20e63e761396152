"""Figures of a SIMULATED experiment: what was seen, with intervals, beside what was true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.experiments.stats.effects import Effect, effect, ratio
from freshet.experiments.stats.moments import Moments
from freshet.simulator.people import People
from freshet.simulator.slot import OUTCOMES, TAKEN
from freshet.simulator.slot_impressions import ORACLES, Impressions
from freshet.simulator.world import Floats, Ints

BEFORE_DAYS = 28
"""Before the experiment, in which a person's sessions are counted."""
_DISLIKED = OUTCOMES.index("disliked")


def per_impression(impressions: Impressions) -> dict[str, Floats]:
    """(n,) what each offer adds to a figure.

    satisfied: it was completed or liked. negative: it was disliked. expected, expected_negative: the true
    chances of these. regret: how much higher the chance of a satisfied outcome was with the best theme.
    worth: the true chance divided by that of the best theme: what was chosen, whoever the person was.
    """
    return {
        "satisfied": TAKEN[impressions.outcome].astype(np.float64),
        "negative": (impressions.outcome == _DISLIKED).astype(np.float64),
        "expected": impressions.expected,
        "regret": impressions.best - impressions.expected,
        "expected_negative": impressions.disliked,
        "worth": impressions.expected / impressions.best,
    }


def sessions_before(people: People, day: int) -> Ints:
    """(users,) how often each person came in the weeks before a day of the world."""
    hours = range((day - BEFORE_DAYS) * 24, day * 24)
    came = np.concatenate([people.coming(hour)[0] for hour in hours])
    return np.bincount(came, minlength=people.world.users)


def figures(impressions: Impressions, arms: Sequence[str], days: int, before: Ints) -> dict[str, Any]:
    """Everything about every arm, its effect against the first one, and against each that stands before it.

    Args:
        days: of the experiment.
        before: (users,) a covariate from before it, `sessions_before`.
    """
    adds = per_impression(impressions)
    found: dict[str, Any] = {}
    for place, name in enumerate(arms):
        rows = impressions.arm == place
        users = len(np.unique(impressions.user[rows]))
        answers = impressions.survey[rows & (impressions.survey > 0)]
        found[name] = {
            "users": users,
            "impressions": int(rows.sum()),
            "explored": _mean(impressions.explored[rows]),
            "surveys": len(answers),
            "survey_mean": _mean(answers),
            "per_user": {key: float(value[rows].sum()) / max(1, users) for key, value in adds.items()},
            "per_impression": {key: _mean(value[rows]) for key, value in adds.items()},
            "interval": {key: _share(impressions, value, rows) for key, value in adds.items()},
            "best_per_impression": _mean(impressions.best[rows]),
            "by_day": [_day(rows & (impressions.day == day), adds, day) for day in range(1, days + 1)],
        }
        if place:
            found[name]["effect"] = {key: _effects(impressions, adds[key], place, before) for key in adds}
            found[name]["effect_by_day"] = [
                _on_day(impressions, adds["satisfied"], place, day) for day in range(1, days + 1)
            ]
        if place > 1:
            found[name]["against"] = {
                arms[other]: {key: _effects(impressions, adds[key], place, before, other) for key in adds}
                for other in range(1, place)
            }
    return found


def oracle_figures(impressions: Impressions, arms: Sequence[str], days: int) -> dict[str, Any]:
    """What oracles' offers would have been worth to the same people at the same moments.

    Everybody who took part counts, whatever their arm: an oracle's choice is served to nobody. `worth` is
    what it is of an arm (`per_impression`), with its interval by users.
    """
    took_part = impressions.arm >= 0
    found = {}
    for place, name in enumerate(ORACLES):
        worth = impressions.oracles[:, place] / impressions.best
        found[name] = {
            "worth": _mean(worth[took_part]),
            "interval": _share(impressions, worth, took_part),
            "by_arm": {arm: _mean(worth[impressions.arm == number]) for number, arm in enumerate(arms)},
            "by_day": [_mean(worth[took_part & (impressions.day == day)]) for day in range(1, days + 1)],
        }
    return found


def _share(impressions: Impressions, value: Floats, rows: NDArray[np.bool_]) -> dict[str, Any]:
    """Interval of a figure per offer, 95 % by users, with the variance behind it."""
    found = ratio(moments(impressions, value, rows, "impression"))
    return {"low": found.low, "high": found.high, "variance": found.variance}


def moments(
    impressions: Impressions,
    value: Floats,
    rows: NDArray[np.bool_],
    per: str = "user",
    before: Ints | None = None,
) -> Moments:
    """Moments over the users behind some offers; `per` impression = a ratio to their number of offers."""
    who, user = np.unique(impressions.user[rows], return_inverse=True)
    total, shown = np.bincount(user, value[rows], len(who)), np.bincount(user, minlength=len(who))
    columns = [total, shown if per == "impression" else np.ones(len(who))]
    return Moments.of(np.column_stack([*columns, before[who]] if before is not None else columns))


def _effects(
    impressions: Impressions, value: Floats, arm: int, before: Ints, other: int = 0
) -> dict[str, Any]:
    """Relative effect on the sum per user, the same with CUPED, and on the share of impressions."""
    control, treated = impressions.arm == other, impressions.arm == arm
    result = {}
    for name, per, covariate in (
        ("per_user", "user", None),
        ("per_user_cuped", "user", before),
        ("per_impression", "impression", None),
    ):
        first, second = (moments(impressions, value, rows, per, covariate) for rows in (control, treated))
        result[name] = _relative(effect(first, second, adjusted=covariate is not None))
    return result


def _on_day(impressions: Impressions, value: Floats, arm: int, day: int) -> dict[str, Any]:
    """Relative effect of one day on the share of impressions."""
    today = impressions.day == day
    first, second = (
        moments(impressions, value, today & (impressions.arm == place), "impression") for place in (0, arm)
    )
    return {"day": day, **_relative(effect(first, second))}


def _relative(found: Effect) -> dict[str, Any]:
    one = found.relative
    return {"relative": one.value, "low": one.low, "high": one.high, "variance": one.variance, "p": found.p}


def _day(today: NDArray[np.bool_], adds: dict[str, Floats], day: int) -> dict[str, Any]:
    means = {key: _mean(value[today]) for key, value in adds.items()}
    return {"day": day, "impressions": int(today.sum()), **means}


def _mean(values: NDArray[Any]) -> float | None:
    return float(np.mean(values)) if len(values) else None
