"""Whether a table may be published: every check is named, and all must pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.stages.table.eligibility import Rules
from freshet.stages.table.format import Table

COVERED = "every context is covered"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was asked, whether it held, and what was seen."""

    name: str
    passed: bool
    seen: str


def verify(table: Table, expected: NDArray[np.int16], rules: Rules) -> list[Check]:
    """All structural checks of a table.

    Args:
        table: the candidate.
        expected: (C, k) contexts it must cover.
        rules: eligibility it must obey.
    """
    if not np.array_equal(np.asarray(table.contexts), expected):  # nothing else can be judged then
        return [Check(COVERED, False, f"{len(table)} rows, {len(expected)} expected, or in another order")]
    successors = np.asarray(table.successors)
    unknown = (successors >= table.interests) | (successors < -1)
    offered = (successors >= 0) & ~unknown
    fused, count = np.asarray(table.fused), np.asarray(table.count)
    excluded = rules.excluded(expected)
    rows = np.arange(len(successors))[:, None]
    forbidden = excluded[rows, np.where(offered, successors, 0)]
    candidates = (~excluded).sum(axis=1)
    filled = np.minimum(candidates, successors.shape[1])
    ordered = np.sort(np.where(offered, successors, -1 - np.arange(successors.shape[1])), axis=1)
    with np.errstate(invalid="ignore"):
        falling = (offered[:, :-1] & (np.diff(fused, axis=1) <= 0)) | ~offered[:, 1:]
    finite = np.isfinite(fused) & np.isfinite(count)

    def check(name: str, bad: NDArray[np.bool_]) -> Check:
        count = int(bad.sum())
        where = ""
        if count:
            first = int(np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))[0])
            where = f", first in context {tuple(int(i) for i in table.contexts[first] if i >= 0)}"
        return Check(name, count == 0, f"{count} violations{where}")

    return [
        Check(COVERED, True, f"{len(table)} rows"),
        check("every id is a known interest", unknown),
        check("no row offers an excluded interest", offered & forbidden),
        check("no row repeats an interest", np.diff(ordered, axis=1) == 0),
        check("every row is as full as its candidates allow", offered.sum(axis=1) != filled),
        check("scores are finite where an interest is offered", offered & ~finite),
        check("rows are ranked by fused score", ~falling),
    ]
