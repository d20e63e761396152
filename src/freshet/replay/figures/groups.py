"""Judged transitions in groups by what was known when they happened: where a source of knowledge may pay.

Three divisions, each of all transitions: by how many transitions support the person's context, by the age of
the newest item of the interest taken up, and by how much the person had engaged before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.core.types import FloatArray
from freshet.replay.figures.aligned import Aligned, Ints
from freshet.replay.figures.intervals import Drawn, Resampled, estimate, ratio

Named = tuple[str, str]
"""A group: its key, and whom or what it holds as a sentence says it."""

SUPPORTED = (1.0, 10.0, 100.0)
"""Transitions after a context: the least of each group, after that of 0."""
CONTEXTS: tuple[Named, ...] = (
    ("no-context", "people without a recent interest"),
    ("0", "contexts that nobody had been in"),
    ("1-9", "contexts with 1 to 9 transitions"),
    ("10-99", "contexts with 10 to 99 transitions"),
    ("100+", "contexts with 100 transitions or more"),
)
ENGAGED = (1.0, 5.0, 20.0, 100.0)
"""Engagements of a person before."""
PEOPLE: tuple[Named, ...] = (
    ("0", "people without an engagement"),
    ("1-4", "people with 1 to 4 engagements"),
    ("5-19", "people with 5 to 19 engagements"),
    ("20-99", "people with 20 to 99 engagements"),
    ("100+", "people with 100 engagements or more"),
)
DAYS = (7.0, 30.0, 90.0)
"""Days since the newest item was first engaged."""
UNSEEN = ("unseen", "interests of which nobody had engaged an item")
CROWDED = 0.8
"""Of all transitions: where a group by `DAYS` holds more, the log has another pace: quarters are taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """n transitions, each in one of some groups.

    Attributes:
        keys: of the groups; `words`: whom or what each holds, as a sentence says it.
        place: (n,) number of the group.
    """

    keys: tuple[str, ...]
    words: tuple[str, ...]
    place: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The groups of a division on the log and on every resample.

    Attributes:
        n, users: (groups,) transitions that each holds, and people behind them.
        drawn: (1 + draws, groups) transitions, on the log and on every resample.
    """

    division: Division
    n: Ints
    users: Ints
    drawn: Drawn

    @classmethod
    def of(cls, aligned: Aligned, division: Division, resampled: Resampled) -> Groups:
        groups = len(division.keys)
        drawn = resampled.by_group(np.ones(len(aligned)), division.place, groups)
        pairs = np.unique(aligned.user * groups + division.place)
        users = np.bincount(pairs % groups, minlength=groups)
        return cls(division, drawn[0].astype(np.int64), users, drawn)

    def lines(self, figures: Mapping[str, Drawn]) -> dict[str, Any]:
        """By group: `n`, `users`, and every figure (1 + draws, groups) as `{value, ci95}`."""
        return {
            key: {
                "n": int(self.n[place]),
                "users": int(self.users[place]),
                **{name: estimate(drawn[:, place]) for name, drawn in figures.items()},
            }
            for place, key in enumerate(self.division.keys)
        }


def within(groups: Groups, columns: Mapping[str, NDArray[Any]], resampled: Resampled) -> dict[str, Drawn]:
    """(1 + draws, groups) the mean of each column (n,) within each group."""
    place, many = groups.division.place, len(groups.division.keys)
    totals = {name: resampled.by_group(values, place, many) for name, values in columns.items()}
    return {name: ratio(total, groups.drawn) for name, total in totals.items()}


@dataclass(frozen=True, slots=True)
class Title:
    """What a division is called: by its key in documents, and for people."""

    key: str
    text: str


TITLES = (
    Title("by_support", "transitions known after the person's context"),
    Title("by_item_age", "age of the newest item of the interest taken up"),
    Title("by_user_age", "engagements of the person before"),
)


def divide(aligned: Aligned, frame: pa.Table) -> dict[str, Division]:
    """The divisions by key, in the order of `TITLES`; groups without a transition are left out.

    Args:
        frame: `frames.CIRCUMSTANCES` of the same transitions, in any order.
    """
    origin = frame["origin"].cast(pa.int32()).to_numpy()
    place = np.empty(len(aligned), np.int64)
    place[np.lexsort((aligned.row, aligned.origin))] = np.lexsort((frame["row"].to_numpy(), origin))

    def column(name: str) -> FloatArray:
        """(n,) NaN where the frame has a null."""
        values = frame[name].cast(pa.float64()).fill_null(np.nan).to_numpy()
        return np.asarray(values[place])

    support, engaged = column("support"), column("engagements")
    return {
        "by_support": _division(CONTEXTS, support, SUPPORTED),
        "by_item_age": _by_age(column("item_age")),
        "by_user_age": _division((("", ""), *PEOPLE), engaged, ENGAGED),
    }


def _by_age(age: FloatArray) -> Division:
    """In days; in quarters of the transitions where the usual days would put most of them into one group."""
    known = age[~np.isnan(age)]
    edges: Sequence[float] = DAYS
    if np.bincount(np.searchsorted(DAYS, known, side="right"), minlength=1).max() > CROWDED * len(age):
        quarters = np.quantile(known, [0.25, 0.5, 0.75])
        edges = sorted({float(f"{edge:.2g}") for edge in quarters.tolist() if edge > 0})
    named = [UNSEEN]
    for low, high in zip([0.0, *edges], [*edges, np.inf], strict=True):
        if high == np.inf:
            named.append((f"{low:g}d+", f"interests whose newest item was known for {low:g} days or longer"))
        elif low == 0:
            named.append((f"0-{high:g}d", f"interests with an item younger than {high:g} days"))
        else:
            words = f"interests whose newest item was {low:g} to {high:g} days old"
            named.append((f"{low:g}-{high:g}d", words))
    return _division(named, age, edges)


def _division(named: Sequence[Named], values: FloatArray, edges: Sequence[float]) -> Division:
    """Missing values are in the first group, those below the first edge in the second, and so on."""
    missing = np.isnan(values)
    place = np.searchsorted(edges, np.where(missing, 0.0, values), side="right") + 1
    place[missing] = 0
    held, place = np.unique(place, return_inverse=True)
    return Division(tuple(named[one][0] for one in held), tuple(named[one][1] for one in held), place)
