"""The frame of evaluated transitions as arrays: all arms' scores of the same transitions in one order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from freshet.core.errors import ArtifactError, NotEnoughData
from freshet.core.types import FloatArray

TOP = 10
"""Interests of a ranking that the frame keeps."""
NONE = -1
"""Where an interest or a rank is missing."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """How one arm ranked n transitions; fields as in `frames.JUDGED`, -1 or NaN where it has a null.

    Attributes:
        top: (n, 10) interests, padded with -1 at the end.
    """

    made: Ints
    rank: Ints
    rank_any: Ints
    nll: FloatArray
    p_top: FloatArray
    top: Ints
    planner_rank: Ints
    planner_nll: FloatArray
    planner_top1: Ints
    evidence_top1: Ints
    bare_top1: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """n transitions in order of (user, origin, row), and how every arm ranked them.

    Attributes:
        user: (n,) 0 .. users-1, ascending.
        starts: (users,) first transition of each user.
        origin, day: (n,) days since 1970-01-01; `row`: (n,) number after its origin.
        length: (n,) 0, 1 or 2 recent interests.
        interests: N.
    """

    user: Ints
    starts: Ints
    origin: Ints
    row: Ints
    day: Ints
    length: Ints
    successor: Ints
    interests: int
    arms: Mapping[str, Scored]

    def __len__(self) -> int:
        return len(self.user)


def align(frame: pa.Table, interests: int) -> Aligned:
    """Lay the arms of a frame side by side; see `frames.JUDGED`.

    Raises:
        NotEnoughData: nothing was judged.
        ArtifactError: two arms didn't rank the same transitions.
    """
    if not len(frame):
        raise NotEnoughData(
            "the replay judged no transition", hint="choose a period in which people took up new interests"
        )
    names = frame["arm"].cast(pa.string())
    parts = {name: _ordered(frame.filter(pc.equal(names, name))) for name in names.unique().to_pylist()}
    first, shared = next(iter(parts.items()))
    for name, part in parts.items():
        _same(first, shared, name, part)
    keys = shared["user"].to_numpy()
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    return Aligned(
        np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(keys)])),
        starts,
        _days(shared["origin"]),
        _ints(shared["row"]),
        _days(shared["day"]),
        np.clip(_ints(shared["length"]), 0, 2),
        _ints(shared["successor"]),
        interests,
        {name: _scored(part) for name, part in parts.items()},
    )


def _ordered(part: pa.Table) -> pa.Table:
    """In order of (user, origin, row), however the rows came."""
    order = np.lexsort((_ints(part["row"]), _days(part["origin"]), part["user"].to_numpy()))
    return part.take(pa.array(order)).combine_chunks()


def _same(first: str, shared: pa.Table, name: str, part: pa.Table) -> None:
    columns = ("user", "origin", "row", "day", "successor")
    if len(part) != len(shared) or any(not part[c].equals(shared[c]) for c in columns):
        raise ArtifactError(
            f"judged: arm {name} has {len(part):,} transitions, not the same {len(shared):,} as {first}",
            hint="move the replay's folder aside and run it again: all arms judge the same transitions",
        )


def _scored(part: pa.Table) -> Scored:
    return Scored(
        _days(part["made"]),
        _ints(part["rank"]),
        _ints(part["rank_any"]),
        _floats(part["nll"]),
        _floats(part["p_top"]),
        _padded(part["top"].combine_chunks()),
        _ints(part["planner_rank"]),
        _floats(part["planner_nll"]),
        _ints(part["planner_top1"]),
        _ints(part["evidence_top1"]),
        _ints(part["bare_top1"]),
    )


def _padded(lists: pa.ListArray) -> Ints:
    """(n, 10) the first ten of every list."""
    length = np.asarray(pc.list_value_length(lists).fill_null(0)).astype(np.int64)
    flat = np.asarray(lists.flatten()).astype(np.int64)
    ends = np.cumsum(length)
    row = np.repeat(np.arange(len(length)), length)
    place = np.arange(len(flat)) - np.repeat(ends - length, length)
    top = np.full((len(length), TOP), NONE, np.int64)
    kept = place < TOP
    top[row[kept], place[kept]] = flat[kept]
    return top


def _ints(column: pa.ChunkedArray) -> Ints:
    return np.asarray(column.cast(pa.int64()).fill_null(NONE))


def _floats(column: pa.ChunkedArray) -> FloatArray:
    return np.asarray(column.cast(pa.float64()).fill_null(np.nan))


def _days(column: pa.ChunkedArray) -> Ints:
    return np.asarray(column.cast(pa.date32()).cast(pa.int32())).astype(np.int64)
