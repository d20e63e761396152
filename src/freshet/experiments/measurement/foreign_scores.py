"""What a release's table says of interests that were shown by others: their log-probability."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.core.errors import ArtifactError
from freshet.core.types import AsOf, indices_of
from freshet.experiments.measurement.labels import contexts_of
from freshet.stages import interests
from freshet.stages.table import Table
from freshet.storage.release_parts import parts_of
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace

_TOGETHER = 20_000


def scores_by_release(ws: Workspace, shown: pa.Table) -> NDArray[np.float64]:
    """(n,) log-probability of each row's interest in the table of its release, NaN where it isn't ranked.

    A row that names none is judged by the newest release of a moment not after it: what came later is in the
    tables that came later.
    """
    release, time = shown["release"].to_numpy(), shown["time"].cast("int64").to_numpy()
    scores = np.full(shown.num_rows, np.nan)
    known = [one for one in map(ws.releases.get, ws.releases.numbers()) if not one.arm]
    known.sort(key=lambda one: (one.as_of, one.number))
    since = np.array([AsOf.parse(one.as_of).microseconds for one in known], np.int64)
    latest = np.searchsorted(since, time, side="right") - 1
    numbers = np.array([one.number for one in known], np.int64)
    chosen = np.where(release > 0, release, np.where(latest >= 0, numbers[np.maximum(latest, 0)], 0))
    for number in np.unique(chosen[chosen > 0]).tolist():
        rows = np.flatnonzero(chosen == number)
        try:
            scores[rows] = _scores(ws, ws.releases.get(number), shown.take(pa.array(rows)))
        except ArtifactError:  # its table is gone
            continue
    return scores


def _scores(ws: Workspace, release: Release, shown: pa.Table) -> NDArray[np.float64]:
    parts = parts_of(ws.store, release)
    known = interests.load(parts.interests.path)
    table, index = Table(parts.table.path, len(known)), known.index_by_id()
    wanted = indices_of(shown["interest"].to_numpy(), index)
    contexts = contexts_of(shown["context"], index, table.k)
    scores = np.full(len(wanted), np.nan)
    for start in range(0, len(wanted), _TOGETHER):
        end = start + _TOGETHER
        scores[start:end] = _looked_up(table, contexts[start:end], wanted[start:end])
    return scores


def _looked_up(table: Table, contexts: NDArray[np.int16], wanted: NDArray[np.int16]) -> NDArray[np.float64]:
    """(n,) score of each wanted interest in the row that answers its context (k of them, right-aligned)."""
    rows = np.full(len(contexts), -1, np.int64)
    for left_out in range(table.k + 1):
        shorter = contexts.copy()
        shorter[:, :left_out] = -1
        place = table.row_numbers(shorter)
        answers = (rows < 0) & (place >= 0)
        answers[answers] = table.successors[place[answers], 0] >= 0
        rows[answers] = place[answers]
    rows = np.maximum(rows, 0)
    hits = (np.asarray(table.successors[rows]) == wanted[:, None]) & (wanted[:, None] >= 0)
    scores = np.where(hits, np.asarray(table.fused[rows], np.float64), -np.inf).max(axis=1)
    return np.where(np.isfinite(scores), scores, np.nan)
