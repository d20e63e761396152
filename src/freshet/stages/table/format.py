"""How a table is read: memory-mapped rows that always answer, and the scores that ranked them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import ArtifactError
from freshet.core.types import CONTENT, Context, code_of, context_codes, positions
from freshet.stages import content, counts, inference, sequence
from freshet.stages.table.build import ARRAYS
from freshet.stages.table.contexts import dense_row
from freshet.storage.artifacts import Artifact
from freshet.storage.durable import read_json
from freshet.storage.sound_reading import sound


@dataclass(frozen=True, slots=True)
class Row:
    """Ranked successors of one context.

    Attributes:
        asked: the context asked for.
        answered: the context whose row this is: the same, its last interest, or `()` (popular).
        successors: (m,) interest indices, best first.
        planner, count, fused: (m,) log-probabilities; planner is NaN without a planner.
    """

    asked: Context
    answered: Context
    successors: NDArray[np.int16]
    planner: NDArray[np.float32]
    count: NDArray[np.float32]
    fused: NDArray[np.float32]


class Table:
    """A published table, opened without copying."""

    def __init__(self, folder: Path, interests: int) -> None:
        """Raises ArtifactError where the folder holds no table of so many interests."""
        self.interests = interests
        self.contexts, self.successors, self.planner, self.count, self.fused = _arrays(folder)
        self.k = int(self.contexts.shape[1])
        dense = 1 + interests + (interests * (interests - 1) if self.k >= 2 else 0)
        if self.k >= 2 and not _has_all_pairs(self.contexts, interests):
            dense = 1 + interests
        if dense > len(self.contexts) or not _is_of(self.contexts, interests):
            raise ArtifactError(
                f"{folder} has {len(self.contexts)} rows, which are not those of {interests} interests",
                hint="it was made with other interests: serve another release with `freshet rollback`",
            )
        self._dense = dense
        """Rows whose number is arithmetic; the contexts of those behind them are searched for."""
        self._codes = context_codes(self.contexts[dense:])

    def __len__(self) -> int:
        return len(self.contexts)

    def row_number(self, context: Context) -> int | None:
        """Row of a context, or None where the table has none."""
        if len(context) > self.k or len(set(context)) < len(context):
            return None
        if any(not 0 <= index < self.interests for index in context):
            return None
        if len(context) < 2 or (len(context) == 2 and self._dense > 1 + self.interests):
            return dense_row(context, self.interests)
        code = code_of(context)
        place = int(self._codes.searchsorted(code))
        return self._dense + place if place < len(self._codes) and self._codes[place] == code else None

    def row_numbers(self, contexts: NDArray[np.int16]) -> NDArray[np.int64]:
        """(n,) rows of contexts (n, up to k), -1 where the table has none."""
        return positions(self._index, context_codes(contexts))

    @cached_property
    def _index(self) -> NDArray[np.int64]:
        """(C,) codes of all contexts; rows are in their order."""
        return context_codes(self.contexts)

    def answered(self, context: Context) -> int:
        """Length of the suffix of a context whose row `look_up` gives."""
        for start in range(len(context)):
            number = self.row_number(context[start:])
            if number is not None and self.successors[number, 0] >= 0:
                return len(context) - start
        return 0

    def look_up(self, context: Context) -> Row:
        """The row of the context; failing that, of its shorter suffixes, down to what is popular.

        A row without any eligible successor counts as missing; interests of the context itself are left out
        of a shorter suffix's row.
        """
        for start in range(len(context) + 1):
            number = self.row_number(context[start:])
            if number is not None and (row := self._row(context, context[start:], number)).successors.size:
                return row
        return self._row(context, (), 0)

    def _row(self, asked: Context, answered: Context, number: int) -> Row:
        successors = np.asarray(self.successors[number])
        offered = (successors >= 0) & ~np.isin(successors, asked)
        return Row(
            asked,
            answered,
            successors[offered],
            np.asarray(self.planner[number])[offered],
            np.asarray(self.count[number])[offered],
            np.asarray(self.fused[number])[offered],
        )


@sound
def _arrays(folder: Path) -> list[NDArray[Any]]:
    """Contexts, then what `ARRAYS` names: (rows, k), and (rows, width) each."""
    found = [
        np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ("contexts", *ARRAYS)
    ]
    contexts, successors = found[:2]
    rows = {len(array) for array in found}
    if contexts.ndim != 2 or len(rows) != 1 or any(array.shape != successors.shape for array in found[1:]):
        raise ValueError(f"arrays of shapes {[array.shape for array in found]}")
    if any(array.dtype.kind != "i" for array in found[:2]) or any(
        array.dtype.kind != "f" for array in found[2:]
    ):
        raise ValueError(f"arrays of {[str(array.dtype) for array in found]}")
    return found


def _is_of(contexts: NDArray[np.int16], interests: int) -> bool:
    """Whether contexts of one interest are those of so many: the last is there, and none behind it."""
    singles = (contexts[: interests + 2, :-1] < 0).all(axis=1) & (contexts[: interests + 2, -1] >= 0)
    return int(contexts[interests, -1]) == interests - 1 and int(singles.sum()) == interests


def _has_all_pairs(contexts: NDArray[np.int16], interests: int) -> bool:
    """Whether every ordered pair of interests has a row: the last one stands where arithmetic puts it."""
    last = interests * interests
    if len(contexts) <= last:
        return False
    pair = contexts[last, -2:].tolist()
    return bool((contexts[last, :-2] < 0).all()) and pair == [interests - 1, interests - 2]


@sound
def open_scorer(made: Artifact, interests: int) -> counts.Scorer:
    """The per-user mixture of a table: the same scores that ranked its rows."""
    stored = read_json(made.path / "mixture.json")
    model = counts.read(made.path / "counts")
    by_length = np.array(
        [[fitted[name]["weight"] for name in stored["features"]] for fitted in stored["by_length"]]
    )
    fused, part = stored["fused"], _content(made, stored)
    if fused is None and part is None:
        return counts.Scorer(model, by_length)
    fused = fused or {counts.COUNTS: {"weight": 1.0}}
    planner = logits = None
    if counts.PLANNER in fused:
        planner = open_planner(made, interests)
    if counts.SEQUENCE in fused:
        logits = sequence.read(made.path / "sequence").logits
    weights = np.array([fused[name]["weight"] for name in counts.FUSED if name in fused])
    return counts.Scorer(model, by_length, planner, weights, logits, part)


def _content(made: Artifact, stored: dict[str, Any]) -> counts.ContentPart | None:
    """What content adds to a table's mixture."""
    if not (made.path / "content").exists():
        return None

    def weights(fitted: dict[str, Any] | None) -> NDArray[np.float64]:
        return np.array([(fitted or {}).get(name, {"weight": 0.0})["weight"] for name in CONTENT])

    alone = stored["without_context"]
    return counts.ContentPart(
        content.read_centroids(made.path / "content"),
        weights(stored["fused"]),
        np.append(alone[counts.COUNTS]["weight"], weights(alone)) if alone else None,
    )


