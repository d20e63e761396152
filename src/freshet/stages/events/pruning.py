"""Forgets states of the log that later ones have replaced: a stream makes one with every batch."""

from __future__ import annotations

import time
from pathlib import Path

from freshet.core.errors import ArtifactError
from freshet.stages.events import snapshots

NEWEST = 20
"""So many snapshots stay whatever their age: the log falls back to the one before a damaged one."""


def prune(root: Path, hours: float) -> int:
    """Delete older snapshots than the newest, and day files that no snapshot names any more.

    Only what is older than `hours` goes: who began to read it may still be reading. Call it under the lease.

    Returns:
        how many snapshots went; files go with them. None while a snapshot is damaged: it may name any file.
    """
    latest_kept = time.time() - hours * 3600
    numbers = snapshots.listed(root)
    old = [n for n in numbers[:-NEWEST] if snapshots.place(root, n).stat().st_mtime < latest_kept]
    if not old or (root / "damaged" / "events").exists():
        return 0
    try:
        named = {day.path for n in numbers if n not in set(old) for day in snapshots.read(root, n).days}
        gone = {day.path for n in old for day in snapshots.read(root, n).days} - named
    except ArtifactError:
        return 0
    for number in old:  # first: what they name may then go in any order
        snapshots.place(root, number).unlink(missing_ok=True)
    for path in gone:
        if path.exists() and path.stat().st_mtime < latest_kept:
            path.unlink()
    return len(old)
