"""The event log: snapshots, the day files they name, the quarantine. Nothing here is ever deleted that may be
the only copy of what was imported."""

from __future__ import annotations

from collections.abc import Iterator

from freshet.core.errors import ArtifactError, WrongFormat
from freshet.doctor.finding import Finding, damaged, leftover
from freshet.stages.events import quarantine, snapshots
from freshet.storage.workspace import Workspace


def find(ws: Workspace) -> Iterator[Finding]:
    """Damaged snapshots, damaged days of the newest whole one, day files nobody names, damaged quarantine."""
    root = ws.root
    newest = None
    named: set[str] = set()
    sound = not (root / "damaged" / "events").exists()  # what is set aside may name files
    for number in reversed(snapshots.listed(root)):
        path = snapshots.place(root, number)
        try:
            snapshot = snapshots.read(root, number)
        except WrongFormat as error:
            sound = False
            where = path.relative_to(root).as_posix()
            yield Finding("log of another Freshet", where, f"{error.message}: {error.hint}", "", True)
            continue
        except ArtifactError as error:
            sound = False
            yield damaged(
                "damaged snapshot of the log", root, path,
                f"{error.message}; the log falls back to the one before: import the files since again",
            )  # fmt: skip
            continue
        newest = newest or snapshot
        named |= {str(day.path) for day in snapshot.days}
    for day in newest.days if newest else ():
        try:
            day.verify()
        except ArtifactError as error:
            where = day.path.relative_to(root).as_posix()
            means = f"{error.message}: the {day.rows:,} events of {day.day} can't be read; {error.hint}"
            yield Finding("damaged day of events", where, means, "", True)
    if sound:
        for path in sorted((root / "events").glob("date=*/*.parquet")):
            if str(path) not in named:
                yield leftover(
                    "unneeded day of events",
                    root,
                    path,
                    "an import died before it named this file; repeat it",
                )
    for path in sorted((root / "quarantine").glob("*.parquet")):
        if not quarantine.is_whole(path):
            yield damaged(
                "damaged quarantine file",
                root,
                path,
                "importing its source again writes the refused rows again",
            )
