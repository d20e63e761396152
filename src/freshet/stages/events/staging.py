"""From one source file to one draft: rows in the log's columns, each fine or with the reason it isn't."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from freshet.core import config
from freshet.core.urls import Location
from freshet.stages.events import quarantine, raw_rows
from freshet.stages.events.clocks import FOREVER, Clock, choose_clock
from freshet.stages.events.columns import EventColumns, event_columns
from freshet.stages.events.date_forms import Undecided, known_orders
from freshet.stages.events.first_day import TOO_OLD
from freshet.stages.events.formats import SourceFile
from freshet.stages.events.id_columns import Id, with_ids
from freshet.stages.events.rule import Rule
from freshet.stages.events.source_tables import (
    ROW,
    Table,
    forget_rejects,
    open_table,
    refuse_lines,
    rejects,
    unreadable,
)
from freshet.storage import sql
from freshet.storage import user_ids as persons
from freshet.storage.user_ids import NOBODY, People

_ZONELESS, _TRUTH = "freshet zoneless", "freshet truth"
_NONE = sql.texts([word.lower() for word in config.MISSING])
NOT_IN_LOG = frozenset({quarantine.REASON, quarantine.ROW, quarantine.RAW, _ZONELESS, _TRUTH})
"""Columns of a draft that say what became of a row; they don't enter the log."""


@dataclass(frozen=True, slots=True)
class Staged:
    """One staged file.

    Attributes:
        name: of the file.
        path: Parquet draft; good rows have no reason.
        rows: rows in the file, unreadable ones included.
        quarantined: reason -> rows.
        notes: what was assumed about the file.
        source: the file.
        advice: what to do if its times are wrong.
        order: `day-first` or `month-first`, where its dates are one of them, else ''.
        shown: rows may be shown to a person, and kept in quarantine as they are.
    """

    path: Path
    rows: int
    quarantined: dict[str, int]
    notes: tuple[str, ...]
    source: Location
    advice: str
    order: str
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """What every file of an import is read for.

    Attributes:
        settings: [events].
        rule: the positive rule, whose columns are kept.
        now: events more than a day after this moment (with zone) are in the future.
        keep: columns to keep beside those that the rule reads, where the file has them.
        people: by which names users enter, and who is refused.
        first: events before this day are refused; None = none is.
    """

    settings: config.Events
    rule: Rule
    now: datetime
    keep: frozenset[str] = frozenset()
    people: People = NOBODY
    first: date | None = None


def stage(
    connection: duckdb.DuckDBPyConnection,
    file: SourceFile,
    wanted: Wanted,
    draft: Path,
    orders: frozenset[str] = frozenset(),
) -> Staged:
    """Read `file` once into the Parquet file `draft`, with a reason for every row that can't be used.

    Args:
        orders: `day-first`, `month-first`: how dates of the log's other files are written.

    Raises:
        InputError: the file is damaged, lacks a column, or its times can be read in several ways.
    """
    with TemporaryDirectory(dir=draft.parent) as scratch, file.content.reporting():
        table = open_table(connection, file, Path(scratch), wanted.settings.encoding)
        as_laid_out = replace(wanted, settings=file.reading.applied(wanted.settings))
        return stage_table(connection, table, as_laid_out, draft, orders)


def stage_table(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    wanted: Wanted,
    draft: Path,
    orders: frozenset[str],
) -> Staged:
    """`stage` of what is a table already."""
    settings, rule, now = wanted.settings, wanted.rule, wanted.now
    if not table.columns:
        refuse_lines(connection, table)
        table = _no_rows(table, settings.columns, rule)
    columns = event_columns(table, settings.columns, rule, wanted.keep)
    named = {"user": columns.user, "item": columns.item, **({"event": columns.id} if columns.id else {})}
    known, ids = with_ids(table, named, settings.missing)
    try:
        times = choose_clock(connection, table, columns.times, settings, now, orders)
        persons.add_table(connection, wanted.people)
        query = _with_reasons(known, columns, ids, times, wanted)
        forget_rejects(connection)
        connection.execute(f"COPY ({query}) TO {sql.text(str(draft))} (FORMAT parquet)")
        rows, quarantined, zoneless, truths = _counted(connection, draft)
        if table.in_columns and quarantined and not wanted.people.hashed:
            raw_rows.add(connection, table, draft)
    except duckdb.Error as error:
        raise unreadable(table.path, error) from None
    notes = [*table.notes, *columns.notes, *times.notes]
    if rows == 0:
        notes.append(f"{table.path.name} holds no events")
    if zoneless:
        notes.append(f"{table.path.name}: {zoneless} times carry no zone, read as {settings.timezone}")
    if truths:
        notes.append(f"{table.path.name}: {truths} values are true or false, read as 1 or 0")
    return Staged(draft, rows, quarantined, tuple(notes), table.path, times.advice, times.order,
                  shown=not wanted.people.hashed)  # fmt: skip


