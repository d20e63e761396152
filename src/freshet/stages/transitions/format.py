"""`days.json`: which day files hold the engagements and transitions of each day of an artifact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from freshet.core.errors import ArtifactError
from freshet.core.safe_names import checked_path
from freshet.core.time import day_name, day_number
from freshet.stages.transitions.day_files import (
    Filed,
    Index,
)
from freshet.storage.sound_reading import OTHERWISE

FORMAT = 2
"""Raise when the meaning of day files changes, so that all days are done again."""


class Counted(NamedTuple):
    """Content of `days.json`.

    Attributes:
        sources: day -> name of its event file, which stands for the content.
        engagements: day -> where they are filed.
        transitions: day -> where they are filed.
    """

    sources: dict[str, str]
    engagements: Index
    transitions: Index


def load_counted(folder: Path) -> Counted:
    """What `count` wrote.

    Raises:
        ArtifactError: `days.json` is missing, damaged, or of another version of Freshet.
    """
    path = folder / "days.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise KeyError(f"format {FORMAT}")
        engaged, transitions = (
            {day_name(day_number(day)): _filed(*filed) for day, filed in content[part].items()}
            for part in ("engagements", "transitions")
        )
        return Counted(content["sources"], engaged, transitions)
    except OTHERWISE as error:
        raise ArtifactError(
            f"{path} can't be read: {error}",
            hint="`freshet doctor --repair` moves the artifact aside; the next run counts the log again",
        ) from None


def referenced(folder: Path) -> set[str]:
    """Names, within the pool, of the files that a count needs; the others are garbage."""
    counted = load_counted(folder)
    return {filed.file for filed in [*counted.engagements.values(), *counted.transitions.values()]}


def count_of(folder: Path) -> tuple[int, int]:
    """Days with engagements, and transitions, of a count."""
    counted = load_counted(folder)
    return len(counted.engagements), sum(filed.rows for filed in counted.transitions.values())


def _filed(file: str, rows: int) -> Filed:
    return Filed(checked_path(file, "file of counted days"), rows)


def write_counted(counted: Counted, folder: Path) -> None:
    """Write `days.json` into the folder of an artifact."""
    content = {"format": FORMAT, **counted._asdict()}
    (folder / "days.json").write_text(json.dumps(content, indent=0, sort_keys=True))
