"""The two entry points of the stage: build interests from a log, and assign new items to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from freshet.core.config import InterestsConfig
from freshet.core.ports import Progress, silent
from freshet.core.types import Interests
from freshet.stages.interests import catalogue as catalogues
from freshet.stages.interests import fitting, identity, model, newcomers, quality
from freshet.stages.interests.catalogue import Catalogue
from freshet.stages.interests.describe import distinct
from freshet.stages.interests.fitting import Fit
from freshet.stages.interests.partition import centroids

_SAME_WORDS = 0.6
"""From this overlap on an interest keeps its description, so that prompts about it stay as they were."""

_STEPS = 4
_SAMPLES = 5


def build(
    items: Path,
    days: Sequence[Path],
    positive_sql: str,
    config: InterestsConfig,
    previous: Path | None,
    into: Path,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Form interests from the items engaged with in `days`, and assign the rest of the catalogue.

    Args:
        items: item file with item, title, text and any further columns.
        days: event day files (user, item, ...); the caller leaves out what is not known yet.
        positive_sql: boolean SQL over the columns of the day files.
        previous: folder of the interests to continue, so that ids stay stable.
        into: folder to write to.

    Returns:
        Summary for the manifest; the full figures are in `quality.json`.

    Raises:
        InputError, ConfigError: a file, column or rule is wrong.
        NotEnoughData: fewer than two interests can be told apart.
    """
    catalogue = catalogues.read(items, days, positive_sql, config.taxonomy)
    progress(1, _STEPS)
    # One thread: the matrices are small, the sums come out the same on any number of cores, and waiting
    # for a second core that others use made a build up to eight times slower.
    with threadpool_limits(limits=1):
        fitted = fitting.fit(catalogue, config, _former(catalogue, previous))
    progress(2, _STEPS)
    fitted, ids, next_id, matched, old = _identified(catalogue, fitted, previous)
    descriptions = fitting.describe_all(catalogue, fitted)
    if previous is not None and model.open_model(previous).taxonomy == config.taxonomy:
        descriptions = _kept_words(descriptions, matched, old)  # else the user asked for other words
    interests = Interests(ids, tuple(descriptions), _centers(fitted.vectors, fitted))
    known = _model(fitted, config.taxonomy, next_id)
    progress(3, _STEPS)
    settled = np.full(len(catalogue), -1, np.int64)
    settled[fitted.rows] = fitted.labels
    labels, how = newcomers.place(catalogue, settled, known)
    if config.taxonomy:
        how = [model.TAXONOMY if h == model.FIT else h for h in how]
    model.save(known, into)
    model.save_assignment(newcomers.assignment(catalogue, labels, how), into)
    model.save_interests(interests, _columns(catalogue, fitted), into)
    figures = _quality(catalogue, fitted, descriptions, config.seed)
    _write_json(figures, into / "quality.json")
    progress(4, _STEPS)
    return {
        "interests": len(interests),
        "asked": config.count,
        "fitted_items": len(fitted.rows),
        **newcomers.summary(catalogue, labels, how),
        "largest_over_mean": figures["largest_over_mean"],
        "traffic_gini": figures["traffic_share"]["gini"],
        "coherence": figures["coherence"],
        "coherence_by_chance": figures["coherence_by_chance"],
        "new_ids": int((matched.previous < 0).sum()) if matched else len(interests),
        "churn": round(matched.churn, 4) if matched else None,
    }


def assign(
    model_path: Path, items: Path, days: Sequence[Path], positive_sql: str, into: Path
) -> dict[str, Any]:
    """Write assignment.parquet for the whole catalogue and log without changing any interest.

    Items that the interests at `model_path` already assigned keep their interest; the others get one by
    taxonomy value, nearest text, or the interests of the people who engage with them.

    Returns:
        How many items were assigned by which means, and how many could not be.

    Raises:
        InputError, ConfigError: a file, column or rule is wrong.
        ArtifactError: the interests are missing or damaged.
    """
    known = model.open_model(model_path)
    before = model.load_assignment(model_path)
    catalogue = catalogues.read(items, days, positive_sql, known.taxonomy)
    interest_of = before.as_dict()
    reason_of = dict(zip(before.items, before.how, strict=True))
    settled = np.array([interest_of.get(item, -1) for item in catalogue.items], np.int64)
    labels, how = newcomers.place(catalogue, settled, known)
    how = [reason_of.get(item, h) for item, h in zip(catalogue.items, how, strict=True)]
    model.save_assignment(newcomers.assignment(catalogue, labels, how), into)
    new = int(((settled < 0) & (labels >= 0)).sum())
    return {"new_items": new, **newcomers.summary(catalogue, labels, how)}


