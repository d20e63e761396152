"""The tables of `docs/scale.md`: memory, network, tokens and money at a billion users, by constants.

    python benchmarks/scale.py                 # the tables
    python benchmarks/scale.py --write         # into docs/scale.md, between its marks
    python benchmarks/scale.py --measure       # constants that no other benchmark measures, on this machine

Nothing here was run at that size: every figure is a constant, measured by the benchmark named beside it on
two cores, times a number of users, items or interests. What grows otherwise than told is not seen.
"""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freshet.stages.table.contexts import is_wide, rows_at_most
from shared import parse, parser, tell

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"


@dataclass(frozen=True)
class Constant:
    """What was measured: its value, unit, the benchmark that measured it, and when, under what load."""

    value: float
    unit: str
    source: str
    when: str


OLD = "2026-11"
HERE = "2026-11-29, load 8 to 27"
ALONE = "2026-11-30, nothing beside"
LOG_EVENT = Constant(15, "bytes/event in the log, zstd, short ids", "`wide.py`, 1 M events", HERE)
COUNT_RATE = Constant(
    4.49e6, "events/s counted, 100 interests", "`transitions.py`, 100 M events", "2026-11-29, load 1.6 to 2.7"
)
RAY_COUNT = Constant(1.33, "processor µs/event counted by Ray workers", "`cluster.py`, 20 M events", HERE)
ONE_MORE_DAY = Constant(
    4, "days' share that one more day costs (3 to 5)", "`transitions.py`", "2026-11-29, load 1.4 to 2.7"
)
TRANSITION = Constant(77, "bytes/transition in day files, 5,000 interests", "`wide.py`, 0.9 M", HERE)
CHANGED = Constant(0.077, "of the rows' prompts changed by a refresh", "`refresh.py`, every 3 days", ALONE)
OWN_TOKENS = Constant(26.7, "tokens/row that are read, with evidence", "`bulk_inference.py`", OLD)
SENT_TOKENS = Constant(223, "tokens/prompt sent to a hosted model, 24 options", "`endpoint.py`", OLD)
ANSWER = Constant(479, "processor µs/answer over HTTP (100 interests)", "`serving.py`", ALONE)
LMDB_USER = Constant(705, "bytes/user, LMDB", "`state.py`, 1 M users", OLD)
REDIS_USER = Constant(747, "bytes/user, Redis", "`state.py`, 30,000 users", OLD)
LMDB_RATE = Constant(9_135, "durable events/s into one LMDB, batches of 2,000", "`state.py`, 1 M users", OLD)
REDIS_RATE = Constant(1_854, "events/s into one Redis, batches of 2,000", "`state.py`, 30,000 users", OLD)
JOURNAL_EVENT = Constant(200, "bytes/event in the journal", "[serving](how-to/serving.md)", OLD)
JOURNAL_SHOWN = Constant(1_000, "bytes/impression in the journal", "[serving](how-to/serving.md)", OLD)
OVERLAY_RATE = Constant(
    8.9e6, "moves per processor second folded into live signals", "`scale.py --measure`", HERE
)
ITEM_MAP = Constant(119, "bytes/item of the map from ids to interests", "`scale.py --measure`", HERE)
CONSTANTS = (
    LOG_EVENT, COUNT_RATE, RAY_COUNT, ONE_MORE_DAY, TRANSITION, CHANGED, OWN_TOKENS, SENT_TOKENS, ANSWER,
    LMDB_USER, REDIS_USER, LMDB_RATE, REDIS_RATE, JOURNAL_EVENT, JOURNAL_SHOWN, OVERLAY_RATE, ITEM_MAP,
)  # fmt: skip

USERS, ITEMS = (1e6, 100e6, 1e9), 10e6
ACTIVE, EVENTS, REQUESTS, PEAK = 0.1, 10.0, 5.0, 3.0
"""Assumed: a tenth of the users come a day, with 10 events and 5 requests; the busiest hour is 3 means."""
INTERESTS = (1_000, 5_000, 10_000)
WIDTH = 64
PRICES = (0.10, 1.00)
"""Examples of money per million tokens read, no quotes."""
DAY = 86_400
ITEM_WIDTH = 64
"""Numbers of an item's vector in the ranker, each 4 bytes."""


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--write", action="store_true")
    made.add_argument("--measure", action="store_true")
    options = parse(made)
    if options.measure:
        tell(options, measured(10_000 if options.quick else 1_000_000))
        return
    tables = {name: made() for name, made in TABLES.items()}
    if options.write:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")
    tell(options, {"computed": True, "tables": tables}, lambda: "\n\n".join(tables.values()))


