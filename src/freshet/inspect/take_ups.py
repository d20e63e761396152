"""What was taken up over time: how popular an interest was, what followed it, and what people came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.time import DAY, day_name
from freshet.core.types import AsOf
from freshet.inspect.release_view import Opened, artifact
from freshet.stages.transitions import TransitionLog
from freshet.storage.manifests import TableManifest
from freshet.storage.workspace import Workspace

MOST_PERIODS = 26
LENGTHS = (7, 28, 91)
"""Days of a period: the shortest at which `MOST_PERIODS` cover the log, else the longest."""
MOST_ROWS = 3_000_000
"""Transitions that are looked at; of more a sample of whole users."""


@dataclass(frozen=True, slots=True)
class Over:
    """An interest (by index, -1 = none) in periods.

    Attributes:
        counts: (periods,) of it, and `totals` (periods,) of all it is a part of.
    """

    interest: int
    counts: NDArray[np.int64]
    totals: NDArray[np.int64]

    @property
    def shares(self) -> list[float | None]:
        """By period; None where there was nothing to have a share of."""
        pairs = zip(self.counts.tolist(), self.totals.tolist(), strict=True)
        return [count / total if total else None for count, total in pairs]

    @property
    def share(self) -> float:
        """Over all periods."""
        return float(self.counts.sum() / max(1, self.totals.sum()))


@dataclass(frozen=True)
class TakeUps:
    """Novel interests taken up before a release, in periods of equal length.

    Attributes:
        starts: the first day of each period, oldest first; the last one ends where the release begins.
        period: (n,) of each take-up; `last`: (n,) the interest before it, -1 without; `successor`: (n,) the
            interest taken up.
        rows: how many there are in the log; more than n where users were sampled.
    """

    interests: int
    days: int
    starts: tuple[str, ...]
    period: NDArray[np.int8]
    last: NDArray[np.int16]
    successor: NDArray[np.int16]
    rows: int

    @classmethod
    def of(cls, ws: Workspace, opened: Opened) -> TakeUps:
        """Those behind a release; without periods where the log is shorter than two.

        Raises:
            ArtifactError: the transitions are missing or damaged.
        """
        size = len(opened.interests)
        counted = artifact(ws, "transitions", TableManifest.of(opened.made).inputs.transitions)
        log = TransitionLog(counted.path, ws.pool, size)
        end = AsOf.parse(opened.release.as_of)
        days, daily = log.daily()
        days, daily = days[days < end.day_number], daily[days < end.day_number]
        span = end.day_number - int(days.min()) if len(days) else 0
        length = next((some for some in LENGTHS if span <= some * MOST_PERIODS), LENGTHS[-1])
        periods = min(MOST_PERIODS, span // length)
        if periods < 2:
            none = np.zeros(0, np.int16)
            return cls(size, length, (), none.astype(np.int8), none, none, 0)
        start = end.day_number - periods * length
        found = log.records(AsOf.from_day_number(start), end, MOST_ROWS)
        period = (found["time"] // DAY - start) // length
        return cls(
            size,
            length,
            tuple(day_name(start + length * place) for place in range(periods)),
            period.astype(np.int8),
            found["last"].astype(np.int16),
            found["successor"].astype(np.int16),
            int(daily[days >= start].sum()),
        )

    @property
    def sampled(self) -> bool:
        """Whether these are the take-ups of some users only."""
        return len(self.period) < self.rows

    def popularity(self, interest: int) -> Over:
        """An interest among all that was taken up."""
        mine = self.successor == interest
        return Over(interest, self._by_period(mine), self._by_period(np.ones(len(mine), bool)))

    def after(self, interest: int, count: int) -> list[Over]:
        """What was taken up after an interest most often."""
        here = self.last == interest
        return self._most(here, self.successor, count)

    def before(self, interest: int, count: int) -> list[Over]:
        """What those who took it up had been at before, most often."""
        here = self.successor == interest
        return self._most(here, self.last, count)

    def together(self, interest: int, others: Iterable[int]) -> list[Over]:
        """Certain successors of an interest."""
        here = self.last == interest
        totals = self._by_period(here)
        return [Over(other, self._by_period(here & (self.successor == other)), totals) for other in others]

    def _most(self, here: NDArray[np.bool_], of: NDArray[np.int16], count: int) -> list[Over]:
        found = np.bincount(of[here].astype(np.int64) + 1, minlength=self.interests + 1)
        order = np.argsort(-found, kind="stable")[:count]
        totals = self._by_period(here)
        return [
            Over(int(place) - 1, self._by_period(here & (of == place - 1)), totals)
            for place in order
            if found[place]
        ]

    def _by_period(self, here: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(self.period[here], minlength=len(self.starts))
