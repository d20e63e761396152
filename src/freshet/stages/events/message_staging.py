"""Messages of a stream as staged rows: by the rules of files, each for itself, whatever else is in its batch.

A message is one JSON object. What is no text, too large or no object goes to quarantine, and so does a row
that a file's row would go there for: with partition and offset beside the reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from freshet.core.errors import InputError
from freshet.core.ports import Message
from freshet.stages.events import quarantine
from freshet.stages.events.columns import event_columns, named_columns
from freshet.stages.events.first_day import ON_PURPOSE
from freshet.stages.events.parquet_files import checksum, write_parquet
from freshet.stages.events.source_tables import Table, json_lines
from freshet.stages.events.staging import Staged, Wanted, stage_table
from freshet.storage import sql

TOMBSTONE, TOO_LARGE, NOT_UTF8, EMPTY = "no body (tombstone)", "too large", "not UTF-8", "empty"
CONTROL = "control characters"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_ENDS = re.compile(r"[\r\n]")
_SHOWN = 10_000
"""Characters of a message in quarantine that is too large or no text; the whole one is at the server."""

_TO_PARTITION = pa.schema(
    [
        ("row", pa.int64()),
        ("line", pa.int64()),
        ("reason", pa.large_string()),
        ("raw", pa.large_string()),
        ("stream", pa.large_string()),
        ("partition", pa.large_string()),
        ("offset", pa.large_string()),
    ]
)
"""Of a quarantine file: columns as for a file's rows, and where the message is; `row` and `line` are NULL."""


@dataclass(frozen=True, slots=True)
class StagedMessages:
    """A batch, staged.

    Attributes:
        staged: the draft of the rows; None where no message is a row.
        refused: messages and why, in their order.
        notes: what was assumed.
        order: `day-first` or `month-first`, where dates are one of them, else ''.
        shown: messages may be shown to a person.
    """

    staged: Staged | None
    refused: Sequence[tuple[Message, str, str]]
    notes: tuple[str, ...] = ()
    order: str = ""
    shown: bool = True

    @property
    def kept(self) -> list[tuple[Message, str, str]]:
        """What goes to quarantine: nothing of what is refused on purpose, nor ids that are to be hashed."""
        rest = [one for one in self.refused if one[1] not in ON_PURPOSE]
        return rest if self.shown else [(message, why, "") for message, why, _ in rest]

    @property
    def reasons(self) -> dict[str, int]:
        """Reason -> messages."""
        return dict(sorted(Counter(why for _, why, _ in self.refused).items()))


def stage_messages(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    messages: Sequence[Message],
    most_bytes: int,
    wanted: Wanted,
    scratch: Path,
    orders: frozenset[str],
) -> StagedMessages:
    """Stage a batch.

    Args:
        name: of the stream, for notes and errors.
        most_bytes: larger bodies are refused.
        scratch: folder for the lines and the draft, which must stay while the draft is read.
        orders: as for files.
    """
    lines: list[str] = []
    rows: list[Message] = []
    refused: list[tuple[Message, str, str]] = []
    for message in messages:
        line, why = _line(message, most_bytes)
        if why:
            refused.append((message, why, line))
        else:
            rows.append(message)
            lines.append(line)
    shown = not wanted.people.hashed
    if not rows:
        return StagedMessages(None, refused, shown=shown)
    path = scratch / "messages.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    draft = scratch / "messages.parquet"
    settings = wanted.settings
    try:
        keys = named_columns(settings.columns, wanted.rule, wanted.keep)
        table = json_lines(connection, path, Path(name), keys)
        table = _complete(table, wanted)
        staged = stage_table(connection, table, wanted, draft, orders)
    except InputError as error:  # one reading for all of them can't be had
        why = error.message.replace(f"{name}: ", "")
        return StagedMessages(None, [*refused, *zip(rows, [why] * len(rows), lines, strict=True)],
                              shown=shown)  # fmt: skip
    if staged.rows != len(rows):  # or a row's number would not be that of its message
        raise InputError(f"{name}: {len(rows):,} messages were read as {staged.rows:,} rows")
    bad = connection.sql(
        f"""SELECT {sql.name(quarantine.ROW)}, {sql.name(quarantine.REASON)} FROM {sql.parquet([draft])}
            WHERE {sql.name(quarantine.REASON)} IS NOT NULL ORDER BY 1"""
    ).fetchall()
    refused += [(rows[row - 1], str(why), lines[row - 1]) for row, why in bad]
    return StagedMessages(staged, refused, staged.notes, staged.order, shown)


