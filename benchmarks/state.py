"""What serving's memory costs: bytes per user, and how many events per second become durable.

    python benchmarks/state.py --json
    python benchmarks/state.py --redis        the same beside a Redis server of our own

SIMULATED histories: 1 to 128 items (geometric, mean about 20) and 1 to 60 interests (mean about 8) per user.
Everything is on the disk of `--scratch`.

- `state_bytes_per_user`: pages that the users' histories take in LMDB; `file_bytes_per_user`: the whole file
  after loading, pages to be used again included. `load_users_per_s`: `merge` of histories, sorted by key.
- `events_per_s`: `record` in batches of `--batches`, of random users among all, each batch durable (one
  fsync) before the next; `p50_ms` and `p99_ms` of a batch. The headline is that of 500.
- `raw_per_s`, `ratio_vs_raw`: a bare LMDB loop that writes the same (journal entry, identity, a history of
  mean size) without reading, merging or checking; it and `record` take turns, batch by batch.
- `fsync_ms`: median of 4 KiB written and forced to the same disk.
- `history_us`: median of reading one user's history.
- `redis`: the same with `appendonly yes`, `appendfsync always`; bytes are `used_memory` per user.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb
import numpy as np

from freshet.backends.user_stores.lmdb_store import LmdbUserStore
from freshet.core.ports import UserStore
from freshet.core.types import Fact, History
from shared import parse, parser, tell

NOW = 1_780_000_000_000_000
FILLED = 0.65
"""Share of its pages that a tree of random keys fills."""
BODY = b'{"user":"u0123456789","item":"tt0111161","time":1780000000000000,"value":9.0,"id":"e0123456789",' * 2
"""About as long as an event of the service."""


def main() -> None:
    """Measure and print."""
    options = arguments()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        found = measure(Path(folder), options)
    tell(options, found, lambda: table(found))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """LMDB, the raw loop, and Redis where asked for."""
    rng = np.random.default_rng(options.seed)
    state = LmdbUserStore(folder / "state", 16.0)
    seconds = loaded(state, options.users, rng)
    pages = state._file.bytes_of("users")
    file = (folder / "state" / "data.mdb").stat().st_size
    found: dict[str, Any] = {
        "users": options.users,
        "state_bytes_per_user": round(pages / options.users, 1),
        "file_bytes_per_user": round(file / options.users, 1),
        "load_users_per_s": round(options.users / seconds),
        "history_us": history_us(state, options.users, rng),
        "fsync_ms": fsync_ms(folder),
    }
    with bare(folder / "raw", options.users, int(pages / options.users * FILLED)) as raw:
        batches = recorded(state, options.users, options.batches, options.seconds, rng, raw)
    state.close()
    best = next((one for one in batches if one["batch"] == 500), batches[-1])
    found |= {name: best[name] for name in ("events_per_s", "raw_per_s", "ratio_vs_raw")}
    found |= {"batches": batches}
    if options.redis and shutil.which("redis-server") is None:
        found["redis"] = "left out: there is no redis-server on the path"
    elif options.redis:
        found["redis"] = redis(folder / "redis", options, rng)
    return found | {"seed": options.seed}


def user(number: int) -> bytes:
    """16 bytes that look like a hash."""
    return struct.pack(
        "<QQ", number * 0x9E3779B97F4A7C15 & (2**64 - 1), number * 0xC2B2AE3D27D4EB4F & (2**64 - 1)
    )


def histories(users: int, rng: np.random.Generator) -> Iterator[tuple[bytes, History]]:
    """A history for each user, in the order of keys within blocks, as the log's are not sorted either."""
    for number in range(users):
        items = min(128, int(rng.geometric(1 / 20)))
        interests = min(60, int(rng.geometric(1 / 8)))
        yield (
            user(number),
            History(
                rng.integers(0, 2**63, items).astype(np.uint64),
                np.sort(rng.integers(NOW - 10**14, NOW, items)),
                np.arange(interests, dtype=np.int32),
                rng.integers(NOW - 10**12, NOW, interests),
            ),
        )


def loaded(state: UserStore, users: int, rng: np.random.Generator) -> float:
    """Seconds of loading them, without making them up."""
    seconds, block = 0.0, []
    for number, one in enumerate(histories(users, rng), 1):
        block.append(one)
        if len(block) == 50_000 or number == users:
            start = time.perf_counter()
            state.merge(block)
            seconds += time.perf_counter() - start
            block = []
            print(f"{number:,} of {users:,} users", file=sys.stderr)
    return seconds


def facts(count: int, users: int, rng: np.random.Generator) -> list[Fact]:
    """New engagements of random users."""
    chosen = rng.integers(0, users, count).tolist()
    times = (NOW + rng.integers(0, 10**9, count)).tolist()
    items, interests = rng.integers(0, 2**60, count).tolist(), rng.integers(0, 60, count).tolist()
    return [
        Fact(rng.bytes(16), user(one), items[n], interests[n], times[n], True, BODY)
        for n, one in enumerate(chosen)
    ]


