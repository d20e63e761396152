"""What exposed users do over time with interests: take up novel ones, engage several, come back to them.

Pure functions of engagements, rows of (user's place, time, interest) sorted by (user, interest, time). Each
gives what users add to a numerator and a denominator, and when: an addition counts from the day of `time` on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.time import DAY

WEEK = 7 * DAY

Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Engaged:
    """Engagements of positive events, sorted by (user, interest, time).

    Attributes:
        user: (m,) place among the exposed users.
        interest: (m,) index.
        time: (m,) microseconds since 1970 (UTC).
    """

    user: Int64
    interest: Int64
    time: Int64

    @classmethod
    def of(cls, user: Int64, interest: Int64, time: Int64) -> Engaged:
        """In any order."""
        order = np.lexsort((time, interest, user))
        return cls(user[order], interest[order], time[order])


@dataclass(frozen=True, slots=True)
class Additions:
    """(a,) who adds how much to numerator and denominator, and when."""

    user: Int64
    time: Int64
    y: NDArray[np.int8]
    d: NDArray[np.int8]

    def moved(self, places: int) -> Additions:
        """The same of users so many places further on."""
        return Additions(self.user + places, self.time, self.y, self.d)

    @classmethod
    def joined(cls, parts: list[Additions]) -> Additions:
        """Of other users, or of other times."""
        return cls(
            np.concatenate([part.user for part in parts]),
            np.concatenate([part.time for part in parts]),
            np.concatenate([part.y for part in parts]),
            np.concatenate([part.d for part in parts]),
        )


def novel(rows: Engaged, first: Int64, horizon: int | None, end: int) -> Additions:
    """Novel interests taken up since the first exposure: not engaged within the horizon before.

    Args:
        first: (u,) first exposure of each user.
        horizon: H in microseconds; None = ever.
        end: what happens at or after it is not known yet.
    """
    taken = _novel(rows, horizon) & (rows.time >= first[rows.user]) & (rows.time < end)
    ones = np.ones(int(taken.sum()), np.int8)
    return Additions(rows.user[taken], rows.time[taken], ones, 0 * ones)


def interests_7d(rows: Engaged, first: Int64, end: int) -> Additions:
    """Different interests in each full week since the first exposure, over the number of such weeks."""
    week = (rows.time - first[rows.user]) // WEEK
    over = first[rows.user] + (week + 1) * WEEK
    whole = (rows.time >= first[rows.user]) & (over <= end)
    user, interest, week = rows.user[whole], rows.interest[whole], week[whole]
    new = np.ones(len(user), bool)  # times ascend within (user, interest), and so do weeks
    new[1:] = (np.diff(user) != 0) | (np.diff(interest) != 0) | (np.diff(week) != 0)
    ones = np.ones(int(new.sum()), np.int8)
    found = Additions(user[new], over[whole][new] - 1, ones, 0 * ones)
    return Additions.joined([found, _weeks(first, end)])


def returned_7d(rows: Engaged, first: Int64, horizon: int | None, end: int) -> Additions:
    """Novel interests taken up that were engaged again 7 or more days later, over those 7 or more days old.

    One that was taken up anew after the horizon is another take-up, and the end of the one before.
    """
    taken = np.flatnonzero(_novel(rows, horizon))
    upto = np.append(taken[1:], len(rows.user))
    start = rows.time[taken] + WEEK
    back = np.array([], np.int64) if not len(taken) else _first_at_or_after(rows, taken, upto, start)
    counts = (rows.time[taken] >= first[rows.user[taken]]) & (start < end)
    again = counts & (back >= 0)
    again[again] = rows.time[back[again]] < end
    old, came = int(counts.sum()), int(again.sum())
    return Additions.joined(
        [
            Additions(rows.user[taken[counts]], start[counts], np.zeros(old, np.int8), np.ones(old, np.int8)),
            Additions(
                rows.user[taken[again]],
                rows.time[back[again]],
                np.ones(came, np.int8),
                np.zeros(came, np.int8),
            ),
        ]
    )


def _novel(rows: Engaged, horizon: int | None) -> NDArray[np.bool_]:
    """(m,) whether each engagement is novel to its user."""
    found = np.ones(len(rows.user), bool)
    same = (np.diff(rows.user) == 0) & (np.diff(rows.interest) == 0)
    far = np.zeros(len(same), bool) if horizon is None else np.diff(rows.time) > horizon
    found[1:] = ~same | far
    return found


def _weeks(first: Int64, end: int) -> Additions:
    """One for each full week of each user, whether they did anything or not; it counts when it is over."""
    weeks = np.maximum(0, (end - first) // WEEK)
    user = np.repeat(np.arange(len(first)), weeks)
    number = np.arange(len(user)) - np.repeat(np.cumsum(weeks) - weeks, weeks)
    ones = np.ones(len(user), np.int8)
    return Additions(user, first[user] + (number + 1) * WEEK - 1, 0 * ones, ones)


def _first_at_or_after(rows: Engaged, taken: Int64, upto: Int64, start: Int64) -> Int64:
    """(t,) the first row after each take-up, before the next one, at or after a time; -1 = there is none."""
    owner = np.repeat(np.arange(len(taken)), upto - taken)
    # rows between two take-ups are of one (user, interest): a new pair begins with a take-up
    at = np.arange(taken[0], len(rows.user))
    late = rows.time[at] >= start[owner]
    found = np.full(len(taken), -1, np.int64)
    found[owner[late][::-1]] = at[late][::-1]  # the earliest is written last
    return found