def _value(given: str) -> str:
    """SQL: a value as a number; true is 1 and false is 0. Digits in groups (1_000) are no number."""
    return f"""CASE lower(trim({given})) WHEN 'true' THEN 1.0 WHEN 'false' THEN 0.0
        ELSE CASE WHEN NOT contains({given}, '_') THEN TRY_CAST({given} AS DOUBLE) END END + 0.0"""  # no -0.0


def _with_reasons(
    table: Table, columns: EventColumns, ids: dict[str, Id], times: Clock, wanted: Wanted
) -> str:
    """SQL: the canonical columns, then reason (NULL if fine), row number and raw row of what is not."""
    people, now = wanted.people, wanted.now
    given = f"CAST({sql.name(columns.value)} AS VARCHAR)" if columns.value else "NULL"
    # As a blank cell is: whether a gap is NaN, NULL or nothing is up to the tool that wrote the file.
    given = f"CASE WHEN NOT list_contains({_NONE}, lower(trim({given}))) THEN {given} END"
    value = _value(given) if columns.value else "CAST(1 AS DOUBLE)"
    event = ids.get("event")
    latest = (now.astimezone(UTC) + timedelta(days=1)).replace(tzinfo=None).isoformat(sep=" ")
    parts = {
        # a word for none is none, or all events with it would be one
        "id": f"CASE WHEN NOT {event.missing} THEN {event.id} END" if event else "CAST(NULL AS VARCHAR)",
        "user": people.stored_sql(ids["user"].id),
        "gone": people.refuses_sql(ids["user"].id, f"({times.time})"),
        "item": ids["item"].id,
        "time": times.time,
        "value": value,
        "stated time": f"CAST({sql.name(times.column)} AS VARCHAR)",
        "stated value": given,
        "zoneless": times.zoneless,
    }
    inner = ", ".join(f"{expression} AS {_own(part)}" for part, expression in parts.items())
    extras = "".join(
        f", CAST({sql.name(source)} AS VARCHAR) AS {sql.name(name)}"
        for name, source in columns.extras.items()
    )
    reason = f"""CASE
        WHEN {_own("gone")} THEN {sql.text(persons.FORGOTTEN)}
        {_too_old(times, wanted.first)}
        WHEN {table.broken} THEN {sql.text(quarantine.UNREADABLE_ROW)}
        WHEN {table.repeated} THEN {sql.text(quarantine.REPEATED_HEADER)}
        WHEN {ids["user"].missing} THEN 'missing user'
        WHEN {ids["item"].missing} THEN 'missing item'
        {" ".join(one.problems for one in ids.values())}
        WHEN coalesce(trim({_own("stated time")}), '') = '' THEN 'missing time'
        WHEN {_own("time")} IS NULL THEN 'unreadable time'
        WHEN {_own("time")} < TIMESTAMP '{FOREVER}' THEN 'time before {FOREVER.year}'
        WHEN {_own("time")} < TIMESTAMP '{times.earliest}' THEN 'time before {times.earliest.year}'
        WHEN {_own("time")} > TIMESTAMP {sql.text(latest)} THEN 'time in the future'
        WHEN trim({_own("stated value")}) <> '' AND NOT coalesce(isfinite({_own("value")}), false)
            THEN 'value is not a number'
        END"""
    canonical = ", ".join(
        f"{_own(part)} AS {sql.name(part)}" for part in ("id", "user", "item", "time", "value")
    )
    raw = f"CASE WHEN {_own('reason')} IS NOT NULL THEN {table.raw} END"
    if table.in_columns or people.hashed:  # a row holds the id as it came
        raw = "CAST(NULL AS VARCHAR)"  # until it is known which rows need it: `raw_rows`
    rows = f"SELECT *, {reason} AS {_own('reason')} FROM (SELECT *, {inner} FROM ({table.query}))"
    return f"""SELECT {canonical}{extras},
        {_own("reason")} AS {sql.name(quarantine.REASON)},
        {sql.name(ROW)} AS {sql.name(quarantine.ROW)},
        {raw} AS {sql.name(quarantine.RAW)},
        {_own("zoneless")} AND {_own("reason")} IS NULL AS {sql.name(_ZONELESS)},
        coalesce(lower(trim({_own("stated value")})) IN ('true', 'false'), false)
            AND {_own("reason")} IS NULL AS {sql.name(_TRUTH)}
        FROM ({rows})"""


