"""What giving a release away takes, and how fast others look rows up in it.

    python benchmarks/export.py --json

SIMULATED: tables of random successors, k = 2, 64 of them a row; every ordered pair has a row. Times are
medians of `--repeats` runs; Redis is one of our own, on this machine, without persistence. Lookups are of
random pairs: in the process (`Table.look_up`), in node from the binary file, and from Redis by one client,
once with one request after the other and once a hundred at a time. Layouts are compared at 200 interests
at most.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import redis

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.backends.user_stores.server import Server

from freshet.backends.export_targets.binary_file import BinaryTarget
from freshet.backends.export_targets.file_places import FolderPlace
from freshet.backends.export_targets.parquet_release import ParquetTarget
from freshet.backends.export_targets.redis_release import RedisTarget
from freshet.core.ports import ExportTarget, GivenRelease, silent
from freshet.core.types import Interests
from freshet.exports.given import given_of
from freshet.stages.table import Table, enumerate_contexts

WIDTH, K, BLOCK = 64, 2, 50_000
ROOT = Path(__file__).parents[1]
NODE = """
import { performance } from "node:perf_hooks";
const { FreshetTable } = await import(process.argv[2]);
const opened = performance.now(), table = new FreshetTable(process.argv[3]), start = performance.now();
const count = Number(process.argv[4]), n = table.ids.length;
let seed = 1;
const draw = () => (seed = (seed * 48271) % 2147483647) % n;
for (let i = 0; i < count; i++) table.lookUp([table.ids[draw()], table.ids[draw()]]);
const end = performance.now();
console.log(JSON.stringify({ open_s: (start - opened) / 1000, per_s: count / ((end - start) / 1000) }));
"""


def make_release(folder: Path, size: int) -> tuple[Table, GivenRelease]:
    """A table of random rows in a folder, and the release of it."""
    rng = np.random.default_rng(size)
    contexts = enumerate_contexts(size, K)
    folder.mkdir()
    np.save(folder / "contexts.npy", contexts)
    rows, width = len(contexts), min(WIDTH, size)
    types = {"successors": np.int16, "planner": np.float32, "count": np.float32, "fused": np.float32}
    out = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, (rows, width))
        for name, kind in types.items()
    }
    for at in range(0, rows, BLOCK):
        some = contexts[at : at + BLOCK]
        start = rng.integers(0, size, len(some), np.int32)[:, None]
        ranked = (start + np.arange(width + K, dtype=np.int32)[None, :]) % size
        own = (ranked[:, :, None] == some[:, None, :]).any(axis=2)
        order = np.argsort(own, axis=1, kind="stable")[:, :width]
        known = np.take_along_axis(own, order, axis=1)
        out["successors"][at : at + BLOCK] = np.where(known, -1, np.take_along_axis(ranked, order, axis=1))
        scores = -np.sort(rng.exponential(2.0, (len(some), width)).astype(np.float32), axis=1)
        for name in ("planner", "count", "fused"):
            out[name][at : at + BLOCK] = scores
    words = [f"interest, number, {i}" for i in range(size)]
    interests = Interests(np.arange(size, dtype=np.int32), tuple(words), np.zeros((size, 1), np.float32))
    items = 20 * size
    place = pa.array(rng.integers(0, size, items), pa.int16())
    assignment = folder / "assignment.parquet"
    pq.write_table(pa.table({"item": [f"item{i}" for i in range(items)], "interest": place}), assignment)
    about = {"number": 1, "as_of": "2024-05-01", "table": "random", "workspace": "benchmark"}
    table = Table(folder, size)
    return table, given_of(table, interests, assignment, about)


def per_second(call: Callable[[], object], seconds: float) -> float:
    """How often a call is made in a second."""
    count, start = 0, time.perf_counter()
    while (taken := time.perf_counter() - start) < seconds:
        call()
        count += 1
    return count / taken


def written(target: ExportTarget, given: GivenRelease, repeats: int) -> dict[str, Any]:
    """Median seconds of an export, with the least and the most, and its bytes."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        found = target.write(given, silent)
        times.append(time.perf_counter() - start)
    return {"s": statistics.median(times), "least_s": min(times), "most_s": max(times), "bytes": found.bytes}


