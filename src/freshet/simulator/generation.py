"""A SIMULATED log: people who live by the rules of a world.

People come back in sessions. A session revisits a known theme, or takes up a new one, drawn from the rows of
`truth(world, day)` of the user's last two themes, or is a miss: something tried and disliked. Themes trend,
items appear over time, and a third of all people are hardly ever seen.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.simulator.catalogue import build, item_ids
from freshet.simulator.sampling import Floats, Ints, draw
from freshet.simulator.world import World, popularity, truths

SIMULATED = "SIMULATED by freshet.simulator: no real people, no real items"

_LAST_WEIGHT = 0.75  # how much the last theme decides, against the one before it
_FORGET_DAYS = 30  # a theme not engaged for so long is new again
_MISS, _REVISIT = 0.15, 0.35  # shares of sessions; the rest take up something new
_LONGEST = 0.02  # no session starts in the last half hour of the world


@dataclass(frozen=True, slots=True)
class WorldReport:
    """What was written; `note` says that it is simulated."""

    note: str
    events: int
    users: int
    items: int
    positive_share: float
    events_path: Path
    items_path: Path


def generate(world: World, into: Path) -> WorldReport:
    """Write the events and items of a SIMULATED world; the same world gives the same bytes.

    `events.parquet` has user_id, item_id, timestamp and value (0 to 10; 7 and more means liked),
    `items.parquet` has item_id, title, text and category (the name of the theme).
    """
    rng = np.random.default_rng([world.seed, 3])
    catalogue = build(world.themes, world.items, world.days, np.random.default_rng([world.seed, 4]))
    user, moment = _sessions(world, rng)
    theme, liked = _themes(world, user, moment.astype(np.int64), rng)
    size = rng.poisson(1.2, len(user)) + 1  # events in a session
    session = np.repeat(np.arange(len(user)), size)
    first = np.r_[True, np.diff(session) > 0]
    step = np.arange(len(session)) - np.flatnonzero(first)[np.cumsum(first) - 1]
    item = catalogue.draw(theme[session], moment[session].astype(np.int64), rng)
    value = np.clip(np.rint(rng.normal(np.where(liked[session], 8.0, 4.0), 1.5)), 0, 10)
    value = np.where(liked[session] & first, np.maximum(value, 7), value)  # something is liked, or nothing
    value = np.where(liked[session], value, np.minimum(value, 6))
    seconds = np.floor(moment[session] * 86_400) + 90 * step
    into.mkdir(parents=True, exist_ok=True)
    events = _events(world, user[session], item, seconds.astype(np.int64), value)
    _write(world, events, into / "events.parquet")
    _write(world, catalogue.table(), into / "items.parquet")
    return WorldReport(
        SIMULATED,
        len(events),
        len(np.unique(user)),
        len(catalogue.theme),
        float(np.mean(value >= 7)),
        into / "events.parquet",
        into / "items.parquet",
    )


def _sessions(world: World, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """(user, moment in days) of every session, in order of user and time."""
    count = np.clip(rng.lognormal(np.log(world.sessions), 1.1, world.users), 1, 120).astype(np.int64)
    count[rng.random(world.users) < 0.2] = 1
    arrival = rng.uniform(-0.5, 0.9, world.users).clip(0) * world.days
    user = np.repeat(np.arange(world.users), count)
    moment = arrival[user] + rng.random(len(user)) * (world.days - _LONGEST - arrival[user])
    order = np.lexsort((moment, user))
    return user[order], moment[order]


def _themes(world: World, user: Ints, day: Ints, rng: np.random.Generator) -> tuple[Ints, NDArray[np.bool_]]:
    """(theme, whether it was liked) of every session; all users' n-th sessions are drawn together."""
    follows, popular = truths(world), popularity(world)
    engaged = np.full((world.users, world.themes), -np.inf)  # day of the last engagement
    recent = np.full((world.users, 2), -1)  # the theme before the last, the last
    start = np.searchsorted(user, user)
    turn = np.arange(len(user)) - start  # 0 for a user's first session
    theme = np.zeros(len(user), np.int64)
    kind = rng.random(len(user))
    liked = (kind >= _MISS) | (turn == 0)
    by_turn = np.split(np.argsort(turn, kind="stable"), np.cumsum(np.bincount(turn))[:-1])
    for rows in by_turn:
        who, when = user[rows], day[rows]
        known = engaged[who] >= (when - _FORGET_DAYS)[:, None]  # (rows, themes)
        previous, last = recent[who].T
        odds = _LAST_WEIGHT * follows[when, last] + (1 - _LAST_WEIGHT) * follows[when, previous]
        odds = np.where((previous < 0)[:, None], follows[when, last], odds)
        odds = np.where((last < 0)[:, None] | ~liked[rows, None], popular[when], odds)
        revisits = (kind[rows] < _MISS + _REVISIT) & liked[rows] & known.any(axis=1)
        chosen = draw(np.where(revisits[:, None], known, odds * ~known), rng)
        theme[rows] = chosen
        took = liked[rows]
        engaged[who[took], chosen[took]] = when[took]
        moved = took & (chosen != last)
        recent[who[moved]] = np.c_[last[moved], chosen[moved]]
    return theme, liked


def _events(world: World, user: Ints, item: Ints, seconds: Ints, value: Floats) -> pa.Table:
    """Rows in order of time; `seconds` count from the world's first midnight."""
    midnight = datetime(world.start.year, world.start.month, world.start.day, tzinfo=UTC)
    micros = (seconds + int(midnight.timestamp())) * 1_000_000
    order = np.lexsort((item, user, micros))
    return pa.table(
        {
            "user_id": [f"user{number:05d}" for number in user[order].tolist()],
            "item_id": item_ids(item[order]),
            "timestamp": pa.array(micros[order], pa.timestamp("us", tz="UTC")),
            "value": value[order],
        }
    )


def _write(world: World, table: pa.Table, path: Path) -> None:
    described = json.dumps(asdict(world), default=str, sort_keys=True)
    pq.write_table(table.replace_schema_metadata({"freshet": SIMULATED, "world": described}), path)
