"""Step: labelled impressions as arrays, in the words of the interests of now."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from freshet.core.types import Outcomes, indices_of
from freshet.stages.transitions.users import keys
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.release_parts import whole
from freshet.storage.workspace import Workspace


def assignment_of(ws: Workspace, transitions: str) -> Artifact:
    """Which interest each item belongs to, as some transitions were counted with it.

    Raises:
        ArtifactError: it, or the transitions, is missing or damaged.
    """
    counted = committed(ws.store, "transitions", transitions)
    return whole(ws.store, "assignments", counted.manifest["inputs"]["assignment"])


def outcomes_of(table: pa.Table, index: NDArray[np.int16], k: int) -> Outcomes:
    """Rows of `labelled` as arrays; without those whose interest, or score, is not known.

    Args:
        index: interest index by stable id, -1 where there is none; ids beyond its end have none.
    """
    shown = indices_of(table["interest"].to_numpy(), index)
    score = table["score"].to_numpy().astype(np.float64)
    good = (shown >= 0) & np.isfinite(score)
    return Outcomes(
        _contexts(table["context"], index, k),
        shown,
        table["place"].to_numpy(),
        score,
        table["reward"].to_numpy(),
        table["time"].to_numpy(),
        _users(table),
    ).take(good)


def _users(table: pa.Table) -> NDArray[np.uint64]:
    """(n,) users by number; of an answer to nobody a number of its own."""
    named = np.asarray(pc.not_equal(table["user"], ""))
    return np.where(named, keys(table["user"]), keys(table["id"]))


def _contexts(said: pa.ChunkedArray, index: NDArray[np.int16], k: int) -> NDArray[np.int16]:
    """(n, k) contexts; of one that names an interest which is no more, what came after it."""
    lengths = said.combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
    ids = np.append(said.combine_chunks().flatten().to_numpy(zero_copy_only=False), -1)
    ends = np.cumsum(lengths)
    contexts = np.full((len(lengths), k), -1, np.int16)
    whole = np.ones(len(lengths), bool)
    for back in range(1, k + 1):
        place = indices_of(ids[np.where(lengths >= back, ends - back, -1)], index)
        whole &= place >= 0
        contexts[whole, -back] = place[whole]
    return contexts
