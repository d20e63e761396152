"""Balanced spherical k-means: groups of alike items whose loads stay near their share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from freshet.stages.interests.item_vectors import unit

_ROUNDS = 30
_RESTARTS = 3
_TEMPERATURE = 0.03
"""Cosine similarities closer than about this count as a tie while prices are set."""

_PRICE_STEPS = 8
_DEAREST = 2.0
"""A price beyond the range of cosines means nothing."""


def split(
    vectors: NDArray[np.float64],
    load: NDArray[np.float64],
    groups: int,
    slack: float,
    seed: Sequence[int],
) -> NDArray[np.int64]:
    """Assign n items to `groups` non-empty groups; n >= groups.

    Args:
        vectors: (n, d) unit vectors.
        load: (n,) positive load of each item, the quantity to balance.
        slack: a group may carry between 1/slack and slack times the mean load before it is pushed.
        seed: seed of the starting points.

    Returns:
        (n,) group of each item, the best of a few starts by similarity less the remaining imbalance.
    """
    if groups == 1:
        return np.zeros(len(vectors), np.int64)
    rng = np.random.default_rng(list(seed))
    best, best_value = np.zeros(len(vectors), np.int64), -np.inf
    for _ in range(_RESTARTS):
        centers = vectors[_spread(vectors, load, groups, rng)]
        labels = refine(vectors, load, centers, slack)
        value = _value(vectors, load, labels, groups, slack)
        if value > best_value + 1e-9:
            best, best_value = labels, value
    return best


def refine(
    vectors: NDArray[np.float64],
    load: NDArray[np.float64],
    centers: NDArray[np.float64],
    slack: float,
    rounds: int = _ROUNDS,
) -> NDArray[np.int64]:
    """Assign n items to non-empty groups around (groups, d) centers, which follow their items.

    Overloaded groups rise in price and underloaded ones fall until the loads are within the slack; an item
    goes where similarity less price is best.
    """
    groups = len(centers)
    price = np.zeros(groups)
    mean, bound = load.sum() / groups, np.log(slack)
    labels = np.full(len(vectors), -1, np.int64)
    for _ in range(rounds):
        similarity = vectors @ centers.T  # (n, groups)
        attraction = np.exp((similarity - similarity.max(axis=1, keepdims=True)) / _TEMPERATURE)
        for _ in range(_PRICE_STEPS):
            pressure = np.log(np.maximum(_soft_loads(attraction, price, load) / mean, 1e-6))
            excess = np.maximum(pressure - bound, 0) + np.minimum(pressure + bound, 0)
            price = np.clip(price + _TEMPERATURE * excess, -_DEAREST, _DEAREST)
        before, labels = labels, np.asarray((similarity - price).argmax(axis=1), np.int64)
        if np.array_equal(before, labels):
            break
        centers = centroids(vectors, load, labels, groups)
    return _filled(labels, vectors, load, groups)


def centroids(
    vectors: NDArray[np.float64], load: NDArray[np.float64], labels: NDArray[np.int64], groups: int
) -> NDArray[np.float64]:
    """(groups, d) unit-length mean directions, items weighted by the root of their load."""
    rows = np.arange(len(labels))
    member = scipy.sparse.csr_matrix((np.sqrt(load), (labels, rows)), shape=(groups, len(labels)))
    return unit(member @ vectors)


def cap_load(
    vectors: NDArray[np.float64],
    load: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: int,
    multiple: float,
) -> NDArray[np.int64]:
    """Move items out of groups with more than `multiple` times the mean load.

    The items that lose least by it move first, each to the most similar group with room. A group that is
    still over the bound afterwards holds a single item.
    """
    labels = labels.copy()
    limit = multiple * load.sum() / groups
    loads = np.bincount(labels, load, groups)
    centers = centroids(vectors, load, labels, groups)
    for group in np.argsort(-loads, kind="stable"):
        members = np.flatnonzero(labels == group)
        if loads[group] <= limit or len(members) == 1:
            continue
        similarity = vectors[members] @ centers.T  # (members, groups)
        own = similarity[:, group].copy()
        similarity[:, group] = -np.inf
        left = len(members)
        for position in np.argsort(own - similarity.max(axis=1), kind="stable"):
            if loads[group] <= limit or left == 1:
                break
            item = members[position]
            room = loads + load[item] <= limit
            room[group] = False
            if not room.any():
                continue
            target = int(np.where(room, similarity[position], -np.inf).argmax())
            labels[item] = target
            left -= 1
            loads[group] -= load[item]
            loads[target] += load[item]
    return labels


def top_up(
    vectors: NDArray[np.float64],
    load: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: int,
    smallest: int,
    multiple: float,
) -> NDArray[np.int64]:
    """Bring groups with fewer than `smallest` items up to it with the items that lose least by moving.

    Only items from larger groups move, and none that would lift the load over `multiple` times the mean.
    """
    labels = labels.copy()
    limit = multiple * load.sum() / groups
    centers = centroids(vectors, load, labels, groups)
    own = np.einsum("nd,nd->n", vectors, centers[labels])
    for group in np.flatnonzero(np.bincount(labels, minlength=groups) < smallest):
        loss = own - vectors @ centers[group]
        for item in np.argsort(loss, kind="stable"):
            sizes = np.bincount(labels, minlength=groups)
            if sizes[group] >= smallest:
                break
            fits = load[labels == group].sum() + load[item] <= limit
            if labels[item] != group and sizes[labels[item]] > smallest and fits:
                labels[item] = group
    return labels


def _soft_loads(
    attraction: NDArray[np.float64], price: NDArray[np.float64], load: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(groups,) load of each group when items divide themselves among groups that suit them alike."""
    cheapness = np.exp(-price / _TEMPERATURE)
    return np.asarray(cheapness * ((load / (attraction @ cheapness)) @ attraction))