def _former(catalogue: Catalogue, previous: Path | None) -> fitting.Former | None:
    if previous is None or model.open_model(previous).taxonomy:
        return None
    before = model.load_assignment(previous).as_dict()
    labels = np.array([before.get(item, -1) for item in catalogue.items], np.int64)
    return fitting.Former(labels, model.load_paths(previous))


def _identified(
    catalogue: Catalogue, fitted: Fit, previous: Path | None
) -> tuple[Fit, NDArray[np.int32], int, identity.Match | None, Interests | None]:
    """Give the interests their ids, and put them in the order of the ids."""
    interests = len(fitted.paths)
    if previous is None:
        return fitted, np.arange(interests, dtype=np.int32), interests, None, None
    old = model.load(previous)
    before = model.load_assignment(previous).as_dict()
    matched = identity.match(
        [catalogue.items[row] for row in fitted.rows],
        fitted.labels,
        fitted.traffic,
        interests,
        before,
        len(old),
    )
    ids, next_id = identity.name(matched.previous, old.ids, model.open_model(previous).next_id)
    order = np.argsort(ids)
    matched = identity.Match(matched.previous[order], matched.overlap[order], matched.churn)
    return fitted.reordered(order), ids[order], next_id, matched, old


def _kept_words(fresh: list[str], matched: identity.Match | None, old: Interests | None) -> list[str]:
    """Keep the description of interests that hardly changed; new ones give way where they collide."""
    if matched is None or old is None:
        return fresh
    kept = {
        index: old.descriptions[int(matched.previous[index])]
        for index in np.flatnonzero(matched.overlap >= _SAME_WORDS).tolist()
    }
    taken = {frozenset(description.split()) for description in kept.values()}
    worded = []
    for index, description in enumerate(fresh):
        if index not in kept:
            description = distinct(description, taken)
            taken.add(frozenset(description.split()))
        worded.append(kept.get(index, description))
    return worded


def _centers(vectors: NDArray[np.float64], fitted: Fit) -> NDArray[np.float32]:
    center = centroids(vectors, fitted.traffic, fitted.labels, len(fitted.paths))
    return center.astype(np.float32)


def _model(fitted: Fit, taxonomy: str, next_id: int) -> model.Model:
    categories = fitted.categories
    return model.Model(
        text=fitted.words,
        centroids=_centers(fitted.text_vectors, fitted),
        taxonomy=taxonomy,
        values=categories.values if categories else {},
        other=categories.other if categories else -1,
        next_id=next_id,
    )


def _columns(catalogue: Catalogue, fitted: Fit) -> dict[str, Sequence[Any]]:
    interests = len(fitted.paths)
    own = quality.coherence(fitted.vectors, fitted.traffic, fitted.labels, interests)
    share = np.bincount(fitted.labels, fitted.traffic, interests) / fitted.traffic.sum()
    samples = [
        [catalogue.items[fitted.rows[m]] for m in quality.busiest(fitted.labels, fitted.traffic, i, _SAMPLES)]
        for i in range(interests)
    ]
    return {
        "path": [list(path) for path in fitted.paths],
        "items": np.bincount(fitted.labels, minlength=interests).tolist(),
        "traffic": share.tolist(),
        "coherence": np.round(own, 6).tolist(),
        "sample_items": samples,
    }


def _quality(catalogue: Catalogue, fitted: Fit, descriptions: Sequence[str], seed: int) -> dict[str, Any]:
    titles = [catalogue.titles[row] or catalogue.items[row] for row in fitted.rows]
    return quality.report(fitted.vectors, fitted.traffic, fitted.labels, descriptions, titles, seed)


def _write_json(figures: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
