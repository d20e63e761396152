"""Whole days of a count, month by month, for what has to see a log in order without holding it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.core.time import DAY, day_number
from freshet.stages.transitions.day_files import Index, files, packed, read_columns

MOVE = np.dtype([("time", "<i8"), ("user", "<u8"), ("last", "<i2"), ("successor", "<i2"), ("known", "<i2")])
"""A transition; `known` is the number of interests that the user had within H days before."""

COLUMNS = {"time": "time", "user_key": "user", "recent_1": "last", "successor": "successor"}


def moves(pool: Path, index: Index) -> Iterator[NDArray[np.void]]:
    """Transitions as `MOVE`, a month at a time."""
    for _, days in groupby(sorted(index), key=lambda day: day[:7]):
        own, parts = {day: index[day] for day in days}, []
        numbers = [day_number(day) for day in own]
        for path in files(pool, own):
            table = read_columns(path, [*COLUMNS, "known"])
            rows = np.empty(len(table), MOVE)
            for column, name in COLUMNS.items():
                rows[name] = table[column].to_numpy()
            rows["known"] = np.bitwise_count(packed(table["known"])).sum(axis=1)
            parts.append(rows[np.isin(rows["time"] // DAY, numbers)])
        yield np.concatenate(parts)


def engaged(pool: Path, index: Index) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    """(users, days since 1970) of engagements, a file at a time."""
    numbers = [day_number(day) for day in index]
    for path in files(pool, index):
        table = read_columns(path, ["user_key", "time"])
        days = table["time"].to_numpy() // DAY
        held = np.isin(days, numbers)
        yield table["user_key"].to_numpy()[held], days[held]
