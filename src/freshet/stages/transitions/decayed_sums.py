"""Sums of transitions that halve with age, carried forward file by file.

What was summed before one moment is the start of what was summed before a later one, so asking for many
moments in order of time reads the log once. Memory holds a number for each (context, successor), however long
the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.core.errors import ArtifactError
from freshet.core.time import DAY
from freshet.core.types import RECENT, Sums
from freshet.stages.transitions.day_files import RECENT_COLUMNS, read_columns
from freshet.storage.parquet_columns import numbers

DENSE = 1 << 23
"""So many (context, successor) have a cell each; of more, only those observed have one."""


FAR = 200
"""Half-lives that weights may grow before all are brought down again; far from what a float can't hold."""


class DayFile(NamedTuple):
    """A file of the pool, and the first and last of its days, since 1970."""

    path: Path
    first: int
    last: int


Draw = Callable[[NDArray[np.uint64]], NDArray[np.float64]]
"""How often each user counts."""


class Decayed:
    """Decayed counts by context of one length and successor.

    Args:
        files: in order of their last day.
        interests: N.
        length: of contexts; a transition counts by the suffix of what was recent, if it is that long.
        half_life: in days.
        draw: how often each user counts; once without it.
    """

    def __init__(
        self, files: Sequence[DayFile], interests: int, length: int, half_life: float, draw: Draw | None
    ) -> None:
        self.files, self.interests, self.length = files, interests, length
        self.half_life, self.draw = half_life, draw
        self.context = RECENT_COLUMNS[RECENT - length :]
        self.codes = self._observed() if interests ** (length + 1) > DENSE else None
        self.restart()

    def restart(self) -> None:
        """Forget what was summed."""
        cells = self.interests ** (self.length + 1) if self.codes is None else len(self.codes)
        self.weight = np.zeros(cells)
        self.done = 0  # files summed
        self.day = self.files[0].first if self.files else 0  # the moment at which a transition weighs 1

    def before(self, moment: int) -> Sums:
        """Sums of the days before a moment, given in days since 1970."""
        if self.done and self.files[self.done - 1].last >= moment:
            self.restart()
        while self.done < len(self.files) and self.files[self.done].last < moment:
            file = self.files[self.done]
            if file.last - self.day > FAR * self.half_life:
                self.weight *= self._share(file.last - self.day)
                self.day = file.last
            self._add(self.weight, file, self.day, moment)
            self.done += 1
        weight = self.weight * self._share(moment - self.day)
        for file in self.files[self.done :]:
            if file.first < moment:  # a month of small days, a part of which is before it
                self._add(weight, file, moment, moment)
        return self._sums(weight)

    def _share(self, age: int | NDArray[np.int64]) -> NDArray[np.float64]:
        """What is left of a count after so many days; more than it was for negative ones."""
        return np.asarray(0.5 ** (np.asarray(age, np.float64) / self.half_life))

    def _add(self, weight: NDArray[np.float64], file: DayFile, moment: int, before: int) -> None:
        """Add a file's transitions on days before `before`, as they weigh at `moment`."""
        table = read_columns(file.path, self._columns())
        day = numbers(table["time"]) // DAY  # (rows,)
        codes, complete = self._codes(table)
        keep = complete & (day < before)
        places = codes[keep] if self.codes is None else np.searchsorted(self.codes, codes[keep])
        days = day[keep]
        if len(days) and not file.first <= days.min() <= days.max() <= file.last:
            raise ArtifactError(
                f"{file.path} holds other days than those it is named for",
                hint="`freshet doctor --repair` moves damage aside; the next run counts the log again",
            )
        # the same few days over and over: one power each
        share = self._share(moment - np.arange(file.first, file.last + 1))[days - file.first]
        if self.draw is not None:
            share = share * self.draw(numbers(table["user_key"])[keep])
        np.add.at(weight, places, share)

    def _columns(self) -> list[str]:
        return ["time", *self.context, "successor"] + (["user_key"] if self.draw else [])

    def _codes(self, table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(rows,) context and successor read as a number in base N; and whether the context is complete."""
        code = np.zeros(len(table), np.int64)
        for name in (*self.context, "successor"):
            code = code * self.interests + numbers(table[name])
        if not self.length:
            return code, np.ones(len(table), bool)
        return code, numbers(table[self.context[0]]) >= 0

    def _observed(self) -> NDArray[np.int64]:
        """(cells,) the codes that occur, ascending."""
        found = np.zeros(0, np.int64)
        waiting: list[NDArray[np.int64]] = []
        for file in self.files:
            codes, complete = self._codes(read_columns(file.path, [*self.context, "successor"]))
            waiting.append(np.unique(codes[complete]))
            if sum(map(len, waiting)) > DENSE:
                found, waiting = np.unique(np.concatenate([found, *waiting])), []
        return np.unique(np.concatenate([found, *waiting]))

    def _sums(self, weight: NDArray[np.float64]) -> Sums:
        cells = np.flatnonzero(weight)
        rest = cells if self.codes is None else self.codes[cells]
        digits = np.empty((len(cells), self.length + 1), np.int16)
        for column in range(self.length, -1, -1):
            rest, digits[:, column] = np.divmod(rest, self.interests)
        return Sums(np.ascontiguousarray(digits[:, :-1]), digits[:, -1].copy(), weight[cells])


def poisson(seed: int) -> Draw:
    """A Poisson(1) draw per user: how often they occur in a bootstrap sample."""
    bounds = np.array([0.367879, 0.735759, 0.919699, 0.981012, 0.996340, 0.999406])

    def draw(user: NDArray[np.uint64]) -> NDArray[np.float64]:
        mixed = user ^ np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        uniform = (mixed >> np.uint64(11)) / 2.0**53
        return np.searchsorted(bounds, uniform, side="right").astype(np.float64)

    return draw
