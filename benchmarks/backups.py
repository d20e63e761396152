"""What backups cost: rows under a key for each user against the Parquet file they come from.

A SIMULATED day of events (user, item, time, value), written as the log writes it, is sealed and opened again;
the keys of its users are looked up among many.

    python benchmarks/backups.py --json

rows_per_second_sealed, rows_per_second_opened   by the median of --runs, per second of CPU time: on a machine
                                                 that does other things as well
ratio                                            bytes of the sealed file by those of the Parquet file
keys_made_seconds, keys_found_seconds            for --known new users, and for those of the day among them
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freshet.backups.sealed_rows import open_sealed, seal
from freshet.core import user_numbers
from freshet.storage.user_keys import UserKeys
from shared import parse, parser, tell


def main() -> None:
    """Measure and tell."""
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), options)
    tell(options, found)


def arguments() -> argparse.Namespace:
    """Sizes; `--quick` for a test."""
    found = parser(__doc__)
    found.add_argument("--rows", type=int, default=1_000_000, help="events of the day")
    found.add_argument("--users", type=int, default=200_000, help="users of the day")
    found.add_argument("--known", type=int, default=5_000_000, help="users that have a key")
    found.add_argument("--runs", type=int, default=5)
    return parse(found, rows=20_000, users=5_000, known=20_000, runs=2)


def measured(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    rng = np.random.default_rng(0)
    keys = UserKeys(folder)
    known = rng.integers(0, 2**63, options.known).astype(np.uint64)
    first = _seconds(lambda: keys.of(known), 1)
    day = _day(rng, options.rows, options.users)
    plain, sealed = folder / "day.parquet", folder / "sealed"
    pq.write_table(day, plain, compression="zstd", store_schema=False)
    numbers = user_numbers.keys(day["user"])
    keys.of(numbers)
    looked_up = _seconds(lambda: keys.of(numbers), options.runs)
    sealing = _seconds(lambda: seal(day, numbers, keys, sealed), options.runs)
    opening = _seconds(lambda: open_sealed(sealed, keys, "day"), options.runs)
    if not open_sealed(sealed, keys, "day").table.equals(pq.read_table(plain).cast(day.schema)):
        raise SystemExit("what was opened is not what was sealed")
    size = plain.stat().st_size / 1e6
    return {
        "rows": options.rows,
        "users": options.users,
        "known": options.known,
        "runs": options.runs,
        "parquet_mb": size,
        "ratio": sealed.stat().st_size / 1e6 / size,
        "rows_per_second_sealed": options.rows / statistics.median(sealing),
        "rows_per_second_opened": options.rows / statistics.median(opening),
        "seal_seconds": sealing,
        "open_seconds": opening,
        "keys_made_seconds": first[0],
        "keys_found_seconds": looked_up,
        "keys_mb": keys.path.stat().st_size / 1e6,
    }


def _day(rng: np.random.Generator, rows: int, users: int) -> pa.Table:
    who = np.sort(rng.zipf(1.3, rows) % users)
    return pa.table(
        {
            "user": pa.array([f"user{one:08d}" for one in who.tolist()], pa.large_string()),
            "item": pa.array([f"item{one:06d}" for one in rng.integers(0, 50_000, rows)], pa.large_string()),
            "time": pa.array(np.sort(rng.integers(0, 86_400_000_000, rows)), pa.timestamp("us")),
            "value": pa.array(rng.integers(1, 11, rows).astype(np.float64)),
            "id": pa.nulls(rows, pa.large_string()),
        }
    )


def _seconds(work: Callable[[], object], runs: int) -> list[float]:
    found = []
    for _ in range(runs):
        start = time.process_time()
        work()
        found.append(round(time.process_time() - start, 3))
    return found


if __name__ == "__main__":
    main()
