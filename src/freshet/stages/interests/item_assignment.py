"""The interest of every item, also of one that was not there, or not engaged, when interests were built."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from freshet.core.errors import ConfigError
from freshet.core.ports import Encoder, Progress, silent
from freshet.stages.interests import item_text
from freshet.stages.interests.engaged_items import Catalogue
from freshet.stages.interests.engaged_items import read as read_catalogue
from freshet.stages.interests.fitting import lookup_taxonomy
from freshet.stages.interests.format import (
    CO_ENGAGEMENT,
    FIT,
    TAXONOMY,
    TEXT,
    Assignment,
    Model,
    load_assignment,
    open_model,
    save_assignment,
)

_FEWEST_USERS = 3
"""An item without text needs so many users before their interests say what it is."""


def assign(
    interests: Path,
    items: Path,
    days: Sequence[Path],
    positive_sql: str,
    into: Path,
    encoder: Encoder | None = None,
    encoding: Progress = silent,
) -> dict[str, Any]:
    """Write assignment.parquet for the whole catalogue and log without changing any interest.

    Items that the interests at `interests` already assigned keep their interest; the others get one by
    taxonomy value, nearest text, or the interests of the people who engage with them.

    Args:
        encoder: what the interests were formed by; None = words.
        encoding: progress over the texts that it encodes.

    Returns:
        How many items were assigned by which means, and how many could not be.

    Raises:
        InputError, ConfigError: a file, column or rule is wrong, or the encoder another one.
        ArtifactError: the interests are missing or damaged.
    """
    model = open_model(interests)
    _check_encoder(model, encoder)
    before = load_assignment(interests)
    catalogue = read_catalogue(items, days, positive_sql, model.taxonomy)
    interest_of = before.as_dict()
    reason_of = dict(zip(before.items, before.how, strict=True))
    settled = np.array([interest_of.get(item, -1) for item in catalogue.items], np.int64)
    catalogue = catalogue.encoded(encoder, np.flatnonzero(settled < 0), encoding)
    labels, how = place(catalogue, settled, model)
    how = [reason_of.get(item, h) for item, h in zip(catalogue.items, how, strict=True)]
    save_assignment(assignment(catalogue, labels, how), into)
    new = int(((settled < 0) & (labels >= 0)).sum())
    return {"new_items": new, **summary(catalogue, labels, how)}


def _check_encoder(model: Model, encoder: Encoder | None) -> None:
    found = encoder.version if encoder is not None else ""
    if model.encoder != found:
        raise ConfigError(
            f"the interests were formed by {model.encoder or 'words'}, new items would be compared by "
            f"{found or 'words'}",
            hint="choose [content] encoder and model as they were, or form the interests anew",
        )


def place(
    catalogue: Catalogue, settled: NDArray[np.int64], model: Model
) -> tuple[NDArray[np.int64], list[str]]:
    """Complete an assignment: by taxonomy value, else nearest text centroid, else by who engages.

    Args:
        settled: (n,) interest of each item of the catalogue, -1 where it has none yet.

    Returns:
        (n,) interest or -1, and how each item got it ('' for -1; `fit` for what was settled before).
    """
    labels = settled.copy()
    how = np.where(labels >= 0, FIT, "").astype(object)
    steps = (
        (TAXONOMY, _by_taxonomy),
        (TEXT, _by_text),
        (CO_ENGAGEMENT, _by_co_engagement),
    )
    for reason, guess in steps:
        waiting = np.flatnonzero(labels < 0)
        if not len(waiting):
            break
        labels[waiting] = guess(catalogue, waiting, labels, model)
        how[waiting[labels[waiting] >= 0]] = reason
    return labels, [str(reason) for reason in how]


def assignment(catalogue: Catalogue, labels: NDArray[np.int64], how: list[str]) -> Assignment:
    """The rows of assignment.parquet: the items that have an interest."""
    found = np.flatnonzero(labels >= 0)
    items = tuple(catalogue.items[i] for i in found)
    return Assignment(items, labels[found], tuple(how[i] for i in found))


def summary(catalogue: Catalogue, labels: NDArray[np.int64], how: list[str]) -> dict[str, Any]:
    """Items by how they got their interest, and what is left: items, and their share of the traffic."""
    lost = labels < 0
    total = float(catalogue.traffic.sum())
    return {
        "assigned": {reason: how.count(reason) for reason in sorted(set(how) - {""})},
        "unassigned": int(lost.sum()),
        "unassigned_traffic": round(float(catalogue.traffic[lost].sum()) / max(total, 1.0), 6),
    }


def _by_taxonomy(
    catalogue: Catalogue, waiting: NDArray[np.int64], labels: NDArray[np.int64], model: Model
) -> NDArray[np.int64]:
    del labels
    if not model.taxonomy:
        return np.full(len(waiting), -1, np.int64)
    return lookup_taxonomy([catalogue.labels[i] for i in waiting], dict(model.values), model.other)


def _by_text(
    catalogue: Catalogue, waiting: NDArray[np.int64], labels: NDArray[np.int64], model: Model
) -> NDArray[np.int64]:
    """Nearest interest by text; -1 for items without a known word."""
    del labels
    if catalogue.text_vectors is not None:
        vectors = catalogue.text_vectors[waiting].astype(np.float64)
    else:
        documents = item_text.documents(
            [catalogue.titles[i] for i in waiting], [catalogue.texts[i] for i in waiting]
        )
        vectors = model.text.vectors(model.text.counts(documents))
    similarity = np.round(vectors @ model.centroids.T.astype(np.float64), 7)  # (waiting, N)
    return np.where(similarity.max(axis=1) > 0, similarity.argmax(axis=1), -1)


def _by_co_engagement(
    catalogue: Catalogue, waiting: NDArray[np.int64], labels: NDArray[np.int64], model: Model
) -> NDArray[np.int64]:
    """The interest the item's users engage with most, beyond what everybody does; -1 below 3 users.

    An interest scores p * log(p / q): p its share among the item's users, q among all.
    """
    interests = len(model.centroids)
    placed = np.flatnonzero(labels >= 0)
    member = scipy.sparse.csr_matrix(
        (np.ones(len(placed)), (placed, labels[placed])), shape=(len(labels), interests)
    )
    taste = np.asarray((catalogue.engaged @ member).todense())  # (users, N)
    informed = taste.sum(axis=1) > 0
    profile = taste[informed] / taste[informed].sum(axis=1, keepdims=True)
    users = catalogue.engaged[informed][:, waiting]  # (users, waiting)
    enough = np.asarray(users.sum(axis=0)).ravel() >= _FEWEST_USERS
    if not enough.any():
        return np.full(len(waiting), -1, np.int64)
    mean = np.asarray(users.T @ profile) / np.maximum(np.asarray(users.sum(axis=0)).T, 1)
    usual = np.maximum(profile.mean(axis=0), 1e-12)
    lift = mean * np.log(np.maximum(mean, 1e-12) / usual)  # (waiting, N)
    return np.where(enough, np.round(lift, 9).argmax(axis=1), -1)