@sound
def open_popularity(made: Artifact, scorer: counts.Scorer) -> NDArray[np.float64]:
    """(N,) shares of recent popularity at the half-life that does best by itself, as of a table."""
    best = read_json(made.path / "mixture.json").get("popular")
    return scorer.model.base if best is None else np.exp(scorer.model.popularity[best])


@sound
def is_fitted(made: Artifact) -> bool:
    """Whether weights were fitted on what follows what; where they could not be, popularity alone ranks."""
    stored = read_json(made.path / "mixture.json")
    return not stored.get("unfitted") and "last" not in stored.get("unfounded", ())


@sound
def open_single_user_scorer(made: Artifact, scorer: counts.Scorer) -> counts.SingleUserScorer:
    """The same scores for one user at a time, quickly."""
    if scorer.sequence is None:
        return counts.SingleUserScorer(scorer)
    model = sequence.read(made.path / "sequence")
    return counts.SingleUserScorer(scorer, model.reader(scorer.model.popularity))


@sound
def open_planner(made: Artifact, interests: int) -> counts.PlannerScores | None:
    """The planner's score in a table, even where its weight was fitted to nothing; None without a planner."""
    if not (made.path / "planner").exists():
        return None
    relative = read_json(made.path / "mixture.json").get("relative", False)
    popularity = counts.read(made.path / "counts").base if relative else None
    return counts.PlannerScores(inference.read(made.path / "planner"), interests, popularity)


def churn(old: NDArray[np.int64], new: NDArray[np.int64], top: int = 5) -> NDArray[np.float64]:
    """(n,) share of the top successors that changed, 1 - |A and B| / |A or B|, row by row.

    Args:
        old, new: (n, m) stable interest ids, best first, -1 padded; rows of the same contexts.
    """
    old, new = old[:, :top], new[:, :top]
    shared = ((old[:, :, None] == new[:, None, :]) & (old[:, :, None] >= 0)).sum(axis=(1, 2))
    union = (old >= 0).sum(axis=1) + (new >= 0).sum(axis=1) - shared
    return np.asarray(1.0 - np.where(union > 0, shared / np.maximum(union, 1), 1.0))
