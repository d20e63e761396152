"""The event log of a workspace: imports add to it, snapshots say what it holds.

Two rows with one identity (the client's id, else user, item and time) are one event. Of rows that differ, the
one with the largest value stays, then the one with the largest other columns: a rule that doesn't depend on
which came first, so that any order of imports gives the same log. A correction is imported with
`replace=True`: the days in the file then hold the file's rows and nothing else.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import duckdb

from freshet.core import config
from freshet.core.ports import SourceStore
from freshet.core.types import AsOf
from freshet.core.urls import Location
from freshet.stages.events import date_forms, first_day, merging, plausibility
from freshet.stages.events.damaged_days import reading
from freshet.stages.events.event_days import DayFile, write_days
from freshet.stages.events.formats import event_source
from freshet.stages.events.message_staging import keep_refused, stage_messages
from freshet.stages.events.plausibility import find_doubts
from freshet.stages.events.quarantine import Refused
from freshet.stages.events.rule import parse
from freshet.stages.events.snapshots import Snapshot, commit, latest
from freshet.stages.events.source_listing import Unread, note_unread
from freshet.stages.events.staging import Staged, Staging, Wanted
from freshet.stages.events.stream_batch import Batch, BatchReport
from freshet.storage import sql
from freshet.storage.durable import make_folder
from freshet.storage.user_ids import people_of

_BATCH = 100_000  # rows held in Python while day files are written


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did; rows_read = added + duplicates + all quarantined.

    Attributes:
        quarantined: reason -> rows.
        notes: what was assumed, and what a person should know.
        days: UTC days the source's events fall on; first and last are their times (UTC, no zone).
        snapshot: version of the log afterwards.
        replaced: rows the log lost to `replace=True`.
        unread: files of the source that were not read, and why.
        layout: name of the published layout that was recognised; '' = of none.
    """

    source: Location
    rows_read: int
    added: int
    duplicates: int
    quarantined: dict[str, int]
    notes: tuple[str, ...]
    days: int
    first: datetime | None
    last: datetime | None
    snapshot: str
    replaced: int = 0
    unread: tuple[Unread, ...] = ()
    layout: str = ""


