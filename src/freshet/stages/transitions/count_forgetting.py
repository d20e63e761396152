"""Takes users out of counted days. What a user adds to a count depends on that user alone, so leaving out
their rows gives what counting the log without them gives: the same files under the same names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.core.time import day_name
from freshet.stages.transitions.day_files import (
    Filed,
    Index,
    Rows,
    days_of,
    file_day,
    files,
    load,
    read_columns,
    update_index,
)
from freshet.stages.transitions.format import Counted, load_counted, write_counted


def without_users(
    counted: Path, pool: Path, users: NDArray[np.uint64], renamed: Mapping[str, str], into: Path
) -> int | None:
    """Write a count without some users; returns how many transitions went, None where nothing changes.

    Args:
        counted: folder of the count.
        users: by number.
        renamed: name of an event file -> that of the day without these users, '' = the day is gone.
        into: folder of the new `days.json`; it must be there.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    before = load_counted(counted)
    sources = {day: renamed.get(name, name) for day, name in before.sources.items()}
    sources = {day: name for day, name in sources.items() if name}
    gone = before.sources.keys() - sources.keys()
    engagements = _left(pool, "engagements", before.engagements, users, gone)
    transitions = _left(pool, "transitions", before.transitions, users, gone)
    after = Counted(sources, engagements, transitions)
    if after == before:
        return None
    write_counted(after, into)
    return _rows(before.transitions) - _rows(transitions)


def _left(pool: Path, kind: str, index: Index, users: NDArray[np.uint64], gone: Collection[str]) -> Index:
    changed: list[tuple[str, Filed | Rows]] = []
    for day in sorted(_days_of(pool, index, users) - set(gone)):
        rows = load(pool, index, day)
        assert rows is not None  # it holds one of these users
        changed.append((day, file_day(pool, kind, day, rows[~np.isin(rows["user"], users)])))
    return update_index(pool, kind, index, changed, gone) if changed or gone else index


def _days_of(pool: Path, index: Index, users: NDArray[np.uint64]) -> set[str]:
    """Days on which any of these users has a row."""
    found: set[str] = set()
    for path in files(pool, index):
        table = read_columns(path, ["user_key", "time"])
        hit = np.isin(table["user_key"].to_numpy(), users)
        if hit.any():
            rows = np.zeros(int(hit.sum()), [("time", "<i8")])
            rows["time"] = table["time"].to_numpy()[hit]
            name = path.relative_to(pool).as_posix()
            days = {day_name(int(number)) for number in np.unique(days_of(rows))}
            found |= {day for day in days if day in index and index[day].file == name}
    return found


def _rows(index: Index) -> int:
    return sum(filed.rows for filed in index.values())
