"""Hit rates over time: by day, by age of the table, and what age costs on the same transitions."""

from __future__ import annotations

from typing import Any

import numpy as np

from freshet.core.time import day_name
from freshet.core.types import FloatArray
from freshet.replay.figures.aligned import NONE, Ints, Judged, Scored
from freshet.replay.figures.measures import SHOWN, hits
from freshet.replay.figures.resampled import Resampled, estimate, ratio

DAYS_ONE_BY_ONE = 120
AGES = 10
"""Bins of a table's age, at most."""


def period_days(judged: Judged, every_days: int) -> int:
    """Length of a period of `by_day`: a day, or in long replays some whole refreshes."""
    span = int(judged.day.max() - judged.origin.min()) + 1
    if span <= DAYS_ONE_BY_ONE:
        return 1
    return every_days * -(-span // (DAYS_ONE_BY_ONE * every_days))


def by_day(judged: Judged, arm: Scored, resampled: Resampled, days: int) -> list[dict[str, Any]]:
    """hit@5 in periods of so many days from the first origin: `{from, n, hit_at_5}`; none is empty."""
    first = int(judged.origin.min())
    period = (judged.day - first) // days
    return [
        {"from": day_name(first + int(place) * days), **line}
        for place, line in _grouped(judged, hits(arm.rank, 5), period, resampled)
    ]


def by_age(judged: Judged, arm: Scored, resampled: Resampled) -> list[dict[str, Any]]:
    """hit@5 by age of the arm's table: `{age, until, n, hit_at_5}`, ages in days, `until` included.

    Old tables are met late in the replay: read it beside `decay`, which compares on the same transitions.
    """
    age, width = _ages(judged, arm)
    return [
        {"age": place * width, "until": place * width + width - 1, **line}
        for place, line in _grouped(judged, hits(arm.rank, 5), age // width, resampled)
    ]


def decay(judged: Judged, arm: Scored, fresh: Scored, resampled: Resampled) -> list[dict[str, Any]]:
    """What age costs: the arm minus a fresher one on the same transitions, by age of the arm's table.

    Each line is `{age, until, n, hit_at_5, overlap}`; overlap is the mean Jaccard of the two top fives.
    """
    age, width = _ages(judged, arm)
    loss = hits(arm.rank, 5).astype(float) - hits(fresh.rank, 5)
    same = dict(_grouped(judged, overlap(arm.top[:, :SHOWN], fresh.top[:, :SHOWN]), age // width, resampled))
    return [
        {
            "age": place * width,
            "until": place * width + width - 1,
            **line,
            "overlap": same[place]["hit_at_5"],
        }
        for place, line in _grouped(judged, loss, age // width, resampled)
    ]


def overlap(a: Ints, b: Ints) -> FloatArray:
    """(n,) Jaccard of two (n, 5) lists of interests; 1 where both are empty."""
    both = ((a[:, :, None] == b[:, None, :]) & (a != NONE)[:, :, None]).sum(axis=(1, 2))
    either = (a != NONE).sum(axis=1) + (b != NONE).sum(axis=1) - both
    return np.asarray(np.divide(both, either, out=np.ones(len(a)), where=either > 0))


def mean_age(judged: Judged, arm: Scored) -> float:
    """Mean age of the table that answered, in days."""
    return float((judged.day - arm.made).mean())


def _ages(judged: Judged, arm: Scored) -> tuple[Ints, int]:
    """(n,) age in days, and the width of a bin."""
    age = judged.day - arm.made
    return age, max(1, -(-int(age.max() + 1) // AGES))


def _grouped(
    judged: Judged, values: FloatArray, group: Ints, resampled: Resampled
) -> list[tuple[int, dict[str, Any]]]:
    """The mean within every group that has a transition."""
    groups = int(group.max()) + 1
    n = resampled.by_group(np.ones(len(judged)), group, groups)
    mean = ratio(resampled.by_group(values, group, groups), n)
    return [
        (place, {"n": int(n[0, place]), "hit_at_5": estimate(mean[:, place])})
        for place in range(groups)
        if n[0, place]
    ]
