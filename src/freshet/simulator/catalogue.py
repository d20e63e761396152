"""The items of the simulated world: each has a theme, a day of release and words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from freshet.simulator.sampling import Floats, Ints, draw
from freshet.simulator.themes import COMMON, THEMES

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
        shelf = self._shelves()[theme]  # (events, most items of a theme)
        age = day[:, None] - self.release[shelf]
        odds = self.appeal[shelf] * (1 + 3 * np.exp(-np.maximum(age, 0) / _NOVELTY_DAYS))
        column = draw(odds * ((shelf >= 0) & (age >= 0)), rng)
        return np.asarray(shelf[np.arange(len(shelf)), column])

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

    def _shelves(self) -> Ints:
        """(themes, most items of a theme) item numbers, padded with -1."""
        shelves = [np.flatnonzero(self.theme == theme) for theme in range(int(self.theme.max()) + 1)]
        padded = np.full((len(shelves), max(map(len, shelves))), -1)
        for row, shelf in zip(padded, shelves, strict=True):
            row[: len(shelf)] = shelf
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