class EventLog:
    """The events in a workspace folder.

    Args:
        root: the workspace.
        memory_limit: how much memory an import may use before it spills to disk (DuckDB's notation).
        store: of sources in buckets; None where files alone are imported.
    """

    def __init__(self, root: Path, memory_limit: str = "2GB", store: SourceStore | None = None) -> None:
        self.root = root
        self.memory_limit = memory_limit
        self.store = store

    def snapshot(self, as_of: AsOf | None = None) -> Snapshot:
        """What the log holds, or held before `as_of`."""
        return latest(self.root)[1].before(as_of)

    def import_events(
        self,
        source: Location,
        settings: config.Events,
        *,
        now: datetime,
        replace: bool = False,
        keep: Iterable[str] = (),
        refuse: bool = True,
        stored: bool = False,
    ) -> ImportReport:
        """Add a source's events to the log; importing them again changes nothing.

        A source is imported as a whole: where one of its files is refused, nothing of the others enters.

        Args:
            source: file, folder or glob of Parquet, CSV or JSONL, or a published data set (`layouts`); on
                this machine or in a bucket.
            now: the current time, with zone; events more than a day later are quarantined.
            replace: the source's days replace the log's.
            keep: columns to keep beside those that the positive rule reads, where the source has them.
            refuse: whether a file of which no row can be used is an error; its rows are quarantined anyway.
            stored: its user ids are those of the log already, not as they came from outside.

        Raises:
            InputError: the source can't be read as configured, or a file has rows and none can be used.
            StoreUnreachable: the source lies in a bucket that can't be reached; nothing has changed.
            ConfigError: the positive rule, the time zone or the time format is wrong.
            Busy: another import finished meanwhile; nothing has changed.
        """
        people = people_of(self.root)
        people = people.as_stored() if stored else people
        wanted = Wanted(settings, parse(settings.positive), now, frozenset(keep), people,
                        first_day.first_day(self.root))  # fmt: skip
        found = event_source(source, self.store, settings.layout)
        scratch = self.root / ".drafts" / f"import-{uuid4().hex[:8]}"
        make_folder(scratch)
        try:
            with sql.connect_spilling(scratch, self.memory_limit) as connection:
                staging = Staging(connection, wanted, self.root, scratch)
                staged = staging.all(found.files)
                if refuse and staging.refused:
                    raise _first(staging.refused)
                report = self._merge(connection, source, staged, scratch, replace)
                date_forms.keep_orders(self.root, staging.orders)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        said = found.laid_out.notes(source, settings.positive) if found.laid_out else ()
        notes = (*said, *note_unread(source, found.unread, "events"), *report.notes)
        layout = found.laid_out.layout.name if found.laid_out else ""
        return dataclasses.replace(report, notes=notes, unread=found.unread, layout=layout)

    def import_messages(
        self, batch: Batch, settings: config.Events, *, now: datetime, keep: Iterable[str] = ()
    ) -> BatchReport:
        """Add a batch of messages, and how far they go, in one snapshot: both are there or neither.

        Raises:
            StreamMoved: the batch doesn't begin where the log ends; nothing has changed.
            Busy: another import finished meanwhile; nothing has changed.
            ConfigError: the positive rule, the time zone or the time format is wrong.
            InputError: none of many messages can be used; nothing has changed.
        """
        number, before = latest(self.root)
        batch.check(before.streams)
        people = people_of(self.root)
        wanted = Wanted(settings, parse(settings.positive), now, frozenset(keep), people,
                        first_day.first_day(self.root))  # fmt: skip
        scratch = self.root / ".drafts" / f"import-{uuid4().hex[:8]}"
        make_folder(scratch)
        try:
            with sql.connect_spilling(scratch, self.memory_limit) as connection:
                orders = date_forms.known_orders(self.root)
                found = stage_messages(connection, batch.name, batch.messages, batch.most_bytes, wanted,
                                       scratch, orders)  # fmt: skip
                batch.refuse_hopeless(found)
                keep_refused(batch.name, batch.begun, found.kept, self.root / "quarantine")
                merged = self._join(connection, [found.staged] if found.staged else [], scratch, before)
                streams = batch.after(before.streams, merged.added, merged.incoming.rows, len(found.refused))
                after = Snapshot.of(merged.days, streams)
                commit(self.root, number + 1, after)
                if found.order:
                    date_forms.keep_orders(self.root, orders | {found.order})
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return BatchReport(
            read=len(batch.messages),
            added=merged.added,
            duplicates=merged.incoming.rows - merged.added,
            refused=found.reasons,
            notes=found.notes,
            last=merged.incoming.last,
            snapshot=after,
        )

    def _merge(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: Location,
        staged: list[Staged],
        scratch: Path,
        replace: bool,
    ) -> ImportReport:
        """Join the staged rows with the days they touch, and commit what comes out."""
        number, before = latest(self.root)
        merged = self._join(connection, staged, scratch, before, replace)
        incoming = merged.incoming
        after = Snapshot.of(merged.days, before.streams)
        if after != before:
            commit(self.root, number + 1, after)
        notes = _grouped(staged)
        notes += find_doubts(before, after, incoming, sum(one.rows > 0 for one in staged))
        return ImportReport(
            source=source,
            rows_read=sum(one.rows for one in staged),
            added=merged.added,
            duplicates=incoming.rows - merged.added,
            quarantined=_summed([one.quarantined for one in staged]),
            notes=(*notes, *plausibility.note_heavy_user(connection, incoming.query)),
            days=len(incoming.days),
            first=incoming.first,
            last=incoming.last,
            snapshot=after.version,
            replaced=merged.replaced,
        )

    def _join(
        self,
        connection: duckdb.DuckDBPyConnection,
        staged: list[Staged],
        scratch: Path,
        before: Snapshot,
        replace: bool = False,
    ) -> _Joined:
        """Write the days that the staged rows touch; nothing names them yet."""
        if not staged:
            return _Joined(before.days, merging.NOTHING, 0, 0)
        incoming = merging.incoming(connection, [one.path for one in staged])
        touched = incoming.days | merging.days_of_same_ids(connection, incoming, before)
        untouched = [day for day in before.days if day.day not in touched]
        joined = [
            day for day in before.days if day.day in touched and not (replace and day.day in incoming.days)
        ]
        for day in joined:
            day.verify()
        with reading(joined):
            kept = merging.kept(connection, joined, incoming, replace)
            rows = connection.sql(merging.merged(incoming, kept)).to_arrow_reader(_BATCH)
            written = write_days(rows, self.root, scratch)
        return _Joined(
            (*untouched, *written),
            incoming,
            added=sum(day.rows for day in written) - kept.rows,
            replaced=sum(day.rows for day in before.days if day.day in touched) - kept.rows,
        )


@dataclass(frozen=True, slots=True)
class _Joined:
    """The log's days after an import, what came in, and how many rows the log gained and lost by it."""

    days: Sequence[DayFile]
    incoming: merging.Incoming
    added: int
    replaced: int


def _first(found: Sequence[Refused]) -> Refused:
    """The first of several refusals, with how many there are."""
    if len(found) == 1:
        return found[0]
    days = [problem.until for problem in found if problem.until]
    return Refused(
        f"{found[0].message}; {len(found) - 1} other files of the source are refused as well",
        hint=found[0].hint,
        until=max(days, default=None),
    )


def _grouped(staged: list[Staged]) -> list[str]:
    """Notes on files; one in the same words about several files is kept once."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for one in staged:
        for note in one.notes:
            groups.setdefault(note.replace(one.source.name, "", 1), []).append((one.source.name, note))
    return [
        note if len(group) == 1 else note.replace(name, f"{name} and {len(group) - 1} more", 1)
        for group in groups.values()
        for name, note in group[:1]
    ]


def _summed(counts: list[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))
