"""How much of the log the catalogue knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from freshet.stages.events import sql
from freshet.stages.events.snapshots import Snapshot


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many events a log holds, how many are of items in the catalogue, and an item of each alone."""

    events: int
    known: int
    unknown_item: str | None
    catalogue_item: str | None


def overlap(log: Snapshot, items: Path) -> Overlap:
    """Compare a log that holds events with a catalogue (its Parquet file)."""
    with TemporaryDirectory() as scratch, sql.connect(Path(scratch)) as connection:
        connection.execute(f"CREATE TEMP TABLE catalogue AS SELECT item FROM {sql.parquet([items])}")
        counts = f"SELECT item, count(*) AS n FROM {log.scan} GROUP BY item"
        connection.execute(f"CREATE TEMP TABLE log AS {counts}")
        return Overlap(
            *sql.row(
                connection,
                """SELECT sum(n)::BIGINT, coalesce(sum(n) FILTER (item IN (FROM catalogue)), 0)::BIGINT,
                       max_by(item, n) FILTER (item NOT IN (FROM catalogue)),
                       (SELECT min(item) FROM catalogue WHERE item NOT IN (SELECT item FROM log))
                   FROM log""",
            )
        )
