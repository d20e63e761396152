"""How long does it take to forget a person, and how large are the parts of it?

    python benchmarks/forgetting.py                     # a SIMULATED log of 2 million events, 100,000 users
    python benchmarks/forgetting.py --events 10000000 --json
    python benchmarks/forgetting.py --quick             # the same, small, in seconds

A workspace with a log of 100 days, a state of every user's history and a journal of a tenth of the events. No
release: counts, tables and models are not in it. `import_seconds` is the import of the log as it is;
`hashed` and `with_tombstones` (1,000 of them) are the same import with `[privacy] hash_users`, and where
people are refused. `forget_seconds`: median of `--rounds` people, one after another; `spread` = slowest /
fastest. `erase_seconds` of it is the user store's part, for some of which events wait; `search_mb_s` is what
the search of every byte does. `load` is that of the machine before.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from freshet.core import config
from freshet.core.types import Fact, History, user_key
from freshet.core.types.ids import identity
from freshet.privacy.forgetting import forget, look
from freshet.stages.events import EventLog
from freshet.storage.user_ids import bury, prepare
from freshet.wiring import open_user_store, open_workspace
from shared import Show, parse, parser, tell

NOW = datetime(2024, 6, 1, tzinfo=UTC)
DAYS, PER_USER, TOGETHER = 100, 20, 2000


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--events", type=int, default=2_000_000)
    options.add_argument("--rounds", type=int, default=3)
    given = parse(options, events=20_000, rounds=2)
    show = Show()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), given.events, given.rounds, show)
    tell(given, found)


def measured(place: Path, events: int, rounds: int, show: Show) -> dict[str, Any]:
    source, users = place / "events.parquet", events // PER_USER
    duckdb.sql(
        f"""SELECT 'user-' || (hash(i) % {users}) AS user, 'item-' || (hash(i, 1) % 10000) AS item,
        1.0 AS value, TIMESTAMP '2024-01-01' + INTERVAL (i * {DAYS * 86400 / events}) SECOND AS time
        FROM range({events}) AS t(i)"""
    ).write_parquet(str(source))
    load = os.getloadavg()[0]
    seconds = {}
    for name in ("plain", "with_tombstones", "hashed"):
        show.say(f"import, {name}")
        root = shop(place / name, hashed=name == "hashed")
        if name == "with_tombstones":
            people = prepare(root, config.PrivacyConfig())
            bury(root, [people.person(f"nobody-{n}") for n in range(1000)], NOW)
        else:
            with open_workspace(root).hold("import"):
                pass
        begun = time.perf_counter()
        EventLog(root).import_events(source, config.Events(), now=NOW)
        seconds[name] = time.perf_counter() - begun
    ws = open_workspace(place / "plain")
    store = open_user_store(ws.root, ws.config)
    show.say("state")
    fill(store, users, events // 10)
    forgotten, erased = [], []
    original = store.erase

    def erase(*arguments: Any) -> Any:
        begun = time.perf_counter()
        done = original(*arguments)
        erased.append(time.perf_counter() - begun)
        return done

    store.erase = erase  # type: ignore[method-assign]
    for number in range(rounds):
        show.say(f"forgetting {number + 1} of {rounds}")
        begun = time.perf_counter()
        done = forget(ws, [f"user-{number}"], store, NOW)
        forgotten.append(time.perf_counter() - begun)
        assert done.clean, done.searched.traces
        assert done.removed["events"] > 0
    store.close()
    begun = time.perf_counter()
    searched = look(ws, ["user-9"]).searched
    took = time.perf_counter() - begun
    return {
        "simulated": True,
        "events": events,
        "users": users,
        "load": load,
        "import_seconds": seconds["plain"],
        "with_tombstones": seconds["with_tombstones"],
        "hashed": seconds["hashed"],
        "forget_seconds": statistics.median(forgotten),
        "spread": max(forgotten) / min(forgotten),
        "erase_seconds": statistics.median(erased),
        "searched_mb": searched.bytes / 1e6,
        "search_mb_s": searched.bytes / 1e6 / took,
    }


def shop(root: Path, *, hashed: bool) -> Path:
    root.mkdir()
    (root / "freshet.toml").write_text(f"[privacy]\nhash_users = {str(hashed).lower()}\n")
    return root


def fill(store: Any, users: int, entries: int) -> None:
    """A history of every user, and a journal."""
    draws = np.random.default_rng(1)
    store.merge(
        (
            user_key(f"user-{n}"),
            History(
                draws.integers(0, 2**63, PER_USER, np.uint64),
                np.arange(PER_USER, dtype=np.int64),
                np.arange(5, dtype=np.int32),
                np.arange(5, dtype=np.int64),
            ),
        )
        for n in range(users)
    )
    for start in range(0, entries, TOGETHER):
        store.record([fact(n, users) for n in range(start, min(entries, start + TOGETHER))])


def fact(number: int, users: int) -> Fact:
    user = f"user-{number % users}"
    body = f'{{"user":"{user}","item":"item-{number}","value":1.0}}'.encode()
    return Fact(identity(None, user, str(number), number), user_key(user), number, 1, number, True, body)


if __name__ == "__main__":
    main()
