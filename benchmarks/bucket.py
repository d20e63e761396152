"""A workspace in a bucket against the same one on the disk: what a refresh takes, and how many requests.

    python benchmarks/bucket.py --json
    python benchmarks/bucket.py --interests 200 --rounds 5 --planner counts

The log is SIMULATED (`freshet.simulator`); the planner is plain counts, or `fake`, which costs nothing: so
what the bucket adds weighs most. The S3 server (SeaweedFS) runs on this machine: its disk and processors are
shared, and there is no network between.

- `local_s`, `bucket_s`: seconds of a `freshet refresh` (a whole process) on the day after the first table's,
  from copies of the same workspace, in turns; the folder of this machine was up to date. Medians, with the
  least and the most; `ratio` is that of the medians, `ratios` of each round.
- `noop_local_s`, `noop_bucket_s`: the same refresh once more, of which nothing is new.
- `cold_s`: `freshet status` on a machine that has never seen the workspace, which brings its small files;
  `warm_s`: once more.
- `requests`: calls of the store by kind, in a refresh, in one of which nothing is new, in a look of a server
  that finds nothing new. Each is one request, larger objects excepted (8 MB a part).
- `push_mb_s`, `fetch_mb_s`: `--mb` in files of 4 MB, written to the bucket and brought from there.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from shared import Show, command, freshet, parse, parser, tell

sys.path.insert(0, str(Path(__file__).parents[1]))

FILE = 4 << 20
SETTINGS = """[events]
files = ["{world}/events.parquet"]
items = "{world}/items.parquet"
positive = "value >= 7"
[interests]
count = {interests}
[planner]
kind = "{planner}"
"""


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--interests", type=int, default=200)
    made.add_argument("--users", type=int, default=2000)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--planner", choices=("counts", "fake"), default="counts")
    made.add_argument("--mb", type=int, default=256)
    options = parse(made, interests=12, users=150, rounds=1, mb=8)
    show = Show()
    with tempfile.TemporaryDirectory() as name, ExitStack() as held:
        from tests.servers import s3_server

        root = Path(name)
        server = held.enter_context(s3_server(root / "s3"))
        server.make_bucket("benchmark")
        os.environ.update(server.env, FRESHET_CACHE=str(root / "cache"))
        tell(options, measure(root, options, show))


def measure(root: Path, options: Any, show: Show) -> dict[str, Any]:
    """Everything, in one pass."""
    shop, first, second = prepare(root, options)
    times: dict[str, list[float]] = {"local": [], "bucket": [], "noop_local": [], "noop_bucket": []}
    for turn in range(options.rounds):
        show.say(f"round {turn + 1} of {options.rounds}")
        local, url = root / f"local-{turn}", f"s3://benchmark/shop-{turn}"
        shutil.copytree(shop, local)
        freshet("copy", shop, url)
        freshet("status", "-w", url, "--json")
        places = [("local", local), ("bucket", url)]
        for kind, place in places if turn % 2 else reversed(places):
            times[kind].append(timed("refresh", "-w", place, "--as-of", second, "--publish", "--json"))
            times[f"noop_{kind}"].append(
                timed("refresh", "-w", place, "--as-of", second, "--publish", "--json")
            )
    cold, url = root / "cold", "s3://benchmark/shop-0"
    seen = [timed("status", "-w", url, "--json", FRESHET_CACHE=str(cold)) for _ in range(2)]
    show.say("requests")
    counted = requests(shop, second)
    pushed, fetched = throughput(root, options.mb)
    ratios = [there / here for here, there in zip(times["local"], times["bucket"], strict=True)]
    return {
        "note": "SIMULATED log; S3 server on the same machine",
        "interests": options.interests,
        "planner": options.planner,
        "load": os.getloadavg()[0],
        **{f"{kind}_s": spread(found) for kind, found in times.items()},
        "ratio": statistics.median(times["bucket"]) / statistics.median(times["local"]),
        "noop_ratio": statistics.median(times["noop_bucket"]) / statistics.median(times["noop_local"]),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "cold_s": seen[0],
        "warm_s": seen[1],
        "requests": counted,
        "push_mb_s": pushed,
        "fetch_mb_s": fetched,
        "first": first,
    }


def prepare(root: Path, options: Any) -> tuple[Path, str, str]:
    """A workspace with a first release; its folder, and the days of that release and of the next."""
    from freshet.simulator import World, generate

    days = 60
    world = World(
        items=max(96, 20 * options.interests),
        users=options.users,
        days=days,
        change_day=days - 10,
        themes=max(8, options.interests // 4),
    )
    generate(world, root / "world")
    shop = root / "shop"
    shop.mkdir()
    settings = SETTINGS.format(world=root / "world", interests=options.interests, planner=options.planner)
    (shop / "freshet.toml").write_text(settings)
    first, second = ((world.start + timedelta(days - gap)).strftime("%Y-%m-%d") for gap in (1, 0))
    freshet("import", "-w", shop)
    freshet("refresh", "-w", shop, "--as-of", first, "--publish")
    return shop, first, second


def timed(*arguments: object, **more: str) -> float:
    """Seconds of a command; 3 = a gate waits is refused, too."""
    start = time.monotonic()
    subprocess.run(command(*arguments), check=True, capture_output=True, env=os.environ | more)
    return time.monotonic() - start


def spread(found: list[float]) -> dict[str, float]:
    return {"median": statistics.median(found), "least": min(found), "most": max(found)}


class Counting:
    """An object store that counts what it is asked."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.counts: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)

        def call(*given: Any) -> Any:
            self.counts[name] += 1
            return found(*given)

        return call


def requests(shop: Path, second: str) -> dict[str, dict[str, int]]:
    """Calls of the store by kind."""
    from freshet import pipeline
    from freshet.core.types import AsOf
    from freshet.wiring import open_workspace
    from freshet.wiring_buckets import check_out

    url = f"s3://benchmark/{uuid4().hex}"
    freshet("copy", shop, url)
    folder = check_out(url)
    ws = open_workspace(folder)
    assert ws.bucket is not None
    counting = Counting(ws.bucket.store)
    ws.bucket.store = counting  # type: ignore[assignment]
    ws.bucket.blobs._store = counting  # type: ignore[assignment]
    found = {}
    for name in ("refresh", "noop_refresh"):
        counting.counts.clear()
        pipeline.refresh(replace(ws), AsOf.parse(second), True)
        found[name] = dict(counting.counts)
    counting.counts.clear()
    counting.tag("INDEX.json")
    return {**found, "look": dict(counting.counts)}


def throughput(root: Path, megabytes: int) -> tuple[float, float]:
    """MB/s written to the bucket, and brought from there."""
    from freshet.backends.object_stores.obstore_store import ObstoreStore
    from freshet.storage.checksums import sha256
    from freshet.storage.remote.blobs import Blobs
    from freshet.storage.remote.bucket_index import Entry

    blobs, folder = Blobs(ObstoreStore("s3://benchmark/speed"), "s3://benchmark/speed"), root / "speed"
    folder.mkdir()
    files = []
    for number in range(max(1, megabytes * (1 << 20) // FILE)):
        path = folder / str(number)
        path.write_bytes(os.urandom(FILE))
        files.append((path, Entry(FILE, sha256(path))))
    moved = len(files) * FILE / 1e6
    start = time.monotonic()
    blobs.send(files)
    middle = time.monotonic()
    blobs.fetch([(entry, root / "fetched" / path.name) for path, entry in files])
    return moved / (middle - start), moved / (time.monotonic() - middle)


if __name__ == "__main__":
    main()
