"""Items and events of a SIMULATED world, and the files that they are written to, which say what they are."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.core.time import SECOND
from freshet.simulator.themes import COMMON, THEMES
from freshet.simulator.world import Floats, Ints, World, draw

_NOVELTY_DAYS = 30  # how long a new item gets more attention
_TITLES = ("The {a} {c}", "{a} and {b}", "{a} {b}", "A {c} of {a} and {b}", "{b}, {a} and You")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Items in order of their number.

    Attributes:
        theme: (items,) index of the theme.
        release: (items,) first day on which the item can be met.
        appeal: (items,) lasting weight among the items of its theme.
        titles, texts: what people read.
    """

    theme: Ints
    release: Ints
    appeal: Floats
    titles: tuple[str, ...]
    texts: tuple[str, ...]

    def draw(self, theme: Ints, day: Ints, rng: np.random.Generator) -> Ints:
        """(events,) an item of each theme that is out on the day; new ones are met more often."""
        candidates = self._items_by_theme()[theme]  # (events, most items of a theme)
        age = day[:, None] - self.release[candidates]
        odds = self.appeal[candidates] * (1 + 3 * np.exp(-np.maximum(age, 0) / _NOVELTY_DAYS))
        column = draw(odds * ((candidates >= 0) & (age >= 0)), rng)
        return np.asarray(candidates[np.arange(len(candidates)), column])

    def table(self) -> pa.Table:
        """Columns item_id, title, text, category."""
        return pa.table(
            {
                "item_id": item_ids(np.arange(len(self.theme))),
                "title": self.titles,
                "text": self.texts,
                "category": [THEMES[theme][0] for theme in self.theme],
            }
        )

    def _items_by_theme(self) -> Ints:
        """(themes, most items of a theme) item numbers, padded with -1."""
        by_theme = [np.flatnonzero(self.theme == theme) for theme in range(int(self.theme.max()) + 1)]
        padded = np.full((len(by_theme), max(map(len, by_theme))), -1)
        for row, candidates in zip(padded, by_theme, strict=True):
            row[: len(candidates)] = candidates
        return padded


def item_ids(items: Ints) -> list[str]:
    """Ids of item numbers."""
    return [f"item{number:05d}" for number in items.tolist()]


def build(themes: int, items: int, days: int, new: float, rng: np.random.Generator) -> Catalogue:
    """Items for every theme, the first of each on the first day, a share of them `new`: as time goes on."""
    size = rng.lognormal(0.0, 0.4, themes)
    theme = np.r_[np.arange(themes), rng.choice(themes, items - themes, p=size / size.sum())]
    release = np.where(rng.random(items) < 1 - new, 0, rng.integers(0, days, items))
    release[:themes] = 0
    appeal = 1 / (1 + rng.permutation(items) % 40)
    words = [_describe(int(one), themes, rng) for one in theme]
    titles, texts = zip(*words, strict=True)
    return Catalogue(theme, release, appeal, titles, texts)


def _describe(theme: int, themes: int, rng: np.random.Generator) -> tuple[str, str]:
    """(title, text) of an item: words of its theme, two of a neighbouring theme, two that mean little."""
    neighbour = (theme + int(rng.choice((-1, 1)))) % themes
    own = rng.permutation(THEMES[theme][1])[:6].tolist()
    borrowed = rng.permutation(THEMES[neighbour][1])[:2].tolist()
    common = rng.permutation(COMMON)[:2].tolist()
    parts = {"a": own[0].title(), "b": own[1].title(), "c": common[0].title()}
    return str(rng.choice(_TITLES)).format(**parts), " ".join([*own, *borrowed, *common])


SIMULATED = "SIMULATED by freshet.simulator: no real people, no real items"

_LATER = ("drift_size", "trends", "turnover_days", "contrast", "new_items", "balanced")
"""Written where they are set, so that older worlds keep their bytes."""


@dataclass(frozen=True, slots=True)
class SessionEvents:
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
) -> SessionEvents:
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
    return SessionEvents(session, item, seconds.astype(np.int64), value)


def catalogue_of(world: World) -> Catalogue:
    """The items of a world."""
    rng = np.random.default_rng([world.seed, 4])
    return build(world.themes, world.items, world.days, world.new_items, rng)


def event_table(world: World, user: Ints, logged: SessionEvents) -> pa.Table:
    """Events as a log's rows, in order of time; (n,) user of each."""
    micros = (logged.seconds + midnight(world)) * SECOND
    order = np.lexsort((logged.item, user, micros))
    return pa.table(
        {
            "user_id": user_ids(user[order]),
            "item_id": item_ids(logged.item[order]),
            "timestamp": pa.array(micros[order], pa.timestamp("us", tz="UTC")),
            "value": logged.value[order],
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
    described = asdict(world)
    for one in fields(World):
        if one.name in _LATER and described[one.name] == one.default:
            del described[one.name]
    text = json.dumps(described, default=str, sort_keys=True)
    pq.write_table(table.replace_schema_metadata({"freshet": SIMULATED, "world": text}), path)
