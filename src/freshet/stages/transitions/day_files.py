"""The pool of day files: Parquet named by content, so that equal days are one file.

A day of many rows has a file of its own; the small days of a month share one, since thousands of tiny files
cost more than their content. Which it is follows from the day's number of rows alone, so that the files don't
depend on the order in which days came in. Every file is sorted by (user, time, interest or successor).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.core.errors import ArtifactError
from freshet.core.time import DAY, day_name, day_number
from freshet.core.types import RECENT
from freshet.storage.durable import written

SMALL = 4096
"""Days with fewer rows share a file with the other small days of their month."""

Rows = NDArray[np.void]
"""Engagements or transitions as records."""

ENGAGEMENT = np.dtype([("user", "<u8"), ("time", "<i8"), ("interest", "<i2")])

RECENT_COLUMNS = tuple(f"recent_{i}" for i in range(RECENT, 0, -1))
"""Columns of a transitions file; `recent_1` is the most recent interest, -1 where there was none."""


def transition_type(interests: int) -> np.dtype[np.void]:
    """Records of transitions; `known` holds a bit for each interest, big-endian within a byte."""
    return np.dtype(
        [
            ("user", "<u8"),
            ("time", "<i8"),
            ("successor", "<i2"),
            ("recent", "<i2", (RECENT,)),
            ("known", "u1", ((interests + 7) // 8,)),
        ]
    )


class Filed(NamedTuple):
    """Where a day's rows are: a file of the pool, which may hold other small days too, and their number."""

    file: str
    rows: int


Index = dict[str, Filed]
"""Day -> its rows; a day without rows is absent."""


_AGAIN = "`freshet doctor --repair` moves the artifact aside; the next run counts the log again"


def quoted(path: Path) -> str:
    """A path as an SQL string literal."""
    return "'" + str(path).replace("'", "''") + "'"


def days_of(rows: Rows) -> NDArray[np.int64]:
    """(n,) days since 1970."""
    return np.asarray(rows["time"] // DAY)


def write(pool: Path, kind: str, label: str, rows: Rows) -> str:
    """Store rows, in the order given, under the name of their content; returns the name within the pool."""
    name = f"{kind}/{label}-{_digest(rows)}.parquet"
    few = ["interest"] if rows.dtype == ENGAGEMENT else ["successor", *RECENT_COLUMNS]
    with written(pool / name) as aside:  # over one that is there already, which may be damaged
        pq.write_table(
            _table(rows),
            aside,
            use_dictionary=few,
            column_encoding={"time": "DELTA_BINARY_PACKED"},
            # keys are hashes, and interests are packed to their bits: compressing those gains nothing
            compression={"known": "lz4", **dict.fromkeys(["user_key", "time", *few], "none")},
            write_statistics=["time"],
        )
    return name


def read(path: Path, chosen: Callable[[NDArray[np.uint64]], NDArray[np.int64]] | None = None) -> Rows:
    """Rows of a pool file.

    Args:
        chosen: (n,) users of the rows, ascending -> which rows to keep, ascending; None = all.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    table = read_columns(path)
    try:
        users = table["user_key"].to_numpy()
        if users.dtype != np.uint64:  # compiled code would look for what is no number for ever
            raise ValueError("user_key holds no keys of users")
        return _rows(table if chosen is None else table.take(chosen(users)))
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise ArtifactError(f"{path} is damaged: {error}", hint=_AGAIN) from None


def _rows(table: pa.Table) -> Rows:
    """Raises KeyError, ValueError or the like where columns are missing, twice there, or of another type."""
    names = set(table.column_names)
    if "interest" in names:
        rows = np.empty(len(table), ENGAGEMENT)
        rows["interest"] = table["interest"].to_numpy()
    else:
        known = packed(table["known"])
        rows = np.empty(len(table), transition_type(8 * known.shape[1]))
        rows["known"] = known
        rows["successor"] = table["successor"].to_numpy()
        for place, name in enumerate(RECENT_COLUMNS):
            rows["recent"][:, place] = table[name].to_numpy()
    rows["user"], rows["time"] = table["user_key"].to_numpy(), table["time"].to_numpy()
    return rows


def read_columns(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Some columns of a pool file; errors as `read`."""
    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns=columns, use_threads=False)
    except FileNotFoundError:
        problem = "is missing"
    except (pa.ArrowException, OSError, KeyError) as error:
        problem = f"is damaged: {error}"
    raise ArtifactError(f"{path} {problem}", hint=_AGAIN)


def packed(known: pa.ChunkedArray) -> NDArray[np.uint8]:
    """(n, bytes) bits of the `known` column."""
    width = known.type.byte_width
    parts = [
        np.frombuffer(chunk.buffers()[1], np.uint8).reshape(-1, width)[chunk.offset :][: len(chunk)]
        for chunk in known.chunks
        if len(chunk)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, width), np.uint8)


def intact(path: Path) -> bool:
    """Whether a pool file holds the content it is named by; False too where it can't be read."""
    try:
        rows = read(path)
    except ArtifactError:
        return False
    return path.stem.endswith(f"-{_digest(rows)}")


