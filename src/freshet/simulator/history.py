"""The log of a closed loop's people before anything is offered to them: SIMULATED, like all that follows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from freshet.core.types import Transitions
from freshet.simulator.people import Lived, People
from freshet.simulator.telling import catalogue_of, event_table, session_events, write


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
    """Write `events.parquet` of what was lived through; returns the number of events."""
    rng = np.random.default_rng([people.world.seed, 9])
    told = session_events(catalogue_of(people.world), lived.theme, lived.liked, lived.moment, rng)
    into.mkdir(parents=True, exist_ok=True)
    events = event_table(people.world, lived.user[told.session], told)
    write(people.world, events, into / "events.parquet")
    return len(events)


def transitions_of(lived: Lived) -> Transitions:
    """Transitions as Freshet would count them if its interests were the themes; days count from 0."""
    novel = lived.liked & ~lived.known[np.arange(len(lived.theme)), lived.theme]
    rows = np.flatnonzero(novel)
    return Transitions(
        lived.user[rows].astype(np.uint64),
        lived.moment[rows].astype(np.int32),
        lived.recent[rows].astype(np.int16),
        lived.theme[rows].astype(np.int16),
        lived.known[rows],
    )
