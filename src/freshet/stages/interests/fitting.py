"""Interests from the items of a log: clusters of their vectors, or the values of a column (the taxonomy)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import NDArray

from freshet.core.config import InterestsConfig
from freshet.core.errors import NotEnoughData
from freshet.stages.interests import describe, item_text, item_vectors, tree
from freshet.stages.interests.describe import distinct
from freshet.stages.interests.engaged_items import Catalogue
from freshet.stages.interests.item_text import plain
from freshet.stages.interests.quality import busiest

_OTHER = "other"


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Values of the column that became interests.

    Attributes:
        names: the column value of each interest; the last may be the merged `other`.
        values: column value -> interest.
        other: the merged interest, or -1.
    """

    names: tuple[str, ...]
    values: dict[str, int]
    other: int

    def labels(self, column: Sequence[str]) -> NDArray[np.int64]:
        """(n,) interest of each value; -1 for an empty one, `other` (or -1) for an unknown one."""
        return lookup_taxonomy(column, self.values, self.other)

    def reordered(self, order: NDArray[np.int64]) -> Taxonomy:
        """The same values with the interests in another order: position p holds interest order[p]."""
        position = np.argsort(order)
        values = {value: int(position[old]) for value, old in self.values.items()}
        other = int(position[self.other]) if self.other >= 0 else -1
        return Taxonomy(tuple(self.names[old] for old in order), values, other)


def fit_taxonomy(column: Sequence[str], traffic: NDArray[np.float64], count: int) -> Taxonomy:
    """The values with the most traffic, at most `count`; the smaller ones are merged into `other`."""
    totals: Counter[str] = Counter()
    for value, engagements in zip(column, traffic.tolist(), strict=True):
        if value.strip() and engagements > 0:
            totals[value.strip()] += engagements
    ranked = sorted(totals, key=lambda value: (-totals[value], value))
    if len(ranked) <= count:
        return Taxonomy(tuple(ranked), {v: i for i, v in enumerate(ranked)}, -1)
    kept = [value for value in ranked if value != _OTHER][: count - 1]
    values = {value: index for index, value in enumerate(kept)} | {_OTHER: len(kept)}
    return Taxonomy((*kept, _OTHER), values, len(kept))


def lookup_taxonomy(column: Sequence[str], values: dict[str, int], other: int) -> NDArray[np.int64]:
    """(n,) interest of each column value, -1 where it has none."""
    found = [values.get(v.strip(), other) if v.strip() else -1 for v in column]
    return np.array(found, np.int64)


def taxonomy_descriptions(names: Sequence[str]) -> list[str]:
    """Column values as unique plain words: `Sci-Fi & Fantasy` is `sci fi fantasy`."""
    taken: set[frozenset[str]] = set()
    worded = []
    for index, name in enumerate(names):
        worded.append(distinct(plain(name) or f"interest {index}", taken))
        taken.add(frozenset(worded[-1].split()))
    return worded