def _spread(
    vectors: NDArray[np.float64], load: NDArray[np.float64], groups: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """k-means++ starting items: likely where the load is and far from the items already chosen."""
    weight = np.sqrt(load)
    distance = np.ones(len(vectors))
    chosen: list[int] = []
    for _ in range(groups):
        chance = weight * distance
        if chance.sum() <= 1e-12:  # only copies of chosen items are left
            chance = weight.copy()
        chance[chosen] = 0
        pick = int(rng.choice(len(vectors), p=chance / chance.sum()))
        chosen.append(pick)
        distance = np.minimum(distance, np.maximum(1 - vectors @ vectors[pick], 0))
    return np.array(chosen)


def _filled(
    labels: NDArray[np.int64],
    vectors: NDArray[np.float64],
    load: NDArray[np.float64],
    groups: int,
) -> NDArray[np.int64]:
    """Give every empty group the item that fits worst in the fullest group with several items."""
    labels = labels.copy()
    for empty in np.flatnonzero(np.bincount(labels, minlength=groups) == 0):
        sizes = np.bincount(labels, minlength=groups)
        loads = np.where(sizes > 1, np.bincount(labels, load, groups), -1.0)
        members = np.flatnonzero(labels == loads.argmax())
        fit = vectors[members] @ centroids(vectors, load, labels, groups)[loads.argmax()]
        labels[members[fit.argmin()]] = empty
    return labels


def _value(
    vectors: NDArray[np.float64],
    load: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: int,
    slack: float,
) -> float:
    """Load-weighted mean similarity to the own centroid, less what the loads exceed their bounds by."""
    center = centroids(vectors, load, labels, groups)
    similarity = np.einsum("nd,nd->n", vectors, center[labels])
    relative = np.bincount(labels, load, groups) * groups / load.sum()
    over = np.maximum(np.abs(np.log(np.maximum(relative, 1e-9))) - np.log(slack), 0).mean()
    weight = np.sqrt(load)
    return float((similarity * weight).sum() / weight.sum() - 0.1 * over)
