"""A SIMULATED log: people who live by the rules of a world.

People come back in sessions. A session revisits a known theme, or takes up a new one, drawn from the rows of
`truth(world, day)` of the user's last two themes, or is a miss: something tried and disliked. Themes trend,
items appear over time, and a third of all people are hardly ever seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Transitions
from freshet.simulator.people import Lived, People
from freshet.simulator.simulated_log import SIMULATED, catalogue_of, event_table, session_events, write
from freshet.simulator.world import (
    FORGET_DAYS,
    MISS,
    REVISIT,
    Floats,
    Ints,
    World,
    draw,
    next_odds,
    normalised,
    popularity,
    truths,
)

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
    catalogue = catalogue_of(world)
    user, moment = _sessions(world, rng)
    visits = visit(world, user, moment.astype(np.int64), rng)
    logged = session_events(catalogue, visits.theme, visits.liked, moment, rng)
    into.mkdir(parents=True, exist_ok=True)
    events = event_table(world, user[logged.session], logged)
    write(world, events, into / "events.parquet")
    write(world, catalogue.table(), into / "items.parquet")
    return WorldReport(
        SIMULATED,
        len(events),
        len(np.unique(user)),
        len(catalogue.theme),
        float(np.mean(logged.value >= 7)),
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
    liked = (kind >= MISS) | (turn == 0)
    theme, before = np.zeros(len(user), np.int64), np.zeros((len(user), 2), np.int64)
    known_before = np.zeros((len(user), world.themes), bool)
    by_turn = np.split(np.argsort(turn, kind="stable"), np.cumsum(np.bincount(turn))[:-1])
    for rows in by_turn:
        who, when = user[rows], day[rows]
        known = engaged[who] >= (when - FORGET_DAYS)[:, None]  # (rows, themes)
        before[rows], known_before[rows] = recent[who], known
        odds = np.where(liked[rows, None], next_odds(follows, popular, when, recent[who]), popular[when])
        revisits = (kind[rows] < MISS + REVISIT) & liked[rows] & known.any(axis=1)
        chosen = draw(np.where(revisits[:, None], known, odds * ~known), rng)
        theme[rows] = chosen
        took = liked[rows]
        engaged[who[took], chosen[took]] = when[took]
        moved = took & (chosen != recent[who, 1])
        recent[who[moved]] = np.c_[recent[who[moved], 1], chosen[moved]]
    return Visits(theme, liked, before, known_before)


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
    odds = next_odds(truths(world), popularity(world), day[rows], recent) * ~known
    found = Transitions.on_days(
        user[rows].astype(np.uint64),
        day[rows].astype(np.int32),
        recent.astype(np.int16),
        visits.theme[rows].astype(np.int16),
        known,
    )
    return KnownAnswers(found, normalised(odds))


def live_through(people: People, days: range) -> Lived:
    """Let people live through some days of their own accord."""
    parts = []
    for hour in range(days.start * 24, days.stop * 24):
        users, moments = people.coming(hour)
        rng = np.random.default_rng([people.world.seed, 8, hour])
        parts.append(people.live(users, moments, rng))
    names = Lived.__slots__
    return Lived(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def write_history(people: People, lived: Lived, into: Path) -> int:
    """Write the log of a closed loop's people before anything is recommended to them; returns its events."""
    rng = np.random.default_rng([people.world.seed, 9])
    logged = session_events(catalogue_of(people.world), lived.theme, lived.liked, lived.moment, rng)
    into.mkdir(parents=True, exist_ok=True)
    events = event_table(people.world, lived.user[logged.session], logged)
    write(people.world, events, into / "events.parquet")
    return len(events)


def transitions_of(lived: Lived) -> Transitions:
    """Transitions as Freshet would count them if its interests were the themes; days count from 0."""
    novel = lived.liked & ~lived.known[np.arange(len(lived.theme)), lived.theme]
    rows = np.flatnonzero(novel)
    return Transitions.on_days(
        lived.user[rows].astype(np.uint64),
        lived.moment[rows].astype(np.int32),
        lived.recent[rows].astype(np.int16),
        lived.theme[rows].astype(np.int16),
        lived.known[rows],
    )
