"""How well an arm ranked what people took up next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.core.types import AsOf, BoolArray, Evidence, IntArray, Transitions
from freshet.replay.frames import JUDGED

TOP = 10
"""First successors that are written down."""


@dataclass(frozen=True, slots=True)
class HorizonLabels:
    """What each evaluated transition's user took up within the horizon, the transition itself included.

    Attributes:
        taken: (n, N) interests, by transition.
    """

    taken: BoolArray

    @classmethod
    def of(cls, test: Transitions, after: Transitions, horizon: int) -> HorizonLabels:
        """From the transitions of the evaluated window and those after it.

        An interest counts if the user did not know it at that step: what was taken up earlier on the
        same day was known by then.
        """
        rows, n = np.arange(len(test)), len(test)
        taken = np.zeros(test.known.shape, bool)
        taken[rows, test.successor] = True
        user = np.concatenate([test.user, after.user])
        day = np.concatenate([test.day, after.day])
        successor = np.concatenate([test.successor, after.successor])
        order = np.lexsort((day, user))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        for way in (1, -1):
            there = place[:n] + way
            while True:
                inside = (there >= 0) & (there < len(order))
                other = order[np.clip(there, 0, len(order) - 1)]
                within = (day[other] >= test.day) & (day[other] < test.day + horizon)
                same = inside & (user[other] == test.user) & within
                if not same.any():
                    break
                taken[rows[same], successor[other[same]]] = True
                there = there + way
        return cls(taken & ~test.known)


@dataclass(frozen=True, slots=True)
class ArmScores:
    """An arm's scores for n transitions.

    Attributes:
        logp: (n, N) log-probabilities of candidates, -inf at what the user knows.
        planner: (n, N) those of the planner alone, or None.
        outputs, bare: (n,) the planner's first successor for the user's own context, with the arm's prompt
            and with one that carries no evidence; -1 where there is none.
        named: (n,) the successor that the arm's evidence names first for that context, -1 for none.
    """

    logp: NDArray[np.float64]
    planner: NDArray[np.float64] | None = None
    outputs: IntArray | None = None
    bare: IntArray | None = None
    named: IntArray | None = None


def evaluate(
    arm: str,
    origin: AsOf,
    made: AsOf,
    ranked: ArmScores,
    popular: NDArray[np.float64],
    test: Transitions,
    labels: HorizonLabels,
) -> pa.Table:
    """One row per transition; see `frames.JUDGED`.

    Args:
        popular: (N,) breaks ties, which an order of ids would decide by chance.
    """
    n = len(test)
    order = np.lexsort((np.broadcast_to(-popular, ranked.logp.shape), -ranked.logp), axis=1)  # (n, N)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(order.shape[1]), order.shape), axis=1)
    rows, width = np.arange(n), min(TOP, ranked.logp.shape[1])
    first = ranked.logp[rows, order[:, 0]]
    columns = {
        "arm": pa.array([arm] * n, pa.string()),
        "origin": pa.array([origin.day] * n, pa.date32()),
        "made": pa.array([made.day] * n, pa.date32()),
        "row": rows,
        "user": test.user,
        "day": pa.array(test.day, pa.int32()).cast(pa.date32()),
        "length": np.minimum((test.recent >= 0).sum(axis=1), 2),
        "recent": pa.array([[i for i in row if i >= 0] for row in test.recent.tolist()]),
        "successor": test.successor,
        "candidates": (~test.known).sum(axis=1),
        "rank": rank[rows, test.successor],
        "nll": -ranked.logp[rows, test.successor],
        "rank_any": np.where(labels.taken, rank, rank.shape[1]).min(axis=1),
        "top": pa.array(_offered(order[:, :width], ranked.logp)),
        "p_top": np.exp(first),
        **_planner_columns(ranked, popular, test),
    }
    return pa.table({name: _column(values, JUDGED.field(name).type) for name, values in columns.items()})


def share_equal(a: IntArray, b: IntArray) -> float | None:
    """Share of rows with equal values, of those in which neither is -1; None without one."""
    both = (a >= 0) & (b >= 0)
    return float((a[both] == b[both]).mean()) if both.any() else None


def first_in_evidence(evidence: Evidence, contexts: NDArray[np.int16]) -> IntArray:
    """(n,) the successor that evidence names first for each context (n, k), -1 for none."""
    row = evidence.find(contexts)
    if not len(evidence):
        return np.full(len(contexts), -1)
    return np.where(row >= 0, evidence.successors[row, 0], -1)


def _planner_columns(ranked: ArmScores, popular: NDArray[np.float64], test: Transitions) -> dict[str, object]:
    n = len(test)
    nothing: list[None] = [None] * n
    found: dict[str, object] = {
        "planner_rank": nothing,
        "planner_nll": nothing,
        "planner_top1": _known(ranked.outputs, n),
        "evidence_top1": _known(ranked.named, n),
        "bare_top1": _known(ranked.bare, n),
    }
    if ranked.planner is not None:
        rows = np.arange(n)
        right = ranked.planner[rows, test.successor][:, None]
        before = (ranked.planner > right) | (
            (ranked.planner == right) & (popular > popular[test.successor][:, None])
        )
        with_context = test.recent[:, -1] >= 0  # a planner isn't queried for users without a recent interest
        found["planner_rank"] = pa.array(before.sum(axis=1), mask=~with_context)
        found["planner_nll"] = pa.array(-right[:, 0], mask=~with_context)
    return found


def _known(values: IntArray | None, n: int) -> object:
    if values is None:
        return [None] * n
    return pa.array(values, mask=values < 0)


def _offered(order: NDArray[np.int64], logp: NDArray[np.float64]) -> list[list[int]]:
    finite = np.isfinite(np.take_along_axis(logp, order, axis=1))
    return [
        [i for i, ok in zip(row, fit, strict=True) if ok]
        for row, fit in zip(order.tolist(), finite.tolist(), strict=True)
    ]


def _column(values: object, kind: pa.DataType) -> pa.Array:
    found = values if isinstance(values, pa.Array) else pa.array(values)
    return found.cast(kind)
