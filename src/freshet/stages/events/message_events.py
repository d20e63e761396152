"""Messages of a stream as events for the service: staged as those for the log are, so both read alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from freshet.core import config
from freshet.core.ports import Message
from freshet.stages.events import date_forms, quarantine
from freshet.stages.events.columns import CANONICAL
from freshet.stages.events.message_staging import stage_messages
from freshet.stages.events.rule import parse
from freshet.stages.events.staging import NOT_IN_LOG, Wanted
from freshet.storage import sql
from freshet.storage.durable import make_folder


@dataclass(frozen=True, slots=True)
class PlainEvent:
    """An event as the log would hold it.

    Attributes:
        time: microseconds since 1970 (UTC).
        id: the client's, '' = (user, item, time) is its identity.
        columns: further columns that the positive rule or metrics read.
    """

    user: str
    item: str
    time: int
    value: float
    id: str
    columns: dict[str, str] = field(default_factory=dict)


def read_messages(
    root: Path,
    name: str,
    messages: Sequence[Message],
    settings: config.Events,
    *,
    now: datetime,
    keep: Iterable[str],
    most_bytes: int,
) -> tuple[list[PlainEvent], dict[str, int]]:
    """Events in the order of their messages, and why others are none: reason -> messages.

    Args:
        root: the workspace.
        name: of the stream.
        keep: columns beside those that the positive rule reads.
    """
    wanted = Wanted(settings, parse(settings.positive), now, frozenset(keep))
    drafts = root / ".drafts"
    make_folder(drafts)
    with (
        TemporaryDirectory(prefix="live-", dir=drafts) as scratch,
        sql.connect_spilling(Path(scratch)) as connection,
    ):
        orders = date_forms.known_orders(root)
        found = stage_messages(connection, name, messages, most_bytes, wanted, Path(scratch), orders)
        if found.staged is None:
            return [], found.reasons
        draft = sql.parquet([found.staged.path])
        rows = connection.sql(
            f"""SELECT * REPLACE (epoch_us("time") AS "time") FROM {draft}
                WHERE {sql.name(quarantine.REASON)} IS NULL ORDER BY {sql.name(quarantine.ROW)}"""
        ).to_arrow_table()
    extras = [one for one in rows.column_names if one not in NOT_IN_LOG and one not in CANONICAL]
    return [
        PlainEvent(
            row["user"],
            row["item"],
            row["time"],
            row["value"],
            row["id"] or "",
            {one: row[one] for one in extras if row[one] is not None},
        )
        for row in rows.to_pylist()
    ], found.reasons