_FEWEST_ITEMS = 2
"""Items an interest should have on average; with fewer items there are fewer interests."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Interests of the engaged items.

    Attributes:
        rows: (n,) positions of the fitted items in the catalogue.
        labels: (n,) interest of each.
        traffic: (n,) engagements of each.
        vectors: (n, d) joined vectors.
        text_vectors: (n, a) text vectors.
        counts: (n, m) words.
        paths: path of each interest in the tree.
        words: the text model.
        categories: the taxonomy, if the interests are one.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    traffic: NDArray[np.float64]
    vectors: NDArray[np.float64]
    text_vectors: NDArray[np.float64]
    counts: scipy.sparse.csr_matrix
    paths: tuple[tuple[int, ...], ...]
    words: item_text.TextModel
    categories: Taxonomy | None

    def reordered(self, order: NDArray[np.int64]) -> Fit:
        """The same fit with the interests in another order: position p holds former interest order[p]."""
        position = np.argsort(order)
        categories = self.categories.reordered(order) if self.categories else None
        paths = tuple(self.paths[old] for old in order)
        return replace(self, labels=position[self.labels], paths=paths, categories=categories)


@dataclass(frozen=True, slots=True)
class Former:
    """The previous interests: (n,) interest of each item of the catalogue or -1, and the (N,) paths."""

    labels: NDArray[np.int64]
    paths: tuple[tuple[int, ...], ...]


def fit(catalogue: Catalogue, config: InterestsConfig, former: Former | None = None) -> Fit:
    """Fit on the engaged items alone: an item nobody has touched yet may be from the future.

    On a platform's first day next to none is engaged: `formed_on = "catalogue"` takes all that are there.

    With as many former interests as are wanted now, these are continued instead of starting anew.

    Raises:
        NotEnoughData: fewer than two items differ.
    """
    rows = np.flatnonzero((catalogue.traffic > 0) | (config.formed_on == "catalogue"))
    documents = item_text.documents([catalogue.titles[i] for i in rows], [catalogue.texts[i] for i in rows])
    words = item_text.fit_text_model(documents, config.seed)
    counts = words.counts(documents)
    encoded = catalogue.text_vectors
    of_text = words.vectors(counts) if encoded is None else encoded[rows].astype(np.float64)
    sides = item_vectors.sides(of_text, catalogue.engaged[:, rows], config.seed)
    joined = sides.joined(config.co_engagement)
    traffic = np.where(catalogue.traffic[rows] > 0, catalogue.traffic[rows], 1.0)
    if config.taxonomy:
        column = [catalogue.labels[i] for i in rows]
        categories = fit_taxonomy(column, traffic, config.count)
        _check(len(categories.names), f"values in the taxonomy column '{config.taxonomy}'", len(rows))
        labels = categories.labels(column)
        usable = np.flatnonzero(labels >= 0)
        labels = labels[usable]
        paths: tuple[tuple[int, ...], ...] = tuple((i,) for i in range(len(categories.names)))
    else:
        categories = None
        usable = np.flatnonzero(np.linalg.norm(joined, axis=1) > 0)
        different = len(np.unique(np.round(joined[usable], 6), axis=0))
        _check(different, "engaged items that differ in text or in who engages with them", len(rows))
        size = min(config.count, different, max(2, len(usable) // _FEWEST_ITEMS))
        grown = _tree(joined[usable], traffic[usable], size, config.seed, former, rows[usable])
        labels, paths = grown.labels, grown.paths
    return Fit(
        rows=rows[usable],
        labels=labels,
        traffic=traffic[usable],
        vectors=joined[usable],
        text_vectors=sides.text[usable],
        counts=counts[usable],
        paths=paths,
        words=words,
        categories=categories,
    )


def describe_all(catalogue: Catalogue, fitted: Fit) -> list[str]:
    """A unique description of every interest; the busiest ones choose first."""
    if fitted.categories is not None:
        return taxonomy_descriptions(fitted.categories.names)
    interests = len(fitted.paths)
    share = np.bincount(fitted.labels, fitted.traffic, interests)
    candidates = describe.keywords(
        fitted.counts, np.sqrt(fitted.traffic), fitted.labels, interests, fitted.words.surfaces
    )
    fallbacks = [
        describe.from_ids(
            [catalogue.items[fitted.rows[m]] for m in busiest(fitted.labels, fitted.traffic, interest, 2)]
        )
        for interest in range(interests)
    ]
    order = np.argsort(-share, kind="stable").tolist()
    return describe.unique(candidates, fallbacks, order)


def _tree(
    joined: NDArray[np.float64],
    traffic: NDArray[np.float64],
    size: int,
    seed: int,
    former: Former | None,
    rows: NDArray[np.int64],
) -> tree.Tree:
    if former is not None and len(former.paths) == size:
        labels = former.labels[rows]
        if len(np.unique(labels[labels >= 0])) == size:
            return tree.regrow(joined, traffic, tree.Tree(labels, former.paths))
    return tree.grow(joined, traffic, size, seed)


def _check(found: int, what: str, engaged: int) -> None:
    if found < 2:
        raise NotEnoughData(
            f"interests need at least 2 {what}; the log has {found} (of {engaged:,} engaged items)",
            hint="import more events, check the positive rule, or give the items titles or text",
        )
