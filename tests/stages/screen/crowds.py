"""A log of moves in which a campaign, or a premiere, happens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from freshet.core.time import DAY
from freshet.core.types import BoolArray
from freshet.stages.screen import HeldBack, Limits, scan
from freshet.stages.transitions.monthly import MOVE

SIZE, DAYS, START = 8, 60, 20_000
LIMITS = Limits(growth=3.0, chance=3.0, few=2, half_life=7.0)
Log = tuple[NDArray[np.void], BoolArray]
"""Moves in order of their days, and whether each is a new user's."""


def usual(seed: int = 0, established: int = 40, new: int = 10) -> Log:
    """So many moves a day, to all interests alike; an interest before for all but half of the new users."""
    rng = np.random.default_rng(seed)
    parts = []
    for day in range(DAYS):
        parts.append(moves(rng, day, established + new))
        parts[-1]["last"][: new // 2] = -1
    rows = np.concatenate(parts)
    flags = np.tile(np.arange(established + new) < new, DAYS)
    return rows, flags


def moves(rng: np.random.Generator, day: int, count: int, successor: int | None = None) -> NDArray[np.void]:
    """Moves of different users on a day, numbered from its start."""
    rows = np.zeros(count, MOVE)
    rows["time"] = (START + day) * DAY + np.sort(rng.permutation(DAY // 1_000_000)[:count]) * 1_000_000
    rows["user"] = rng.integers(1, 2**63, count)
    rows["last"] = rng.integers(0, SIZE, count)
    rows["successor"] = rng.integers(0, SIZE, count) if successor is None else successor
    rows["known"] = rng.integers(1, 5, count)
    return rows


def crowd(users: int, day: int = DAYS - 1, successor: int = 3, last: int = -1, seed: int = 1) -> Log:
    """New users who come to one interest."""
    rows = moves(np.random.default_rng(seed), day, users, successor)
    rows["last"], rows["known"] = last, 0 if last < 0 else 1
    return rows, np.ones(users, bool)


def joined(*logs: Log) -> Log:
    """Several logs as one."""
    rows, new = (np.concatenate(parts) for parts in zip(*logs, strict=True))
    order = np.argsort(rows["time"] // DAY, kind="stable")
    return rows[order], new[order]


def screened(log: Log, limits: Limits = LIMITS, trusted: tuple[int, ...] = ()) -> HeldBack:
    """What is held back of a log, a part of ten days at a time."""
    rows, new = log
    part = (rows["time"] // DAY - START) // 10
    parts = [(rows[part == one], new[part == one]) for one in np.unique(part)]
    return scan(parts, SIZE, limits, np.array(trusted, np.int64))
