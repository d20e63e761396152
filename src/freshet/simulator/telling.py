"""What SIMULATED sessions leave in a log: events with items and values, and files that say what they are."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.simulator.catalogue import Catalogue, build, item_ids
from freshet.simulator.sampling import Floats, Ints
from freshet.simulator.world import World

SIMULATED = "SIMULATED by freshet.simulator: no real people, no real items"

_LATER = ("drift_size", "trends", "turnover_days", "contrast", "new_items", "balanced")
"""Said where they are set, so that older worlds keep their bytes."""


@dataclass(frozen=True, slots=True)
class Told:
    """Events of sessions, in the order of the sessions.

    Attributes:
        session: (n,) which session.
        item: (n,) number of the item.
        seconds: (n,) since the world's first midnight.
        value: (n,) 0 to 10; 7 and more means liked.
    """

    session: Ints
    item: Ints
    seconds: Ints
    value: Floats


def session_events(
    catalogue: Catalogue, theme: Ints, liked: NDArray[np.bool_], moment: Floats, rng: np.random.Generator
) -> Told:
    """What sessions about a theme leave in the log: some items of the theme, one of them liked or none.

    Args:
        theme, liked: (sessions,) what each is about, and whether it was liked.
        moment: (sessions,) when each begins, in days since the world's first midnight.
    """
    size = rng.poisson(1.2, len(theme)) + 1  # events in a session
    session = np.repeat(np.arange(len(theme)), size)
    first = np.r_[True, np.diff(session) > 0][: len(session)]
    step = np.arange(len(session)) - np.flatnonzero(first)[np.cumsum(first) - 1]
    item = catalogue.draw(theme[session], moment[session].astype(np.int64), rng)
    value = np.clip(np.rint(rng.normal(np.where(liked[session], 8.0, 4.0), 1.5)), 0, 10)
    value = np.where(liked[session] & first, np.maximum(value, 7), value)  # something is liked, or nothing
    value = np.where(liked[session], value, np.minimum(value, 6))
    seconds = np.floor(moment[session] * 86_400) + 90 * step
    return Told(session, item, seconds.astype(np.int64), value)


def catalogue_of(world: World) -> Catalogue:
    """The items of a world."""
    rng = np.random.default_rng([world.seed, 4])
    return build(world.themes, world.items, world.days, world.new_items, rng)


def event_table(world: World, user: Ints, told: Told) -> pa.Table:
    """Events as a log's rows, in order of time; (n,) user of each."""
    micros = (told.seconds + midnight(world)) * 1_000_000
    order = np.lexsort((told.item, user, micros))
    return pa.table(
        {
            "user_id": user_ids(user[order]),
            "item_id": item_ids(told.item[order]),
            "timestamp": pa.array(micros[order], pa.timestamp("us", tz="UTC")),
            "value": told.value[order],
        }
    )


def user_ids(users: Ints) -> list[str]:
    """Ids of user numbers."""
    return [f"user{number:05d}" for number in users.tolist()]


def midnight(world: World) -> int:
    """The world's first midnight, in seconds since 1970 (UTC)."""
    return int(datetime(world.start.year, world.start.month, world.start.day, tzinfo=UTC).timestamp())


def write(world: World, table: pa.Table, path: Path) -> None:
    """Write a table that says that it is SIMULATED, and in which world."""
    told = asdict(world)
    for one in fields(World):
        if one.name in _LATER and told[one.name] == one.default:
            del told[one.name]
    described = json.dumps(told, default=str, sort_keys=True)
    pq.write_table(table.replace_schema_metadata({"freshet": SIMULATED, "world": described}), path)