def load(pool: Path, index: Mapping[str, Filed], day: str) -> Rows | None:
    """One day's rows, None for a day without any."""
    if day not in index:
        return None
    rows = read(pool / index[day].file)
    return rows if len(rows) == index[day].rows else rows[days_of(rows) == day_number(day)]


def files(pool: Path, index: Mapping[str, Filed], days: Collection[str] | None = None) -> list[Path]:
    """The files that hold the given days, or all; each once, in order of their first day."""
    names = {filed.file: None for day, filed in sorted(index.items()) if days is None or day in days}
    return [pool / name for name in names]


def split_by_day(rows: Rows) -> Iterator[tuple[str, Rows]]:
    """One part per day, in order of days; each keeps the order of its rows."""
    if not len(rows):
        return
    days = days_of(rows)
    first, last = int(days.min()), int(days.max())
    # of narrow numbers numpy's stable sort is one by digits, many times as fast
    order = np.argsort((days - first).astype(np.min_scalar_type(last - first)), kind="stable")
    days = days[order]
    starts = np.flatnonzero(np.diff(days, prepend=first - 1))
    for number, part in zip(days[starts].tolist(), np.split(order, starts[1:]), strict=True):
        yield day_name(number), rows.take(part)


def file_day(pool: Path, kind: str, day: str, rows: Rows) -> Filed | Rows:
    """File a day that has a file of its own; return the rows of a small one, for `update_index`."""
    return rows if len(rows) < SMALL else Filed(write(pool, kind, day, rows), len(rows))


def update_index(
    pool: Path, kind: str, before: Index, changed: Iterable[tuple[str, Filed | Rows]], gone: Collection[str]
) -> Index:
    """The index after some days changed.

    Args:
        before: what was filed.
        changed: days in ascending order, as `file_day` left them; a day may have become empty.
        gone: days to drop.
    """
    shared: dict[str, dict[str, Filed]] = defaultdict(dict)
    for day, filed in before.items():
        if filed.rows < SMALL:
            shared[day[:7]][day] = filed
    after = {day: filed for day, filed in before.items() if day not in gone}
    dropped = {day[:7] for day in gone if day in before and before[day].rows < SMALL}
    for month, part in groupby(changed, key=lambda found: found[0][:7]):
        small: dict[str, Rows] = {}
        for day, found in part:
            after.pop(day, None)
            if isinstance(found, Filed):
                after[day] = found
                small[day] = np.empty(0, ENGAGEMENT)[:0]  # no longer among the small ones
            else:
                small[day] = found
        dropped.discard(month)
        _update_shared(pool, kind, month, shared[month], small, gone, after)
    for month in sorted(dropped):
        _update_shared(pool, kind, month, shared[month], {}, gone, after)
    return after


def _update_shared(
    pool: Path,
    kind: str,
    month: str,
    before: Mapping[str, Filed],
    changed: Mapping[str, Rows],
    gone: Collection[str],
    after: Index,
) -> None:
    """Bring the shared file of a month's small days up to date, and their entries in `after`."""
    new = {day: rows for day, rows in changed.items() if len(rows)}
    stale = before.keys() & (changed.keys() | set(gone))
    if not new and not stale:
        return
    held = {day: filed for day, filed in before.items() if day not in stale}
    parts = list(new.values())
    if held:
        rows = read(pool / next(iter(held.values())).file)
        numbers = [day_number(day) for day in held]
        parts.append(rows[np.isin(days_of(rows), numbers)])
    if not parts:
        return
    name = write(pool, kind, month, merge_rows(parts))
    for day in held.keys() | new.keys():
        after[day] = Filed(name, len(new[day]) if day in new else held[day].rows)


def merge_rows(parts: Sequence[Rows]) -> Rows:
    """Rows of parts that share no (user, day) and are each in the order of files, in that order."""
    if len(parts) == 1:
        return parts[0]
    rows = np.concatenate(parts)
    return rows.take(np.lexsort((rows["time"], rows["user"])))  # stable: rows of one step come from one part


def _digest(rows: Rows) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows).view(np.uint8).data).hexdigest()[:32]


def _table(rows: Rows) -> pa.Table:
    def column(name: str) -> Any:
        return np.ascontiguousarray(rows[name])

    columns = {"user_key": column("user"), "time": column("time")}
    if rows.dtype == ENGAGEMENT:
        columns["interest"] = column("interest")
    else:
        columns["successor"] = column("successor")
        columns |= dict(zip(RECENT_COLUMNS, np.ascontiguousarray(rows["recent"].T), strict=True))
        known = column("known")
        bits = pa.py_buffer(known)
        columns["known"] = pa.Array.from_buffers(pa.binary(known.shape[1]), len(rows), [None, bits])
    arrays = {name: pa.array(column) for name, column in columns.items()}
    # a column without nulls needs no levels, which cost more than small numbers do
    fields = [pa.field(name, array.type, nullable=False) for name, array in arrays.items()]
    return pa.table(list(arrays.values()), schema=pa.schema(fields))
