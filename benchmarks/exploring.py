"""Pages of the dashboard that explore: milliseconds and bytes each, and the search among many items.

    python benchmarks/exploring.py --work wide               # 1,000 interests; made where it is not there yet
    python benchmarks/exploring.py --quick

Everything is SIMULATED. Pages are made in this process, as the dashboard's own process makes them: the first
time after a release, and then again and again. Wall-clock time depends on what else the machine does;
processor time hardly does. The aims: below 200 ms and 300 kB with 1,000 interests.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared import Show, folder, parse, parser, tell

PAGES = {
    "playground": "playground",
    "playground, 5 liked": "playground?liked={liked}&q=the",
    "search of items": "playground/items?q=the",
    "interests": "interests",
    "search of interests": "interests?q=snow",
    "one interest": "interests/{interest}",
    "over time": "interests/{interest}/over-time",
    "chart of popularity": "interests/{interest}/popularity.svg",
    "chart of successors": "interests/{interest}/successors.svg",
    "context of two": "contexts?first={other}&last={interest}",
    "reports": "reports",
}
AIM_MS, AIM_BYTES = 200.0, 300_000
SEARCHES = ("the", "zz", "night garden", "a", "item0000")
SETTINGS = """[events]
files = ["world/events.parquet"]
items = "world/items.parquet"
positive = "value >= 7"
[interests]
count = {interests}
[counts]
fit_windows = 2
[planner]
kind = "counts"
[ranker]
use = true
max_steps = 1
"""


def main() -> None:
    """Measure, and say what is missed."""
    made = parser(__doc__)
    made.add_argument("--work", type=Path, help="the workspace, made where there is none")
    made.add_argument("--interests", type=int, default=1000)
    made.add_argument("--items", type=int, default=20_000)
    made.add_argument("--users", type=int, default=6_000)
    made.add_argument("--searched", type=int, default=500_000, help="items of the search")
    made.add_argument("--repeats", type=int, default=15)
    options = parse(made, interests=8, items=96, users=150, searched=2_000, repeats=2)
    with folder(options.work) as root:
        if not (root / "freshet.toml").exists():
            build(root, options.interests, options.items, options.users)
        if not (root / "CURRENT").exists():
            publish(root)
        load = os.getloadavg()[0]
        found = {
            "note": "SIMULATED; pages made in one process, milliseconds of wall clock and of processor",
            "load": round(load, 1),
            **asyncio.run(pages(root, options.repeats)),
            "search": searches(options.searched, options.repeats),
        }
    tell(options, found)


def build(root: Path, interests: int, items: int, users: int) -> None:
    """A workspace with so many interests."""
    from freshet.simulator import World, generate

    say = Show().say
    say(f"simulating {items:,} items and {users:,} users")
    world = World(themes=min(48, interests), items=items, users=users, days=56, change_day=40, sessions=10)
    generate(world, root / "world")
    (root / "freshet.toml").write_text(SETTINGS.format(interests=interests))


def publish(root: Path) -> None:
    """A release as of the end of the log."""
    from freshet import operations, pipeline
    from freshet.wiring import open_workspace

    ws = open_workspace(root)
    Show().say("importing, and refreshing")
    operations.import_log(ws, datetime(2025, 1, 1, tzinfo=UTC))
    pipeline.refresh(ws, None, publish=True)


async def pages(root: Path, repeats: int, *, warmed: bool = False) -> dict[str, Any]:
    """Each page the first time, and then its median.

    Args:
        warmed: pages were made before, as the dashboard's process does by itself; `warming_ms` says how long.
    """
    import httpx

    from freshet.dashboard.dashboard_app import Access, make_app
    from freshet.dashboard.sessions import Sessions
    from freshet.dashboard.warming import warm
    from freshet.dashboard.workspace_view import WorkspaceView
    from freshet.http.api_keys import Keyring

    view = WorkspaceView(root)
    opened = view.explorer.release().opened
    liked = "%0A".join(line.id for line in view.explorer.release().items().search("", 5).lines)
    names = {
        "interest": int(opened.interests.ids[0]),
        "other": int(opened.interests.ids[1]),
        "liked": liked,
    }
    # a view of its own: the first page opens the release
    shown, begin = WorkspaceView(root), time.perf_counter()
    if warmed:
        warm(shown)
    warming = (time.perf_counter() - begin) * 1e3
    app = make_app(shown, Access(Keyring(root), Sessions(b"benchmark")))
    found: dict[str, Any] = {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        for name, path in PAGES.items():
            target = f"/dashboard/{path.format(**names)}"
            walls, cpus, size = [], [], 0
            for _ in range(1 + repeats):
                wall, cpu = time.perf_counter(), time.process_time()
                reply = await client.get(target)
                cpus.append((time.process_time() - cpu) * 1e3)
                walls.append((time.perf_counter() - wall) * 1e3)
                reply.raise_for_status()
                size = len(reply.content)
            found[name] = {
                "first_ms": round(walls[0], 1),
                "median_ms": round(statistics.median(walls[1:]), 1),
                "worst_ms": round(max(walls[1:]), 1),
                "first_cpu_ms": round(cpus[0], 1),
                "median_cpu_ms": round(statistics.median(cpus[1:]), 1),
                "bytes": size,
            }
    missed = [name for name, one in found.items() if one["median_ms"] > AIM_MS or one["bytes"] > AIM_BYTES]
    told = {"interests": len(opened.interests), "n": repeats, "pages": found, "aims_missed": missed}
    return told | ({"warming_ms": round(warming, 1)} if warmed else {})


def searches(items: int, repeats: int) -> dict[str, Any]:
    """The search among made-up titles of four words each."""
    import numpy as np
    import pyarrow as pa

    from freshet.core.types import Interests
    from freshet.inspect.item_lookup import ItemLookup

    draw = random.Random(0)
    letters = "aabcdeefghiiklmnooprstuuvwz"
    words = ["".join(draw.choices(letters, k=draw.randint(3, 9))) for _ in range(8000)]
    words += ["The", "Night", "Garden"] * 20
    titles = pa.array([" ".join(draw.choices(words, k=4)).title() for _ in range(items)], pa.large_string())
    ids = pa.array([f"item{number:07}" for number in range(items)], pa.large_string())
    interests = Interests(np.zeros(1, np.int32), ("all",), np.ones((1, 1), np.float32))
    lookup = ItemLookup(interests, ids, titles, np.zeros(items, np.int16))
    found = {"items": items, "first": timed(lambda: lookup.search("the", 10).total, 1)}
    for text in SEARCHES:
        found[json.dumps(text)] = timed(lambda text=text: lookup.search(text, 10).total, repeats)  # type: ignore[misc]
    return found


def timed(work: Callable[[], int], repeats: int) -> dict[str, float]:
    """Median and worst milliseconds, processor time, and what was found."""
    walls, cpus, total = [], [], 0
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        total = work()
        cpus.append((time.process_time() - cpu) * 1e3)
        walls.append((time.perf_counter() - wall) * 1e3)
    return {
        "median_ms": round(statistics.median(walls), 1),
        "worst_ms": round(max(walls), 1),
        "median_cpu_ms": round(statistics.median(cpus), 1),
        "found": total,
    }


if __name__ == "__main__":
    main()
