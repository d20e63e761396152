"""Transitions without those of some users: what one side of an experiment may know."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.core.time import day_name
from freshet.core.types import BoolArray
from freshet.stages.transitions.day_files import Filed, days_of, read, write
from freshet.stages.transitions.days import FORMAT, load_counted

Kept = Callable[[NDArray[np.uint64], NDArray[np.int64]], BoolArray]
"""(n,) users by number, (n,) times in microseconds since 1970 -> whether each transition stays."""


def without(counted: Path, pool: Path, kept: Kept, since: str, into: Path) -> int:
    """Write the artifact of the transitions that stay; files of days before `since` (ISO) are shared.

    Args:
        counted: folder of what `count` wrote; `into` is that of the new artifact.
        pool: folder of the day files.

    Returns:
        How many transitions were left out.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    before = load_counted(counted)
    after = dict(before.transitions)
    left_out = 0
    for name in sorted({filed.file for day, filed in after.items() if day >= since}):
        days = {day for day, filed in after.items() if filed.file == name}
        rows = read(pool / name)
        rows = rows[np.isin(days_of(rows), [np.datetime64(day).astype(np.int64) for day in days])]
        own = rows[kept(rows["user"], rows["time"])]
        if len(own) == len(rows):
            continue
        left_out += len(rows) - len(own)
        found = write(pool, "transitions", Path(name).name.rpartition("-")[0], own)
        numbers, sizes = np.unique(days_of(own), return_counts=True)
        after = {day: filed for day, filed in after.items() if day not in days}
        after |= {
            day_name(number): Filed(found, size)
            for number, size in zip(numbers.tolist(), sizes.tolist(), strict=True)
        }
    content = {
        "format": FORMAT,
        "sources": before.sources,
        "engagements": before.engagements,
        "transitions": after,
    }
    (into / "days.json").write_text(json.dumps(content, indent=0, sort_keys=True))
    return left_out