def _too_old(times: Clock, first: date | None) -> str:
    """SQL: the case of an event before the first day that is kept; an impossible time has its own reason."""
    if first is None:
        return ""
    time = _own("time")
    return f"""WHEN {time} >= TIMESTAMP '{times.earliest}' AND {time} < TIMESTAMP '{first}'
            THEN {sql.text(TOO_OLD)}"""


def _own(part: str) -> str:
    """A name no source column has."""
    return sql.name(f"freshet {part}")


def _counted(connection: duckdb.DuckDBPyConnection, draft: Path) -> tuple[int, dict[str, int], int, int]:
    """(rows, reason -> quarantined rows, times without zone, truth values), lines without fields included."""
    reason = sql.name(quarantine.REASON)
    found = connection.sql(
        f"""SELECT {reason}, count(*), count_if({sql.name(_ZONELESS)}), count_if({sql.name(_TRUTH)})
            FROM {sql.parquet([draft])} GROUP BY ALL
            UNION ALL SELECT {sql.text(quarantine.UNREADABLE_ROW)}, count(*), 0, 0
            FROM ({rejects(connection)}) HAVING count(*) > 0"""
    ).fetchall()
    quarantined: dict[str, int] = {}
    for why, count, *_ in found:
        if why is not None:
            quarantined[str(why)] = quarantined.get(str(why), 0) + int(count)
    rows, zoneless, truths = (sum(int(row[place]) for row in found) for place in (1, 2, 3))
    return rows, dict(sorted(quarantined.items())), zoneless, truths


def _no_rows(table: Table, wanted: config.Columns, rule: Rule) -> Table:
    """An empty table of the right columns, for a file without lines."""
    names = (wanted.user, wanted.item, wanted.time, wanted.value, wanted.id, *sorted(rule.columns))
    columns = dict.fromkeys({name.lower(): name for name in names if name}.values(), "VARCHAR")
    nulls = ", ".join(f"CAST(NULL AS VARCHAR) AS {sql.name(name)}" for name in columns)
    query = f"SELECT {nulls}, CAST(NULL AS BIGINT) AS {sql.name(ROW)} WHERE false"
    return Table(table.path, query, columns, "false", "''")


class Staging:
    """The files of a source, each staged once.

    Attributes:
        orders: how dates such as 03/04/2022 are written in these files and those imported before.
        refused: what is wrong with files of which no row can be used.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, wanted: Wanted, root: Path, scratch: Path
    ) -> None:
        self.connection = connection
        self.wanted = wanted
        self.root = root
        self.scratch = scratch
        self.orders = known_orders(root)
        self.refused: list[quarantine.Refused] = []

    def all(self, files: Sequence[SourceFile]) -> list[Staged]:
        """Stage all files; last those whose dates are ambiguous; they follow the others."""
        found: dict[SourceFile, Staged] = {}
        for file in files:
            with suppress(Undecided):
                found[file] = self._one(file, len(found))
        for file in files:
            if file not in found:
                found[file] = self._one(file, len(found))
        return [found[file] for file in files]

    def _one(self, file: SourceFile, number: int) -> Staged:
        draft = self.scratch / f"{number:06d}.parquet"
        staged = stage(self.connection, file, self.wanted, draft, self.orders)
        quarantine.keep(self.connection, sql.parquet([draft]), file.path, self.root / "quarantine",
                        shown=staged.shown)  # fmt: skip
        problem = quarantine.refused(self.connection, staged)
        if problem is not None:
            self.refused.append(problem)
            return staged
        if staged.order:
            self.orders |= {staged.order}
        note = quarantine.note_quarantined(self.connection, staged)
        return replace(staged, notes=(*staged.notes, note)) if note else staged
