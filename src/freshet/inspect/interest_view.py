"""One interest of a release: what it is about, what follows it by the table, and what is like it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from freshet.core.errors import ConfigError
from freshet.inspect.release_view import Named, Opened, artifact
from freshet.stages.interests.format import open_model
from freshet.storage.workspace import Workspace

KEYWORDS = 15
ALIKE = 8


@dataclass(frozen=True, slots=True)
class Successor:
    """An interest that the table ranks: its probability fused, by counts, by the planner (or None)."""

    id: int
    description: str
    fused: float
    count: float
    planner: float | None


@dataclass(frozen=True, slots=True)
class Alike:
    """An interest with a likeness from 0 to 1 (cosine of the two centres)."""

    id: int
    description: str
    likeness: float


@dataclass(frozen=True, slots=True)
class InterestView:
    """An interest.

    Attributes:
        index: its place in the release, which may be another in the next; the id stays.
        keywords: words of the catalogue that lie nearest to it, best first; () where items have no text.
        successors: best first, of people whose only recent interest it is.
    """

    id: int
    index: int
    description: str
    keywords: tuple[str, ...]
    successors: tuple[Successor, ...]
    alike: tuple[Alike, ...]

    @classmethod
    def of(cls, ws: Workspace, opened: Opened, id: int, top: int = 10) -> InterestView:
        """By its stable id.

        Raises:
            ConfigError: the release has no such interest.
            ArtifactError: a part of the release is missing or damaged.
        """
        index = index_of(opened, id)
        return cls(
            id,
            index,
            opened.interests.descriptions[index],
            _keywords(ws, opened, index),
            _successors(opened, index, top),
            _alike(opened, index),
        )


def index_of(opened: Opened, id: int) -> int:
    """Index of an interest of a release by its stable id.

    Raises:
        ConfigError: there is no such interest.
    """
    places = np.flatnonzero(opened.interests.ids == id)
    if not len(places):
        raise ConfigError(
            f"release {opened.release.number} has no interest {id}",
            hint="the list of interests has their ids",
        )
    return int(places[0])


def found(opened: Opened, text: str) -> tuple[Named, ...]:
    """Interests whose description holds every word of a text, or whose id it is; all for ''."""
    words = text.casefold().split()
    names = opened.interests.descriptions
    return tuple(
        opened.named(index)
        for index, name in enumerate(names)
        if all(word in name.casefold() for word in words) or text.strip() == str(opened.interests.ids[index])
    )


def _keywords(ws: Workspace, opened: Opened, index: int) -> tuple[str, ...]:
    """Words by how far they point the way of the interest's centre in the space of texts."""
    model = open_model(artifact(ws, "interests", opened.release.interests).path)
    if model.encoder:  # its centres lie in the encoder's space, where single words have no place
        return ()
    near = model.centroids[index] @ model.text.components
    order = np.argsort(-near, kind="stable")[:KEYWORDS]
    return tuple(model.text.surfaces[place] for place in order if near[place] > 0)


def _successors(opened: Opened, index: int, top: int) -> tuple[Successor, ...]:
    row = opened.table.look_up((index,))
    columns = row.successors[:top].tolist(), row.fused.tolist(), row.count.tolist(), row.planner.tolist()
    return tuple(
        Successor(
            *_pair(opened.named(other)),
            math.exp(fused),
            math.exp(count),
            math.exp(planner) if math.isfinite(planner) else None,
        )
        for other, fused, count, planner in zip(*columns, strict=False)
    )


def _alike(opened: Opened, index: int) -> tuple[Alike, ...]:
    near = opened.interests.vectors @ opened.interests.vectors[index]
    near[index] = -np.inf
    order = np.argsort(-near, kind="stable")[:ALIKE]
    return tuple(
        Alike(*_pair(opened.named(int(other))), max(0.0, float(near[other])))
        for other in order
        if near[other] > -np.inf
    )


def _pair(named: Named) -> tuple[int, str]:
    return named.id, named.description
