"""Day files: all events of one UTC day, sorted, immutable, named by a checksum of their content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freshet.core.errors import ArtifactError
from freshet.core.time import DAY, date_of
from freshet.stages.events.parquet_files import COMPRESSION, Checksum, checksum_of
from freshet.storage.checksums import remembered, wrote
from freshet.storage.durable import make_folder, sync_all
from freshet.storage.permissions import narrow

_ROW_GROUP = 1 << 17


@dataclass(frozen=True, slots=True)
class DayFile:
    """The events of one UTC day; `checksum` is of their content, `size` in bytes is of the file."""

    day: date
    path: Path
    rows: int
    checksum: str
    size: int

    def check(self) -> None:
        """Look at the file's size, which shows what a crash can leave, without reading it.

        Raises:
            ArtifactError: the file is missing, or was cut off.
        """
        size = self.path.stat().st_size if self.path.is_file() else -1
        if size != self.size:
            raise self._damaged("missing" if size < 0 else f"{size:,} bytes long, not {self.size:,}")

    def verify(self) -> None:
        """Read the file, once per process while it doesn't change, and compare its checksum.

        Raises:
            ArtifactError: the file is missing or damaged.
        """
        self.check()
        try:
            found = remembered(self.path, checksum_of)
        except (OSError, ValueError) as error:  # Arrow's own errors are these
            raise self._damaged(f"unreadable: {error}") from None
        if found != self.checksum:
            raise self._damaged("damaged: its checksum differs")

    def _damaged(self, how: str) -> ArtifactError:
        return ArtifactError(
            f"{self.path} is {how}",
            hint=f"restore it, or `freshet import --replace` a file with all events of {self.day}",
        )


def day_path(root: Path, day: date, checksum: str) -> Path:
    """Where a day file is kept."""
    return root / "events" / f"date={day.isoformat()}" / f"{checksum}.parquet"


def write_days(rows: pa.RecordBatchReader, root: Path, scratch: Path) -> list[DayFile]:
    """Write a stream of events, sorted by day, to one file for each day, a row group at a time.

    Args:
        rows: batches with a `time` column (UTC microseconds); text columns are large strings.
        root: workspace.
        scratch: folder on the same disk for the file being written.
    """
    written = [
        _write_day(root, scratch, rows.schema, date_of(day * DAY), map(itemgetter(1), pieces))
        for day, pieces in groupby(_by_day(rows), key=itemgetter(0))
    ]
    sync_all(day.path for day in written)  # nothing names them before the caller's commit
    for day in written:
        wrote(day.path, checksum_of, day.checksum)
    return written


def _by_day(rows: pa.RecordBatchReader) -> Iterator[tuple[int, pa.Table]]:
    """Pieces of one day each: (days since 1970, rows)."""
    for batch in rows:
        days = batch.column("time").view(pa.int64()).to_numpy() // DAY  # (rows,)
        cuts = np.flatnonzero(np.diff(days)) + 1
        if len(days):
            for start, end in pairwise([0, *cuts.tolist(), len(days)]):
                yield int(days[start]), pa.Table.from_batches([batch.slice(start, end - start)])


def _write_day(
    root: Path, scratch: Path, schema: pa.Schema, day: date, pieces: Iterable[pa.Table]
) -> DayFile:
    aside = scratch / "day.parquet"
    content, rows = Checksum(schema), 0
    with pq.ParquetWriter(aside, schema, compression=COMPRESSION, store_schema=False) as writer:
        for group in _row_groups(pieces):
            content.update(group)
            writer.write_table(group)
            rows += group.num_rows
    checksum = content.hexdigest()
    path = day_path(root, day, checksum)
    kept = DayFile(day, path, rows, checksum, path.stat().st_size if path.exists() else -1)
    if kept.size >= 0 and _is_whole(kept):
        aside.unlink()  # a snapshot may name the one that is there, by its very length
        return kept
    size = aside.stat().st_size
    make_folder(path.parent, synced=False)  # `sync_all` does it, once for all days
    narrow(aside)
    aside.replace(path)  # over one that is there already, which is damaged
    return DayFile(day, path, rows, checksum, size)


def _is_whole(day: DayFile) -> bool:
    try:
        day.verify()
    except ArtifactError:
        return False
    return True


def _row_groups(pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in groups of fixed size, so that bytes don't depend on how the pieces were cut."""
    pending: list[pa.Table] = []
    for piece in pieces:
        pending.append(piece)
        while sum(table.num_rows for table in pending) >= _ROW_GROUP:
            joined = pa.concat_tables(pending)
            yield joined.slice(0, _ROW_GROUP).combine_chunks()
            pending = [joined.slice(_ROW_GROUP)]
    rest = pa.concat_tables(pending)
    if rest.num_rows:
        yield rest.combine_chunks()
