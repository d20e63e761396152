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
from freshet.simulator.sampling import Floats, Ints, draw, normalised
from freshet.simulator.world import World, popularity, truths
from freshet.types import Transitions

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
    visits = visit(world, user, moment.astype(np.int64), rng)
    theme, liked = visits.theme, visits.liked
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


@dataclass(frozen=True, slots=True)
class Visits:
    """What people did in their sessions, in the order of the sessions.

    Attributes:
        theme: (n,) what each was about.
        liked: (n,) whether it was liked; else it leaves no trace in the person.
        recent: (n, 2) the theme before the last and the last liked before, -1 where there was none.
        known: (n, themes) themes liked lately, which are not new to the person.
    """

    theme: Ints
    liked: NDArray[np.bool_]
    recent: Ints
    known: NDArray[np.bool_]


def visit(world: World, user: Ints, day: Ints, rng: np.random.Generator) -> Visits:
    """What every session is about; all users' n-th sessions are drawn together."""
    follows, popular = truths(world), popularity(world)
    engaged = np.full((world.users, world.themes), -np.inf)  # day of the last engagement
    recent = np.full((world.users, 2), -1)  # the theme before the last, the last
    start = np.searchsorted(user, user)
    turn = np.arange(len(user)) - start  # 0 for a user's first session
    kind = rng.random(len(user))
    liked = (kind >= _MISS) | (turn == 0)
    theme, before = np.zeros(len(user), np.int64), np.zeros((len(user), 2), np.int64)
    known_before = np.zeros((len(user), world.themes), bool)
    by_turn = np.split(np.argsort(turn, kind="stable"), np.cumsum(np.bincount(turn))[:-1])
    for rows in by_turn:
        who, when = user[rows], day[rows]
        known = engaged[who] >= (when - _FORGET_DAYS)[:, None]  # (rows, themes)
        before[rows], known_before[rows] = recent[who], known
        odds = np.where(liked[rows, None], _odds(follows, popular, when, recent[who]), popular[when])
        revisits = (kind[rows] < _MISS + _REVISIT) & liked[rows] & known.any(axis=1)
        chosen = draw(np.where(revisits[:, None], known, odds * ~known), rng)
        theme[rows] = chosen
        took = liked[rows]
        engaged[who[took], chosen[took]] = when[took]
        moved = took & (chosen != recent[who, 1])
        recent[who[moved]] = np.c_[recent[who[moved], 1], chosen[moved]]
    return Visits(theme, liked, before, known_before)


def _odds(follows: Floats, popular: Floats, when: Ints, recent: Ints) -> Floats:
    """(n, themes) how the next new theme is drawn, by the rules of each day, after (n, 2) recent themes."""
    previous, last = recent.T
    odds = _LAST_WEIGHT * follows[when, last] + (1 - _LAST_WEIGHT) * follows[when, previous]
    odds = np.where((previous < 0)[:, None], follows[when, last], odds)
    return np.asarray(np.where((last < 0)[:, None], popular[when], odds))


@dataclass(frozen=True, slots=True)
class KnownAnswers:
    """SIMULATED transitions between themes, in order of time, and what was true of each.

    Attributes:
        transitions: as Freshet would count them if its interests were the themes; days count from 0.
        truth: (n, themes) probability of every successor, 0 for themes the person knows.
    """

    transitions: Transitions
    truth: Floats


def known_answers(world: World) -> KnownAnswers:
    """Transitions of a SIMULATED world with the truth beside each; the people are those of `generate`."""
    rng = np.random.default_rng([world.seed, 3])
    user, moment = _sessions(world, rng)
    day = moment.astype(np.int64)
    visits = visit(world, user, day, rng)
    novel = visits.liked & ~visits.known[np.arange(len(user)), visits.theme]
    rows = np.flatnonzero(novel)
    rows = rows[np.argsort(moment[rows], kind="stable")]
    recent, known = visits.recent[rows], visits.known[rows]
    odds = _odds(truths(world), popularity(world), day[rows], recent) * ~known
    found = Transitions(
        user[rows].astype(np.uint64),
        day[rows].astype(np.int32),
        recent.astype(np.int16),
        visits.theme[rows].astype(np.int16),
        known,
    )
    return KnownAnswers(found, normalised(odds))


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
    told = asdict(world)
    for name in ("drift_size", "trends"):  # said where they are set, so that older worlds keep their bytes
        if told[name] == 1.0:
            del told[name]
    described = json.dumps(told, default=str, sort_keys=True)
    pq.write_table(table.replace_schema_metadata({"freshet": SIMULATED, "world": described}), path)
