"""What follows from rows that can't be read any more: files named by content have other names then.

- The log: its snapshot names the days that are left.
- Counts: they name the day files that are left, under the version that they had; the next run sees other
  events on those days, and counts these days again.
- Rows of single users, overlays (which list established users) and refused rows told of many users at once:
  they are gone. Releases serve without the first two; the next refresh makes them again.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from freshet.backends.local_store import LocalStore, write_manifest
from freshet.backups.contents import MANY_USERS
from freshet.core.time import DAY, day_name
from freshet.stages.events import snapshots
from freshet.stages.events.event_days import DayFile
from freshet.stages.transitions.day_files import Filed, Index
from freshet.stages.transitions.format import load_counted, write_counted
from freshet.storage.artifacts import Draft
from freshet.storage.checksums import MANIFEST
from freshet.storage.durable import write_json
from freshet.storage.releases import Releases


@dataclass
class Changed:
    """Files as they were written.

    Attributes:
        days: path in the backup -> day of events as it is now, None where none are left.
        counted: name in the backup -> name as it is now, and its rows.
        files: that can't be read at all.
    """

    days: dict[str, DayFile | None] = field(default_factory=dict)
    counted: dict[str, tuple[str, pa.Table]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    @property
    def lost_files(self) -> tuple[str, ...]:
        return tuple(self.files)


def settle(root: Path, changed: Changed) -> None:
    """Make a workspace consistent in which files are not what they were."""
    _settle_log(root, changed)
    if any(old != new for old, (new, _) in changed.counted.items()):
        _settle_counts(root, changed)
    _settle_rows(root, changed)


def _settle_log(root: Path, changed: Changed) -> None:
    """Let the snapshot name the days as they are, also where only the bytes of a file differ."""
    for number in snapshots.listed(root):
        before = snapshots.read(root, number)
        days = [changed.days.get(day.path.relative_to(root).as_posix(), day) for day in before.days]
        after = snapshots.Snapshot.of([day for day in days if day is not None], before.streams)
        if after != before:
            snapshots.place(root, number).unlink()
            snapshots.commit(root, number, after)


def _settle_counts(root: Path, changed: Changed) -> None:
    sizes = {old: _sizes(new, table) for old, (new, table) in changed.counted.items()}

    def moved(index: Index) -> Index:
        found = {day: sizes[filed.file].get(day) for day, filed in index.items()}
        return {day: filed for day, filed in found.items() if filed is not None}

    store = LocalStore(root)
    for version in store.versions("transitions"):
        folder = root / "transitions" / version
        counted = load_counted(folder)
        after = counted._replace(
            engagements=moved(counted.engagements), transitions=moved(counted.transitions)
        )
        if after == counted:
            continue
        write_counted(after, folder)
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        rest = {key: value for key, value in manifest.items() if key not in ("files", "seal")}
        (folder / MANIFEST).unlink()
        write_manifest("transitions", version, Draft(folder, rest))


def _sizes(name: str, table: pa.Table) -> dict[str, Filed]:
    """Rows of each day of a counted file."""
    numbers, sizes = np.unique(table["time"].to_numpy() // DAY, return_counts=True)
    return {
        day_name(number): Filed(name, size)
        for number, size in zip(numbers.tolist(), sizes.tolist(), strict=True)
    }


def _settle_rows(root: Path, changed: Changed) -> None:
    lost = {path.rsplit("/", 1)[0] for path in changed.files}
    artifacts = {"/".join(path.split("/")[:2]) for path in lost if path.split("/")[0] in MANY_USERS}
    for artifact in artifacts:
        shutil.rmtree(root / artifact, ignore_errors=True)
    releases = Releases(root)
    for number in releases.numbers() if artifacts else ():
        release = releases.get(number)
        after = replace(
            release,
            users="" if f"user_rows/{release.users}" in artifacts else release.users,
            overlay="" if f"overlays/{release.overlay}" in artifacts else release.overlay,
        )
        if after != release:
            write_json(root / "releases" / f"{number}.json", after.as_dict())