def recorded(
    state: UserStore,
    users: int,
    sizes: list[int],
    seconds: float,
    rng: np.random.Generator,
    raw: Callable[[list[Fact]], None] | None = None,
) -> list[dict[str, Any]]:
    """Durable events per second by batch; a bare loop takes turns, so that both meet the same machine."""
    found = []
    for size in sizes:
        state.record(facts(size, users, rng))
        took: list[float] = []
        beside: list[float] = []
        while sum(took) < seconds:
            made = facts(size, users, rng)
            took.append(timed(lambda made=made: state.record(made)))
            if raw is not None:
                beside.append(timed(lambda made=made: raw(made)))
        one = {"batch": size, **rates(size, took)}
        if beside:
            one["raw_per_s"] = round(size * len(beside) / sum(beside))
            one["ratio_vs_raw"] = round(sum(beside) / sum(took), 2)
        found.append(one)
    return found


def rates(size: int, took: list[float]) -> dict[str, Any]:
    """Per second, and milliseconds of a batch."""
    return {
        "events_per_s": round(size * len(took) / sum(took)),
        "n": len(took),
        "p50_ms": round(1e3 * statistics.median(took), 2),
        "p99_ms": round(1e3 * float(np.quantile(took, 0.99)), 2),
    }


@contextmanager
def bare(folder: Path, users: int, size: int) -> Iterator[Callable[[list[Fact]], None]]:
    """A loop that writes what `record` writes and does nothing else, in a file with as many users."""
    folder.mkdir()
    with lmdb.open(str(folder), map_size=16 << 30, max_dbs=3) as env:
        known, journal, identities = (env.open_db(name) for name in (b"users", b"events", b"identities"))
        for start in range(0, users, 20_000):
            with env.begin(write=True) as txn:
                for key in sorted(user(n) for n in range(start, min(users, start + 20_000))):
                    txn.put(key, b"\1" * size, db=known)
        positions = itertools.count(1)

        def write(made: list[Fact]) -> None:
            with env.begin(write=True) as txn:
                for fact in made:
                    at = struct.pack(">Q", next(positions))
                    txn.put(fact.identity, at, db=identities)
                    txn.put(at, fact.identity + fact.body, db=journal, append=True)
                    txn.put(fact.user, b"\2" * size, db=known)

        yield write


def history_us(state: UserStore, users: int, rng: np.random.Generator) -> float:
    """Microseconds of reading one."""
    keys = [user(int(n)) for n in rng.integers(0, users, 3000)]
    took = [timed(lambda key=key: state.histories([key])) for key in keys]
    return round(1e6 * statistics.median(took), 1)


def fsync_ms(folder: Path) -> float:
    """Milliseconds of the least that durable can mean on this disk."""
    with (folder / "fsync").open("wb") as file:

        def write() -> None:
            file.seek(0)
            file.write(os.urandom(4096))
            file.flush()
            os.fdatasync(file.fileno())

        took = [timed(write) for _ in range(100)]
    return round(1e3 * statistics.median(took), 3)


def redis(folder: Path, options: argparse.Namespace, rng: np.random.Generator) -> dict[str, Any]:
    """The same figures of a Redis server."""
    from freshet.backends.user_stores.redis_store import RedisUserStore

    with running(folder) as url:
        state = RedisUserStore(url)
        client = state._server.client
        before = client.info("memory")["used_memory"]
        seconds = loaded(state, options.redis_users, rng)
        used = client.info("memory")["used_memory"] - before
        found = {
            "users": options.redis_users,
            "state_bytes_per_user": round(used / options.redis_users, 1),
            "load_users_per_s": round(options.redis_users / seconds),
            "history_us": history_us(state, options.redis_users, rng),
            "batches": recorded(state, options.redis_users, options.batches, options.seconds, rng),
        }
        state.close()
    return found


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """A durable Redis server of our own."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kept = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(["redis-server", "--port", str(port), *kept], stdout=subprocess.DEVNULL)
    try:
        time.sleep(1.0)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait()


def timed(call: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def table(found: dict[str, Any]) -> str:
    """A line for each figure."""
    lines = [f"{name:22}{value}" for name, value in found.items() if not isinstance(value, list | dict)]
    lines += [str(one) for one in found["batches"]]
    return "\n".join([*lines, *([f"redis {found['redis']}"] if "redis" in found else [])])


def arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--users", type=int, default=1_000_000)
    made.add_argument("--batches", type=int, nargs="+", default=[1, 100, 500, 2000])
    made.add_argument("--seconds", type=float, default=5.0, help="of recording, for each size of batch")
    made.add_argument("--redis", action="store_true", help="beside a Redis server")
    made.add_argument("--redis-users", type=int, default=100_000)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--scratch", type=Path, help="folder for the files; the system's by default")
    return parse(made, users=2000, batches=[1, 100], seconds=0.1, redis=True, redis_users=500)


if __name__ == "__main__":
    main()
