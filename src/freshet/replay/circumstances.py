"""What was known when a transition happened: where theory expects content and planners to pay, or not to.

The same for all arms, so it is written once per judged transition. Everything is computed from what came
strictly before the transition, support from what came before its origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.core.time import DAY
from freshet.core.types import AsOf, FloatArray, IntArray, Transitions, context_codes, positions
from freshet.replay.baselines import UNDECAYED
from freshet.replay.frames import CIRCUMSTANCES
from freshet.stages import events
from freshet.stages.transitions import TransitionLog
from freshet.storage.durable import make_folder
from freshet.storage.sql import connect, connect_spilling, text
from freshet.storage.workspace import DRAFTS, Workspace


@dataclass(frozen=True, slots=True)
class FirstEngagements:
    """When anybody first engaged each item.

    Attributes:
        item: (m,) ids; `time`: (m,) microseconds since 1970.
    """

    item: pa.Array
    time: NDArray[np.int64]

    @classmethod
    def of(cls, ws: Workspace, until: AsOf) -> FirstEngagements:
        """Those of the log before a moment; for what came before an earlier one, take those before it."""
        rule = events.parse(ws.config.events.positive).sql
        listed = ", ".join(text(str(day.path)) for day in events.EventLog(ws.source).snapshot(until).days)
        make_folder(ws.root / DRAFTS)  # DuckDB makes the folder it spills to, but none above it
        scratch = ws.root / DRAFTS / f"first-{uuid4().hex[:8]}"
        with connect_spilling(scratch) as db:
            found = db.sql(
                f"SELECT item, epoch_us(min(time)) AS time FROM read_parquet([{listed}], "
                f"hive_partitioning = false, union_by_name = true) WHERE coalesce(({rule}), false) "
                "GROUP BY item ORDER BY item"
            ).to_arrow_table()
        return cls(found["item"].combine_chunks(), found["time"].to_numpy())

    def by_interest(self, assignment: Path, interests: int) -> list[NDArray[np.int64]]:
        """For each interest the first engagements of its items, ascending.

        Args:
            assignment: Parquet of (item, interest index).
        """
        first = pa.table({"item": self.item, "time": self.time})
        with connect() as db:
            db.register("first", first)
            found = db.sql(
                "SELECT interest, time FROM first JOIN read_parquet($file) USING (item) ORDER BY ALL",
                params={"file": str(assignment)},
            ).fetchnumpy()
        edges = np.searchsorted(np.asarray(found["interest"]), np.arange(1, interests))
        return np.split(np.asarray(found["time"], np.int64), edges)


def circumstances(
    at: AsOf,
    test: Transitions,
    timed: NDArray[np.void],
    k: int,
    learned: TransitionLog,
    everybody: TransitionLog,
    first: list[NDArray[np.int64]],
) -> pa.Table:
    """One row per judged transition; see `frames.CIRCUMSTANCES`.

    Args:
        at: the origin.
        timed: (n,) `test` as records of `types.TRANSITION`, with their times.
        k: length of contexts.
        learned: what arms learn from; `everybody` holds what judged users engaged.
        first: by interest, when anybody first engaged each of its items, ascending.
    """
    supported = support(learned, at, test.recent[:, -k:])
    age = newest_age(first, test.successor, timed["time"])
    columns = {
        "origin": pa.array([at.day] * len(test), pa.date32()),
        "row": np.arange(len(test)),
        "support": pa.array(supported, mask=supported < 0),
        "item_age": pa.array(age, mask=np.isnan(age)),
        "engagements": everybody.engaged_before(test.user, timed["time"]),
    }
    return pa.table({name: pa.array(columns[name]) for name in columns}).cast(CIRCUMSTANCES)


def support(log: TransitionLog, at: AsOf, contexts: NDArray[np.int16]) -> IntArray:
    """(n,) transitions before a moment that came after each context (n, k); -1 for the empty context.

    A context of fewer interests is counted as a table counts it: by the last ones of longer contexts too.
    """
    found = np.full(len(contexts), -1)
    have = (contexts >= 0).sum(axis=1)
    for length in np.unique(have[have > 0]).tolist():
        sums = log.sums(at, UNDECAYED, length)
        codes, place = np.unique(context_codes(sums.contexts), return_inverse=True)
        totals = np.append(np.bincount(place, sums.weight, minlength=len(codes)), 0.0)
        rows = np.flatnonzero(have == length)
        where = positions(codes, context_codes(contexts[rows][:, -length:]))  # -1 = the zero at the end
        found[rows] = np.rint(totals[where]).astype(np.int64)
    return found


def newest_age(
    first: list[NDArray[np.int64]], successor: NDArray[np.int16], times: NDArray[np.int64]
) -> FloatArray:
    """(n,) days since anybody first engaged the newest item that the successor held at that time.

    NaN where nobody had engaged any item of it.
    """
    age = np.full(len(successor), np.nan)
    for interest in np.unique(successor).tolist():
        rows = np.flatnonzero(successor == interest)
        place = np.searchsorted(first[interest], times[rows], side="left") - 1
        seen = place >= 0
        age[rows[seen]] = (times[rows[seen]] - first[interest][place[seen]]) / DAY
    return age
