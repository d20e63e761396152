"""Questions about counted transitions: examples of a period, sums with half-lives, supports of a window.

Rows are read from the day files when they are needed; sums are kept, so that a later moment continues them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.core.time import DAY, day_number
from freshet.core.types import RECENT, TRANSITION, AsOf, BoolArray, Sums, Transitions, positions
from freshet.stages.transitions import monthly
from freshet.stages.transitions.day_files import (
    ENGAGEMENT,
    RECENT_COLUMNS,
    files,
    packed,
    quoted,
    read_columns,
)
from freshet.stages.transitions.decayed_sums import DayFile, Decayed, Draw, poisson
from freshet.stages.transitions.established import Established, established
from freshet.stages.transitions.format import load_counted
from freshet.storage.durable import make_folder
from freshet.storage.sql import connect

if TYPE_CHECKING:
    import duckdb

    from freshet.stages.transitions.recent_interests import RecentInterests

RECORD_COLUMNS = {"time": "time", "user_key": "user", "recent_1": "last", "successor": "successor"}
"""Column of a day file -> field of a record."""


class TransitionLog:
    """One artifact's transitions.

    Args:
        artifact: folder with `days.json`.
        pool: folder of the day files.
        interests: N.
        memory: DuckDB's limit; more spills to disk, beside the pool.

    Raises:
        ArtifactError: `days.json` can't be read.
    """

    def __init__(self, artifact: Path, pool: Path, interests: int, memory: str = "800MB") -> None:
        self.interests = interests
        self._pool = pool
        counted = load_counted(artifact)
        self._index, self._engaged = counted.transitions, counted.engagements
        self._memory = memory
        self._decayed: dict[tuple[int, float, int | None], Decayed] = {}
        self.first_day = day_number(min(counted.engagements)) if counted.engagements else 0

    @cached_property
    def _db(self) -> duckdb.DuckDBPyConnection:
        drafts = self._pool.parent / ".drafts"
        make_folder(drafts)  # DuckDB makes the folder it spills to, but none above it
        spill = str(drafts / f"questions-{uuid4().hex[:8]}")
        db = connect(memory_limit=self._memory, temp_directory=spill)
        db.execute("SET enable_progress_bar = false")
        return db

    def __len__(self) -> int:
        return sum(filed.rows for filed in self._index.values())

    def between(self, start: AsOf, end: AsOf, limit: int | None = None, seed: int = 0) -> Transitions:
        """Transitions with start <= day < end, ordered by (day, user, time, successor).

        `limit` keeps a seeded sample of whole users, so that intervals clustered by user stay right.
        """
        parts = [self._empty()]
        for table, keep in self._chosen(start, end, limit, seed):
            parts.append(
                Transitions(
                    table["user_key"].to_numpy()[keep],
                    table["time"].to_numpy()[keep],
                    np.stack([table[name].to_numpy()[keep] for name in RECENT_COLUMNS], axis=1),
                    table["successor"].to_numpy()[keep],
                    np.unpackbits(packed(table["known"])[keep], axis=1, count=self.interests).astype(bool),
                )
            )
        found = Transitions.concatenate(parts)
        # each day lies in one file, which is sorted by (user, time, successor)
        return found.take(np.argsort(found.day, kind="stable"))

    def records(self, start: AsOf, end: AsOf, limit: int | None = None, seed: int = 0) -> NDArray[np.void]:
        """The rows of `between`, in its order, as records of `types.TRANSITION`, with their times."""
        parts = [np.empty(0, TRANSITION)]
        for table, keep in self._chosen(start, end, limit, seed, [*RECORD_COLUMNS]):
            rows = np.empty(int(keep.sum()), TRANSITION)
            for column, name in RECORD_COLUMNS.items():
                rows[name] = table[column].to_numpy()[keep]
            parts.append(rows)
        found = np.concatenate(parts)
        return found[np.argsort(found["time"] // DAY, kind="stable")]

    def _chosen(
        self, start: AsOf, end: AsOf, limit: int | None, seed: int, columns: list[str] | None = None
    ) -> Iterator[tuple[pa.Table, BoolArray]]:
        """Columns of each file that holds days of a period, and which of its rows belong to the sample."""
        days = {day for day in self._index if str(start) <= day < str(end)}
        rows = sum(self._index[day].rows for day in days)
        share = 10_000 if limit is None or rows <= limit else int(limit / rows * 10_000)
        for path in files(self._pool, self._index, days):
            table = read_columns(path, columns)
            user, day = table["user_key"].to_numpy(), table["time"].to_numpy() // DAY
            keep = (day >= start.day_number) & (day < end.day_number)
            keep &= (user % 10_000 + np.uint64(seed * 7919)) % 10_000 < share
            yield table, keep

    def _empty(self) -> Transitions:
        return Transitions(
            np.zeros(0, np.uint64),
            np.zeros(0, np.int64),
            np.zeros((0, RECENT), np.int16),
            np.zeros(0, np.int16),
            np.zeros((0, self.interests), bool),
        )

    def sums(self, as_of: AsOf, half_life: float, length: int, resample: int | None = None) -> Sums:
        """Transition counts before as_of, halved every `half_life` days, by context of exactly `length`.

        Contexts are suffixes: length 1 counts every transition by the last interest before it. `resample`
        draws users with replacement (Poisson bootstrap, that seed).
        """
        key = length, half_life, resample
        if key not in self._decayed:
            draw = None if resample is None else poisson(resample)
            self._decayed[key] = Decayed(self._day_files(), self.interests, length, half_life, draw)
        return self._decayed[key].before(as_of.day_number)

    def sums_of(self, as_of: AsOf, half_life: float, length: int, draw: Draw) -> Sums:
        """The same where each user counts as often as `draw` says; nothing is kept for a later moment."""
        return Decayed(self._day_files(), self.interests, length, half_life, draw).before(as_of.day_number)

    def _day_files(self) -> list[DayFile]:
        days: dict[str, list[int]] = defaultdict(list)
        for day, filed in self._index.items():
            days[filed.file].append(day_number(day))
        found = [DayFile(self._pool / name, min(held), max(held)) for name, held in days.items()]
        return sorted(found, key=lambda file: (file.last, file.first))

    def _scan(self, start: int, end: int) -> str:
        """Transitions with start <= day < end, as a FROM source."""
        days = {day for day in self._index if start <= day_number(day) < end}
        listed = ", ".join(quoted(path) for path in files(self._pool, self._index, days))
        if not listed:
            columns = ", ".join(f"0::SMALLINT AS {name}" for name in (*RECENT_COLUMNS, "successor"))
            return f"(SELECT 0::UBIGINT AS user_key, {columns}, 0::INTEGER AS day WHERE false)"
        return (
            f"(SELECT *, (time // {DAY})::INTEGER AS day FROM read_parquet([{listed}], "
            f"hive_partitioning = false) WHERE time >= {start * DAY} AND time < {end * DAY})"
        )

    def supports(self, as_of: AsOf, days: int, length: int, user_cap: int, skip: int = 0) -> Sums:
        """User counts in the window of `days` that ends `skip` days before as_of.

        One user counts once per (context, successor); a user with more than `user_cap` successors of one
        context counts `user_cap` in all, shared evenly: nobody's basket decides what a prompt says.
        """
        end = as_of.day_number - skip
        context = "".join(f"{column}, " for column in _context(length))
        names = ", ".join([*_context(length), "successor"])
        table = self._db.sql(
            f"""SELECT {names}, shared, count(*) AS users FROM (
                SELECT {names},
                    greatest({user_cap}, count(*) OVER (PARTITION BY {context} user_key)) AS shared
                FROM (
                    SELECT DISTINCT {names}, user_key
                    FROM {self._scan(max(0, end - days), end)} WHERE {_complete(length)}
                )
            ) GROUP BY ALL ORDER BY {names}, shared DESC"""
        ).to_arrow_table()
        keys = np.stack([table[name].to_numpy() for name in (*_context(length), "successor")], axis=1)
        weight = table["users"].to_numpy() * (user_cap / table["shared"].to_numpy())
        starts = np.flatnonzero(np.r_[True, (keys[1:] != keys[:-1]).any(axis=1)][: len(keys)])
        total = np.add.reduceat(weight, starts) if len(starts) else np.zeros(0)
        keys = keys[starts].astype(np.int16)
        return Sums(keys[:, :-1], keys[:, -1], total)

    def users(self, as_of: AsOf) -> int:
        """How many users made the transitions before as_of."""
        scan = self._scan(0, as_of.day_number)
        [(found,)] = self._db.sql(f"SELECT count(DISTINCT user_key) FROM {scan}").fetchall()
        return int(found)

    def engaged_before(self, users: NDArray[np.uint64], times: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) how often each user had engaged an interest strictly before a moment, in everybody's log.

        Several items of one interest in one step are one engagement.

        Args:
            users: (n,) keys, in any order.
            times: (n,) microseconds since 1970.
        """
        who, asking = np.unique(users, return_inverse=True)
        found, moments = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        until = int(times.max(initial=0)) // DAY
        for path in files(self._pool, self._engaged, {d for d in self._engaged if day_number(d) <= until}):
            table = read_columns(path, ["user_key", "time"])
            place = positions(who, table["user_key"].to_numpy())
            found.append(place[place >= 0])
            moments.append(table["time"].to_numpy()[place >= 0])
        place = np.concatenate([asking, *found])
        engaged = np.arange(len(place)) >= len(asking)
        order = np.lexsort((engaged, np.concatenate([times, *moments]), place))  # a moment before its events
        passed = np.empty(len(place), np.int64)
        passed[order] = np.cumsum(engaged[order])
        others = np.r_[0, np.cumsum(np.bincount(place[engaged], minlength=len(who)))]
        return np.asarray(passed[: len(asking)] - others[asking])

    def recent_at(self, moment: AsOf, days: int | None, seed: int) -> RecentInterests:
        """What each user, of everybody's log, had engaged last within `days` before a moment; None = ever.

        Args:
            seed: of the order of interests of one step ([transitions] seed).
        """
        # late: they bring a compiler, which sums can do without
        from freshet.stages.transitions.recent_interests import recent_interests
        from freshet.stages.transitions.walk import NEVER

        until = moment.microseconds
        since = NEVER if days is None else until - days * DAY
        first = None if days is None else day_number(str(moment)) - days - 1
        held = {d for d in self._engaged if d < str(moment) and (first is None or day_number(d) >= first)}
        parts = [np.empty(0, ENGAGEMENT)]
        for path in files(self._pool, self._engaged, held):
            table = read_columns(path, ["user_key", "time", "interest"])
            time = table["time"].to_numpy()
            keep = (time < until) & (time >= since)
            rows = np.empty(int(keep.sum()), ENGAGEMENT)
            rows["user"], rows["time"] = table["user_key"].to_numpy()[keep], time[keep]
            rows["interest"] = table["interest"].to_numpy()[keep]
            parts.append(rows)
        return recent_interests(np.concatenate(parts), moment, seed)

    def moves(self) -> Iterator[NDArray[np.void]]:
        """All transitions as `monthly.MOVE`, in parts of whole days, each later than the one before."""
        return monthly.moves(self._pool, self._index)

    def established(self, active_days: int, age_days: int) -> Established:
        """Since when each user of everybody's log is established; see `established`."""
        return established(monthly.engaged(self._pool, self._engaged), active_days, age_days)

    def daily(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """(days since 1970, transitions on that day), days without one left out."""
        found = sorted((day_number(day), filed.rows) for day, filed in self._index.items())
        days, rows = zip(*found, strict=True) if found else ((), ())
        return np.array(days, np.int32), np.array(rows, np.int64)


def _context(length: int) -> tuple[str, ...]:
    """Columns of the last interests before a step, most recent last."""
    return RECENT_COLUMNS[RECENT - length :]


def _complete(length: int) -> str:
    """SQL: whether the user had so many recent interests."""
    return f"{_context(length)[0]} >= 0" if length else "true"
