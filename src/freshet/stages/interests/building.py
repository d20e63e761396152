"""Interests from a log: read, fitted, named, described and written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from freshet.core.config import InterestsConfig
from freshet.core.ports import Encoder, Progress, silent
from freshet.core.types import Interests
from freshet.stages.interests import engaged_items as catalogues
from freshet.stages.interests import fitting, item_assignment, quality
from freshet.stages.interests.engaged_items import Catalogue
from freshet.stages.interests.fitting import Fit
from freshet.stages.interests.format import (
    FIT,
    TAXONOMY,
    Model,
    load_assignment,
    load_paths,
    open_model,
    save_assignment,
    save_interests,
    save_model,
)
from freshet.stages.interests.identity import Identified, identify
from freshet.stages.interests.partition import centroids

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
    encoder: Encoder | None = None,
    encoding: Progress = silent,
) -> dict[str, Any]:
    """Form interests from the items engaged with in `days`, and assign the rest of the catalogue.

    Args:
        items: item file with item, title, text and any further columns.
        days: event day files (user, item, ...); the caller leaves out what is not known yet.
        positive_sql: boolean SQL over the columns of the day files.
        previous: folder of the interests to continue, so that ids stay stable.
        into: folder to write to.
        encoder: gives the vectors by which texts are compared; None = their words do.
        encoding: progress over the texts.

    Returns:
        Summary for the manifest; the full figures are in `quality.json`.

    Raises:
        InputError, ConfigError: a file, column or rule is wrong.
        NotEnoughData: fewer than two interests differ.
    """
    catalogue = catalogues.read(items, days, positive_sql, config.taxonomy)
    catalogue = catalogue.encoded(encoder, np.arange(len(catalogue)), encoding)
    progress(1, _STEPS)
    # One thread: the matrices are small, the sums come out the same on any number of cores, and waiting
    # for a second core that others use made a build up to eight times slower.
    with threadpool_limits(limits=1):
        fitted = fitting.fit(catalogue, config, _former(catalogue, previous))
    progress(2, _STEPS)
    formed = identify(catalogue.items, fitted, previous)
    fitted = formed.fitted
    descriptions = fitting.describe_all(catalogue, fitted)
    if previous is not None and open_model(previous).taxonomy == config.taxonomy:
        descriptions = formed.descriptions(
            descriptions
        )  # else another taxonomy is configured, which has words of its own
    interests = Interests(formed.ids, tuple(descriptions), _centers(fitted.vectors, fitted))
    by = encoder.version if encoder is not None else ""
    model = _model(fitted, config.taxonomy, formed.next_id, by)
    progress(3, _STEPS)
    save_model(model, into)
    placed = _assign(catalogue, fitted, model, into)
    save_interests(interests, _columns(catalogue, fitted), into)
    titles = [catalogue.titles[row] or catalogue.items[row] for row in fitted.rows]
    figures = quality.report(fitted.vectors, fitted.traffic, fitted.labels, descriptions, titles, config.seed)
    figures |= {"text_vectors": by} if by else {}
    (into / "quality.json").write_text(
        json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    progress(4, _STEPS)
    return _summary(formed, config, placed, figures)


def _former(catalogue: Catalogue, previous: Path | None) -> fitting.Former | None:
    if previous is None or open_model(previous).taxonomy:
        return None
    before = load_assignment(previous).as_dict()
    labels = np.array([before.get(item, -1) for item in catalogue.items], np.int64)
    return fitting.Former(labels, load_paths(previous))


def _assign(catalogue: Catalogue, fitted: Fit, model: Model, into: Path) -> dict[str, Any]:
    """Write the interest of every item, fitted or not; returns how many got it by which means."""
    settled = np.full(len(catalogue), -1, np.int64)
    settled[fitted.rows] = fitted.labels
    labels, how = item_assignment.place(catalogue, settled, model)
    if model.taxonomy:
        how = [TAXONOMY if means == FIT else means for means in how]
    save_assignment(item_assignment.assignment(catalogue, labels, how), into)
    return item_assignment.summary(catalogue, labels, how)


def _summary(
    formed: Identified, config: InterestsConfig, placed: dict[str, Any], figures: dict[str, Any]
) -> dict[str, Any]:
    match = formed.match
    return {
        "interests": len(formed.ids),
        "asked": config.count,
        "fitted_items": len(formed.fitted.rows),
        **placed,
        "largest_over_mean": figures["largest_over_mean"],
        "traffic_gini": figures["traffic_share"]["gini"],
        "coherence": figures["coherence"],
        "coherence_by_chance": figures["coherence_by_chance"],
        "new_ids": int((match.previous < 0).sum()) if match else len(formed.ids),
        "churn": round(match.churn, 4) if match else None,
        **{name: figures[name] for name in ("text_vectors",) if name in figures},
    }


def _centers(vectors: NDArray[np.float64], fitted: Fit) -> NDArray[np.float32]:
    center = centroids(vectors, fitted.traffic, fitted.labels, len(fitted.paths))
    return center.astype(np.float32)


def _model(fitted: Fit, taxonomy: str, next_id: int, encoder: str) -> Model:
    categories = fitted.categories
    return Model(
        text=fitted.words,
        centroids=_centers(fitted.text_vectors, fitted),
        taxonomy=taxonomy,
        values=categories.values if categories else {},
        other=categories.other if categories else -1,
        next_id=next_id,
        encoder=encoder,
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
