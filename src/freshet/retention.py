"""Drops data that is older than `[retention]` says: whole days, whole files, whole records.

Counts of days that leave the log leave with the next refresh, which counts the days that are left; artifacts
made before keep what they hold until `freshet gc` drops them. Replays can't go back before the first day.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from freshet.core.errors import ArtifactError, Busy
from freshet.experiments.measurement import impression_files
from freshet.stages.events import EventLog, first_day
from freshet.stages.events.log_forgetting import drop_days
from freshet.stages.events.refused_rows import QUARANTINE
from freshet.storage import run_log
from freshet.storage.ledger import Record
from freshet.storage.secrets import PRIVACY, RECEIPTS
from freshet.storage.workspace import Workspace

NEWEST_RUNS = 50
"""So many records stay whatever their age: commands look at the last ones."""
_OPEN = ("running", "waiting", "pending")


@dataclass(frozen=True, slots=True)
class Dropped:
    """What went: events, and files or records of each other kind.

    Attributes:
        notes: what a person should know, such as that too little would be left.
    """

    events: int = 0
    impressions: int = 0
    quarantine: int = 0
    runs: int = 0
    receipts: int = 0
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        counts = {name: count for name, count in asdict(self).items() if name != "notes" and count}
        return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "nothing"


COMMAND = "retention"
"""By which the ledger knows it."""


def retain(ws: Workspace, now: datetime) -> Dropped | None:
    """`apply` as a run of the ledger; None where `[retention]` keeps everything.

    Raises:
        Busy: another run is writing.
    """
    if not any(ws.config.retention.model_dump().values()):
        return None
    with ws.run(COMMAND) as run, run.step(COMMAND) as step:
        done = apply(ws, now)
        step.details = asdict(done)
        for note in done.notes:
            run.say(f"  note: {note}")
        run.record.release = ws.releases.pointer()
    return done


AGAIN = timedelta(hours=6)
"""What failed beside the runs of a scheduler is tried again after so long."""


def retain_daily(ws: Workspace, now: datetime) -> None:
    """`retain` unless it was done on this day (UTC), or failed within hours.

    Where another run is writing, the next call tries again.
    """
    if not any(ws.config.retention.model_dump().values()):
        return
    today = now.astimezone(UTC).date().isoformat()
    mine = (one for one in _of_day(ws, today) if one.command == COMMAND)
    if not any(one.outcome == "done" or one.failed_since(now - AGAIN) for one in mine):
        with suppress(Busy):
            retain(ws, now)


def _of_day(ws: Workspace, day: str) -> Iterator[Record]:
    """Records of runs that began on a day (ISO) or later, from the newest."""
    for path in reversed(ws.ledger.paths()):
        try:
            record = ws.ledger.get(path.stem)
        except ArtifactError:
            continue
        if record.started[:10] < day:
            return
        yield record


def apply(ws: Workspace, now: datetime) -> Dropped:
    """Drop what is too old; call it under the lease. Doing it again changes nothing.

    Days of events and impressions are counted back from the last day of the log, so a log that gets nothing
    new loses nothing more; files and records by the clock.

    Args:
        now: the current time, with zone.

    Raises:
        ArtifactError: the newest snapshot of the log is damaged.
    """
    wanted, notes = ws.config.retention, list[str]()
    days = EventLog(ws.source).snapshot().days
    last = days[-1].day if days else now.astimezone(UTC).date()
    events = impressions = 0
    first_day.lift(ws.source, wanted.events_days)
    if wanted.events_days and days:
        first = last - timedelta(days=wanted.events_days - 1)
        first_day.keep(ws.source, first, wanted.events_days)
        events = drop_days(ws.source, first)
        if events and ws.config.transitions.novelty_days == "ever":
            notes.append(
                'with [transitions] novelty_days = "ever", interests that were engaged only before '
                f"{first} are new to their users again"
            )
    if wanted.impressions_days:
        impressions = _drop_impressions(ws.source, last - timedelta(days=wanted.impressions_days - 1))
    return Dropped(
        events,
        impressions,
        _drop_files(ws.source / QUARANTINE, wanted.quarantine_days, now),
        _drop_runs(ws, wanted.runs_days, now),
        _drop_files(ws.root / PRIVACY / RECEIPTS, wanted.receipts_days, now),
        tuple(notes),
    )


def _drop_impressions(source: Path, first: date) -> int:
    readable, _ = impression_files.files(source, last=first - timedelta(days=1))
    for one in readable:
        one.path.unlink(missing_ok=True)
    return len(readable)


def _drop_files(folder: Path, days: int, now: datetime) -> int:
    """By when they were written."""
    if not days:
        return 0
    oldest = (now - timedelta(days=days)).timestamp()
    gone = [path for path in folder.glob("[!.]*") if path.is_file() and path.stat().st_mtime < oldest]
    for path in gone:
        path.unlink(missing_ok=True)
    return len(gone)


def _drop_runs(ws: Workspace, days: int, now: datetime) -> int:
    """Records that nobody waits for, and that tell of no artifact that is there; and old tracebacks.

    What a run said goes by its own age, also of a run whose record stays.
    """
    if not days:
        return 0
    oldest = now - timedelta(days=days)
    gone = 0
    for path in ws.ledger.paths()[:-NEWEST_RUNS]:
        try:
            record = ws.ledger.get(path.stem)
        except ArtifactError:
            continue  # `freshet doctor` tells of it
        if _ended(record) < oldest and record.outcome not in _OPEN and not _needed(ws, record):
            path.unlink(missing_ok=True)
            gone += 1
    _drop_files(ws.root / run_log.FOLDER, days, now)
    for path in ws.ledger.folder.glob("error-*.txt"):
        if path.stat().st_mtime < oldest.timestamp():
            path.unlink(missing_ok=True)
            gone += 1
    return gone


def _ended(record: Record) -> datetime:
    return datetime.fromisoformat(record.started) + timedelta(seconds=record.seconds)


def _needed(ws: Workspace, record: Record) -> bool:
    """Whether a release, or a model that may be approved or trained on, goes back to it."""
    named = [step.artifact for step in record.steps if step.artifact and not step.cached]
    there = any((ws.root / artifact).exists() for artifact in named)
    return there or record.release in ws.releases.numbers()
