"""First places of answers, and what their users had engaged strictly before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from freshet.core.types import BoolArray, Interests
from freshet.core.user_numbers import keys
from freshet.experiments.measurement import labels as labelling
from freshet.experiments.measurement.foreign_rows import ELSEWHERE
from freshet.experiments.measurement.labels import Window
from freshet.stages import events
from freshet.storage import sql
from freshet.storage.artifacts import Artifact
from freshet.storage.workspace import DRAFTS, Workspace


@dataclass(frozen=True)
class Engaged:
    """Engagements of some users, by user and then time.

    Attributes:
        users: (u,) by number, ascending; `start`: (u + 1,) where the rows of each begin.
        interest: (e,) stable ids; `time`: (e,) microseconds since 1970.
    """

    users: NDArray[np.uint64]
    start: NDArray[np.int64]
    interest: NDArray[np.int32]
    time: NDArray[np.int64]

    @classmethod
    def of(cls, user: NDArray[np.uint64], interest: NDArray[np.int32], time: NDArray[np.int64]) -> Engaged:
        order = np.lexsort((time, user))
        users, start = np.unique(user[order], return_index=True)
        return cls(users, np.append(start, len(user)), interest[order], time[order])

    def before(self, user: int, moment: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Stable ids and times of what a user engaged strictly before a moment."""
        place = int(np.searchsorted(self.users, np.uint64(user)))
        if place == len(self.users) or self.users[place] != user:
            return self.interest[:0], self.time[:0]
        first, last = int(self.start[place]), int(self.start[place + 1])
        last = first + int(np.searchsorted(self.time[first:last], moment))
        return self.interest[first:last], self.time[first:last]


@dataclass(frozen=True)
class Decisions:
    """n first places that a policy chose for users with a name, in the order of time.

    Attributes:
        user: (n,) by number.
        time: (n,) microseconds since 1970.
        release: (n,) number of the release that answered.
        shown: (n,) stable id of the interest.
        propensity, reward: (n,)
        context: n lists of stable ids, most recent last: the user's context, as the answer gives it.
        arm: n pairs (experiment, arm), '' where there was none.
        elsewhere: (n,) whether another system chose it (`freshet import --impressions`): its propensity is
            believed, since nothing here can make it again.
    """

    user: NDArray[np.uint64]
    time: NDArray[np.int64]
    release: NDArray[np.int64]
    shown: NDArray[np.int32]
    propensity: NDArray[np.float64]
    reward: NDArray[np.float64]
    context: list[tuple[int, ...]]
    arm: list[tuple[str, str]]
    elsewhere: BoolArray

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class LeftOut:
    """First places not chosen from scores, by why: nobody was named, or nothing new was left to show."""

    unnamed: int
    known: int


def read(
    ws: Workspace, window: Window, assignment: Artifact, interests: Interests, rule: str, limit: int
) -> tuple[Decisions, Engaged, LeftOut]:
    """Decisions of a window, about so many at most: of more, those of a sample of users."""
    there = labelling.count(ws, window)
    if there > limit:
        window = replace(window, share=limit / there)
    table = labelling.labelled(ws, window, assignment, interests, events.parse(rule))
    named = pc.not_equal(table["user"], "")
    chosen = pc.not_equal(table["reason"], "known")
    left_out = LeftOut(_count(pc.invert(named)), _count(pc.and_(named, pc.invert(chosen))))
    table = table.filter(pc.and_(named, chosen))
    user = keys(table["user"])
    return _decisions(table, user), _engaged(ws, window, table["user"], assignment, interests), left_out


def _decisions(table: pa.Table, user: NDArray[np.uint64]) -> Decisions:
    pairs = zip(table["experiment"].to_pylist(), table["arm"].to_pylist(), strict=True)
    return Decisions(
        user,
        table["time"].to_numpy(),
        table["release"].to_numpy(),
        table["interest"].to_numpy(),
        table["propensity"].to_numpy(),
        table["reward"].to_numpy().astype(np.float64),
        [tuple(ids) for ids in table["context"].to_pylist()],
        list(pairs),
        np.asarray(pc.equal(table["reason"], ELSEWHERE)),
    )


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)


def _engaged(
    ws: Workspace, window: Window, users: pa.ChunkedArray, assignment: Artifact, interests: Interests
) -> Engaged:
    """What these users engaged before the window's end, as far back as it matters."""
    days = ws.config.transitions.novelty_days
    since = None if days == "ever" else window.since.minus(int(days) + 1)
    log = events.EventLog(ws.source).snapshot(window.until)
    paths = [day.path for day in log.days if since is None or day.day >= since.day]
    if not paths or not len(users):
        return Engaged.of(np.zeros(0, np.uint64), np.zeros(0, np.int32), np.zeros(0, np.int64))
    with sql.connect_spilling(ws.root / DRAFTS / f"decisions-{uuid4().hex[:8]}") as db:
        db.register("asked", pa.table({"u": pc.unique(users)}))
        index = np.arange(len(interests), dtype=np.int16)
        db.register("ids", pa.table({"index": index, "stable": interests.ids}))
        found = db.sql(
            f"""WITH engaged AS ({labelling.engaged(paths, events.parse(ws.config.events.positive))})
            SELECT u, stable AS interest, max(epoch_us(t)) AS time
            FROM engaged SEMI JOIN asked USING (u)
            JOIN {sql.parquet([assignment.path / "assignment.parquet"])} AS a USING (item)
            JOIN ids ON a.interest = ids.index
            GROUP BY u, stable, epoch_us(t)"""
        ).to_arrow_table()
    return Engaged.of(keys(found["u"]), found["interest"].to_numpy(), found["time"].to_numpy())
