"""A log's moves taken through the bounds, month by month."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from freshet.core.time import DAY
from freshet.core.types import BoolArray
from freshet.stages.screen.bounds import Limits, Running
from freshet.stages.screen.held_back import MOVE, Burst, HeldBack

Moves = NDArray[np.void]
"""Moves of whole days: records with `time`, `user`, `last`, `successor`, and `known`, the number of interests
that the user had before."""


def scan(
    moves: Iterable[tuple[Moves, BoolArray]], interests: int, limits: Limits, trusted: NDArray[np.int64]
) -> HeldBack:
    """Decide which moves count.

    Args:
        moves: parts of a log, each of whole days and later than the one before; with whether each is a new
            user's.
        interests: N.
        trusted: interests at which nothing is held back.
    """
    running, found, bursts, judged = (
        Running(interests, limits, trusted),
        [np.empty(0, MOVE)],
        list[Burst](),
        0,
    )
    for rows, new in moves:
        day = np.asarray(rows["time"] // DAY)
        order = np.argsort(day, kind="stable")
        rows, new, day = rows[order], new[order], day[order]
        # who has the shortest past is held back first, then who came last
        order = np.lexsort((rows["user"], rows["time"], -rows["known"].astype(np.int64), day))
        kept = running.decide(day, rows["last"], rows["successor"], new, order)
        judged += int(new.sum())
        held = np.empty(int((~kept).sum()), MOVE)
        for name in MOVE.names or ():
            held[name] = rows[name][~kept]
        found.append(held)
        bursts.extend(_bursts(rows, day, new, kept, interests))
    everything = np.concatenate(found)
    order = np.lexsort((everything["successor"], everything["time"], everything["user"]))
    return HeldBack(everything[order], tuple(bursts), judged)


def _bursts(
    rows: Moves, day: NDArray[np.int64], new: BoolArray, kept: BoolArray, interests: int
) -> Iterator[Burst]:
    """The day and interest of what was held back, with all that came."""
    code = day * interests + rows["successor"]
    some = np.isin(code, np.unique(code[~kept]))
    which, place = np.unique(code[some], return_inverse=True)
    came, alone = new[some], rows["last"][some] < 0
    parts = (came, ~kept[some], came & alone, ~came)
    columns = [np.bincount(place, weights=part, minlength=len(which)).astype(int).tolist() for part in parts]
    for one, *counted in zip(which.tolist(), *columns, strict=True):
        yield Burst(one // interests, one % interests, *counted)