def _line(message: Message, most_bytes: int) -> tuple[str, str]:
    """(the message as one line of text, '') or (what there is of it, why it can't be one)."""
    body = message.body
    if body is None:
        return "", message.why_not or TOMBSTONE
    try:
        text = body.decode("utf-8-sig")
        why = message.why_not
    except UnicodeDecodeError:
        text, why = body.decode("utf-8", "backslashreplace"), message.why_not or NOT_UTF8
    if len(body) > most_bytes:
        why = TOO_LARGE
    elif not why and not text.strip():
        why = EMPTY
    elif not why and _CONTROL.search(text):
        why = CONTROL
    return (text[:_SHOWN] if why else _ENDS.sub(" ", text)), why  # JSON has line ends between tokens only


def _complete(table: Table, wanted: Wanted) -> Table:
    """The table with all columns that are read, so that what a message lacks is its own affair.

    A message without a value has the value 1, as an event that is sent to the service.
    """
    columns = dict(table.columns)
    settings = wanted.settings.columns
    plain = {name.lower().replace("_", "") for name in columns}
    lacking: list[str] = []
    for part in ("user", "item", "time", "value", "id"):
        name = str(getattr(settings, part))
        known = named_columns(settings, wanted.rule, frozenset(), part)
        if name and not plain & known and table.find(name) is None:
            lacking.append(name)
    lacking += [
        name
        for name in sorted(wanted.rule.columns)
        if name.lower() not in ("user", "item", "time", "value", "id")
        and table.find(name) is None
        and name not in lacking
    ]
    nulls = "".join(f", CAST(NULL AS VARCHAR) AS {sql.name(name)}" for name in lacking)
    table = replace(
        table,
        query=f"SELECT *{nulls} FROM ({table.query})",
        columns=columns | dict.fromkeys(lacking, "VARCHAR"),
    )
    found = event_columns(table, settings, wanted.rule, wanted.keep)
    if found.value:
        value = sql.name(found.value)
        table = replace(
            table, query=f"SELECT * REPLACE (coalesce({value}, '1') AS {value}) FROM ({table.query})"
        )
    return table


def keep_refused(
    name: str,
    begun: Mapping[str, str | None],
    refused: Sequence[tuple[Message, str, str]],
    into: Path,
) -> list[Path]:
    """Write the refused messages of a batch, a file for each partition, named by where the batch begins.

    A batch that was cut short begins there again: what it left is replaced, so no message is there twice.

    Args:
        begun: partition -> position at which the batch begins, for all partitions of the batch.
    """
    found = []
    for partition, position in begun.items():
        prefix = "stream-" + re.sub(r"[^\w.]+", "_", f"{name} {partition} {position or 'start'}") + "-"
        left = {path for path in into.glob(f"{prefix}*.parquet") if "-" not in path.stem[len(prefix) :]}
        mine = [one for one in refused if one[0].partition == partition]
        if mine:
            content = {
                "row": [None] * len(mine),
                "line": [None] * len(mine),
                "reason": [why for _, why, _ in mine],
                "raw": [raw for _, _, raw in mine],
                "stream": [name] * len(mine),
                "partition": [partition] * len(mine),
                "offset": [message.offset for message, _, _ in mine],
            }
            table = pa.table(content, _TO_PARTITION)
            path = into / f"{prefix}{checksum(table)}.parquet"
            write_parquet(table, path)
            found.append(path)
            left.discard(path)
        for path in left:
            path.unlink()
    return found
