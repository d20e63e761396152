"""How dates such as 03/04/2022 were written in a log's files, so that a later one isn't read otherwise."""

from __future__ import annotations

from pathlib import Path

from freshet.core.errors import ArtifactError
from freshet.stages.events.forms import DAY_FIRST, MONTH_FIRST
from freshet.storage.durable import read_json, write_json


def known(root: Path) -> frozenset[str]:
    """`day-first`, `month-first`: those of the files imported so far.

    Raises:
        ArtifactError: the file that tells is damaged.
    """
    path = _path(root)
    if not path.exists():
        return frozenset()
    found = frozenset(read_json(path))
    if not found <= {DAY_FIRST, MONTH_FIRST}:
        raise ArtifactError(f"{path} is damaged", hint="delete it, and set [events] time_format")
    return found


def note(root: Path, orders: frozenset[str]) -> None:
    """Keep the orders of files that are in the log now."""
    before = known(root)
    if not orders <= before:
        write_json(_path(root), sorted(before | orders))


def _path(root: Path) -> Path:
    return root / "events" / "orders.json"