def redis_lookups(client: redis.Redis, size: int, seconds: float) -> dict[str, float]:
    """Lookups per second by one client."""
    spec = importlib.util.spec_from_file_location("redis_lookup", ROOT / "examples" / "redis_lookup.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    at = iter_forever(np.random.default_rng(1).integers(0, size, (10_000, 2)).tolist())
    generation = client.get("{freshet}:current")
    assert isinstance(generation, bytes)

    def hundred() -> None:
        pipeline = client.pipeline(transaction=False)
        for _ in range(100):
            before, last = next(at)
            pipeline.hmget(f"{{freshet:{last}}}:{generation.decode()}", [str(before), ""])
        pipeline.execute()

    one = per_second(lambda: example.look_up(client, next(at)), seconds)
    return {"per_s": one, "pipelined_per_s": 100 * per_second(hundred, seconds)}


def iter_forever(pairs: list[list[int]]) -> Iterator[list[int]]:
    """The pairs again and again."""
    while True:
        yield from pairs


def measure(size: int, scratch: Path, url: str, repeats: int, seconds: float, node: bool) -> dict[str, Any]:
    """All targets for one number of interests."""
    table, given = make_release(scratch / "table", size)
    pairs = iter_forever(np.random.default_rng(1).integers(0, size, (10_000, 2)).tolist())
    place = FolderPlace(scratch / "out")
    found: dict[str, Any] = {"interests": size, "rows": len(given.contexts)}
    found["in_process_per_s"] = per_second(lambda: table.look_up(tuple(next(pairs))), seconds)
    found["binary"] = written(BinaryTarget(place, "table.freshet"), given, repeats)
    if node:
        script = scratch / "look_up.mjs"
        script.write_text(NODE)
        command = [
            "node",
            str(script),
            str(ROOT / "examples" / "freshet_table.mjs"),
            str(scratch / "out/table.freshet"),
        ]
        done = subprocess.run([*command, "200000"], capture_output=True, text=True, check=True)
        found["node"] = json.loads(done.stdout)
    found["parquet"] = written(ParquetTarget(FolderPlace(scratch / "parquet")), given, repeats)
    with closing(redis.Redis.from_url(url)) as client:
        client.flushall()
        before = client.info("memory")["used_memory"]
        found["redis"] = written(RedisTarget(url, "redis", 1), given, 1)
        found["redis"]["memory_mb"] = (client.info("memory")["used_memory"] - before) / 1e6
        found["redis"] |= redis_lookups(client, size, seconds)
        client.flushall()
    shutil.rmtree(scratch / "table")
    return found


def redis_layouts(size: int, scratch: Path, url: str) -> dict[str, dict[str, float]]:
    """Memory and time of three layouts of the same rows in Redis."""
    _, given = make_release(scratch / "layouts", size)
    found: dict[str, dict[str, float]] = {}
    with closing(redis.Redis.from_url(url)) as client:

        def timed(name: str, write: Callable[[], object]) -> None:
            client.flushall()
            before, start = client.info("memory")["used_memory"], time.perf_counter()
            write()
            seconds = time.perf_counter() - start
            found[name] = {"s": seconds, "memory_mb": (client.info("memory")["used_memory"] - before) / 1e6}

        def rows() -> Iterator[tuple[str, list[tuple[int, float]]]]:
            for block in given.blocks():
                for context, some, scores in zip(block.contexts, block.successors, block.scores, strict=True):
                    ok = some >= 0
                    name = ",".join(str(i) for i in context.tolist() if i >= 0)
                    yield name, list(zip(some[ok].tolist(), scores[ok].tolist(), strict=True))

        def each(add: Callable[[Any, str, list[tuple[int, float]]], object]) -> None:
            pipeline = client.pipeline(transaction=False)
            for number, (name, row) in enumerate(rows()):
                add(pipeline, name, row)
                if number % 500 == 499:
                    pipeline.execute()
            pipeline.execute()

        packed = np.dtype([("id", "<i4"), ("score", "<f4")])
        timed(
            "hash per last interest, packed rows", lambda: RedisTarget(url, "redis", 1).write(given, silent)
        )
        timed(
            "string per context, packed rows",
            lambda: each(lambda p, name, row: p.set(f"r:{name}", np.array(row, packed).tobytes())),
        )
        timed(
            "hash per context, field per successor",
            lambda: each(lambda p, name, row: p.hset(f"r:{name}", mapping=dict(row)) if row else None),
        )
        client.flushall()
    shutil.rmtree(scratch / "layouts")
    return found


def parquet_list_bytes(size: int, scratch: Path) -> dict[str, int]:
    """Bytes of the rows with one row per successor, and with lists of them."""
    _, given = make_release(scratch / "lists", size)
    ParquetTarget(FolderPlace(scratch / "long")).write(given, silent)
    (long,) = (scratch / "long").glob("release-*/rows.parquet")
    names, ids, scores = [], [], []
    for block in given.blocks():
        names += [",".join(map(str, one[one >= 0].tolist())) for one in block.contexts]
        ids += [row[row >= 0].tolist() for row in block.successors]
        scores += [row.tolist() for row in block.scores]
    lists = pa.array(ids, pa.list_(pa.int32())), pa.array(scores, pa.list_(pa.float32()))
    table = pa.table({"context": names, "interest": lists[0], "score": lists[1]})
    pq.write_table(table, scratch / "lists.parquet", compression="zstd")
    shutil.rmtree(scratch / "lists")
    return {"row per successor": long.stat().st_size, "lists": (scratch / "lists.parquet").stat().st_size}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="200,1000", help="numbers of interests")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a small table, once")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    sizes = [20] if given.quick else [int(part) for part in given.sizes.split(",")]
    repeats, seconds = (1, 0.05) if given.quick else (given.repeats, 2.0)
    if shutil.which("redis-server") is None:
        raise SystemExit("redis-server is not installed")
    with TemporaryDirectory() as folder, Server(Path(folder) / "redis", "--appendonly", "no") as server:
        scratch = Path(folder)
        found = {
            "simulated": "tables of random successors",
            "load": os.getloadavg()[0],
            "sizes": [
                measure(size, scratch, server.url, repeats, seconds, shutil.which("node") is not None)
                for size in sizes
            ],
            "redis_layouts": redis_layouts(min(sizes[0], 200), scratch, server.url),
            "parquet_list_bytes": parquet_list_bytes(min(sizes[0], 200), scratch),
        }
    if given.json:
        print(json.dumps(found, indent=1))
        return
    for one in found["sizes"]:
        print(json.dumps(one, indent=1))
    print(json.dumps({key: found[key] for key in ("load", "redis_layouts", "parquet_list_bytes")}, indent=1))


if __name__ == "__main__":
    main()