def filled(page: str, tables: dict[str, str]) -> str:
    """A page with each table between `<!-- NAME -->` and `<!-- end -->`."""
    for name, table in tables.items():
        mark = re.compile(rf"<!-- {name} -->.*?<!-- end -->", re.DOTALL)
        if len(mark.findall(page)) != 1:
            raise SystemExit(f"{PAGE.name} has no single place for '{name}'")
        page = mark.sub(lambda _, one=name, text=table: f"<!-- {one} -->\n\n{text}\n\n<!-- end -->", page)
    return page


def drawn(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def count(number: float) -> str:
    """A round number in words."""
    for size, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{number / size:.3g} {name}"
    return f"{number:.3g}"


def size(number: float) -> str:
    """Bytes."""
    return count(number).replace(" k", " kB").replace(" M", " MB").replace(" B", " GB").replace(" T", " TB")


def lasts(seconds: float) -> str:
    """A time."""
    for length, name in ((DAY, "days"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.3g} {name}"
    return f"{seconds:.2g} s"


def constants() -> str:
    rows = [(f"{one.value:,.4g}" if one.value < 1e4 else count(one.value), one.unit, one.source, one.when)
            for one in CONSTANTS]  # fmt: skip
    return drawn(("value", "what", "measured by", "when"), rows)


def by_users() -> str:
    """What grows with people; amounts are per day, unless said otherwise."""
    head = ("", *(f"{count(users)} users" for users in USERS))
    events = [users * ACTIVE * EVENTS for users in USERS]
    shown = [users * ACTIVE * REQUESTS for users in USERS]
    cores = [PEAK * one / DAY * ANSWER.value * 1e-6 for one in shown]
    journal = [e * JOURNAL_EVENT.value + s * JOURNAL_SHOWN.value for e, s in zip(events, shown, strict=True)]
    lines: list[tuple[str, list[str]]] = [
        ("events", [count(one) for one in events]),
        ("log", [size(one * LOG_EVENT.value) for one in events]),
        ("log of a year", [size(365 * one * LOG_EVENT.value) for one in events]),
        ("one more day counted", [lasts(ONE_MORE_DAY.value * e / COUNT_RATE.value) for e in events]),
        ("a year counted anew", [lasts(365 * one / COUNT_RATE.value) for one in events]),
        ("... by Ray workers, core hours", [f"{365 * e * RAY_COUNT.value / 3.6e9:,.3g}" for e in events]),
        ("day files, 5,000 interests, a transition per event", [size(e * TRANSITION.value) for e in events]),
        ("events/s in the busiest hour", [count(PEAK * one / DAY) for one in events]),
        ("... LMDB stores that this fills", [f"{PEAK * one / DAY / LMDB_RATE.value:.2g}" for one in events]),
        ("... Redis servers", [f"{PEAK * one / DAY / REDIS_RATE.value:.2g}" for one in events]),
        ("user store, LMDB, all users", [size(users * LMDB_USER.value) for users in USERS]),
        ("user store, Redis, all users", [size(users * REDIS_USER.value) for users in USERS]),
        ("journal", [size(one) for one in journal]),
        ("requests/s in the busiest hour", [count(PEAK * one / DAY) for one in shown]),
        ("... cores that answer them", [f"{one:.2g}" for one in cores]),
        ("live signals: share of a core in each process", [
            f"{100 * PEAK * one / DAY / OVERLAY_RATE.value:.2g} %" for one in events
        ]),
    ]  # fmt: skip
    return drawn(head, [(name, *cells) for name, cells in lines])


def rows_of(interests: int) -> int:
    """Rows of a table of k = 2 in which as many pairs were observed as fit, or more."""
    most = rows_at_most(interests, "auto")
    return most if is_wide(interests, 2, most) else 1 + interests**2


def by_interests() -> str:
    """What grows with interests: tables and what serves beside them."""
    lines: list[tuple[str, Callable[[int], str]]] = [
        ("contexts, k = 2", lambda n: count(1 + n**2)),
        ("contexts, k = 3", lambda n: count(1 + n + n * (n - 1) + n * (n - 1) * (n - 2))),
        ("every one of k = 2 in a row of 64", lambda n: size(n**2 * (14 * WIDTH + 4))),
        ("every one of k = 3", lambda n: size(float(n) ** 3 * (14 * WIDTH + 6))),
        ("rows of a table, any k (auto = 2^29 / N)", lambda n: count(rows_of(n))),
        ("... file of rows, mapped", lambda n: size(rows_of(n) * (14 * WIDTH + 4))),
        ("counts after the last interest, 8 N²", lambda n: size(8 * n**2)),
        ("similarity of interests, 4 N²", lambda n: size(4 * n**2)),
        ("live signals, 8 N² + 4 MiB", lambda n: size(8 * n**2 + 2**22)),
        ("a release, as it is pulled", lambda n: size(release(n))),
        ("100 replicas that pull one", lambda n: size(100 * release(n))),
        ("memory of a serving process, without rows and items", lambda n: size(20 * n**2 + 2**22)),
        ("what a transition knows, in memory while it is counted, N / 8", lambda n: size(n / 8)),
    ]
    head = ("", *(f"{n:,} interests" for n in INTERESTS))
    return drawn(head, [(name, *(cell(n) for n in INTERESTS)) for name, cell in lines])


def release(interests: int) -> float:
    """Bytes of rows, counts and live signals."""
    return rows_of(interests) * (14 * WIDTH + 4) + 16 * interests**2


def by_planner() -> str:
    """Tokens and money of a planner that is asked about every row of a table."""
    rows: list[tuple[str, list[str]]] = []
    for name, tokens in (
        ("read by a local model", OWN_TOKENS.value),
        ("sent to a hosted model", SENT_TOKENS.value),
    ):
        rows.append((f"tokens {name}, whole table", [count(tokens * rows_of(n)) for n in INTERESTS]))
        each = [CHANGED.value * tokens * rows_of(n) for n in INTERESTS]
        rows.append((f"tokens {name}, a refresh", [count(one) for one in each]))
    for price in PRICES:
        whole = [SENT_TOKENS.value * rows_of(n) * price / 1e6 for n in INTERESTS]
        rows.append((f"money at {price:.2f} per million: whole table", [f"{one:,.0f}" for one in whole]))
        rows.append(("... a refresh", [f"{CHANGED.value * one:,.1f}" for one in whole]))
        every = [SENT_TOKENS.value * float(n) ** 2 * price / 1e6 for n in INTERESTS]
        rows.append(("... if every pair had a row", [f"{one:,.0f}" for one in every]))
    head = ("", *(f"{n:,} interests" for n in INTERESTS))
    return drawn(head, [(name, *cells) for name, cells in rows])


def by_items() -> str:
    lines = [
        ("map from ids to interests, in each process", size(ITEMS * ITEM_MAP.value)),
        (f"vectors of the ranker, {ITEM_WIDTH} float32 each", size(ITEMS * ITEM_WIDTH * 4)),
        ("priors and popularity of the ranker, 8 bytes each", size(ITEMS * 8)),
    ]
    return drawn(("", f"{count(ITEMS)} items"), lines)


TABLES = {
    "constants": constants,
    "users": by_users,
    "interests": by_interests,
    "planner": by_planner,
    "items": by_items,
}


def measured(moves: int) -> dict[str, Any]:
    """Constants of its own: live signals by moves, and the map of items as serving holds it."""
    import numpy as np

    from freshet.core.types import TRANSITION as MOVE
    from freshet.stages import live

    random, interests = np.random.default_rng(0), 1000
    records = np.zeros(moves, MOVE)
    records["time"] = np.sort(random.integers(0, 7 * DAY * 10**6, moves))
    records["user"] = random.integers(0, moves // 10, moves)
    records["last"], records["successor"] = random.integers(0, interests, (2, moves))
    rates = []
    for _ in range(6):
        overlay = live.Overlay.empty(live.Settings((3.5,), 0.25, 20, 8.0, 100.0), interests, 0)
        start = time.process_time()  # whoever else takes the cores
        overlay.apply(records)
        rates.append(moves / (time.process_time() - start))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    items = {f"item-{number:010d}": number % interests for number in range(moves)}
    each = (tracemalloc.get_traced_memory()[0] - before) / len(items)
    tracemalloc.stop()
    return {"overlay_moves_per_s": rates[1:], "item_map_bytes": each}


if __name__ == "__main__":
    main()
