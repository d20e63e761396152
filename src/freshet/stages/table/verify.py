"""Whether a table may be published: every check is named, and all must pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.stages.table.eligibility import Rules
from freshet.stages.table.format import Table

COVERED = "every context is covered"
CHECKS = (
    "every id is a known interest",
    "no row offers an excluded interest",
    "no row repeats an interest",
    "every row is as full as its candidates allow",
    "scores are finite where an interest is offered",
    "rows are ranked by fused score",
)
BLOCK_CELLS = 1 << 24
"""Rows times interests looked at together; bounds memory."""


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
    bad = dict.fromkeys(CHECKS, 0)
    first: dict[str, int] = {}
    block = max(1, BLOCK_CELLS // table.interests)
    for start in range(0, len(expected), block):
        rows = slice(start, start + block)
        for name, found in zip(CHECKS, _violations(table, rows, expected[rows], rules), strict=True):
            bad[name] += int(found.sum())
            if found.any() and name not in first:
                first[name] = start + int(np.flatnonzero(found.reshape(len(found), -1).any(axis=1))[0])

    def seen(name: str) -> str:
        where = ""
        if name in first:
            where = f", first in context {tuple(int(i) for i in table.contexts[first[name]] if i >= 0)}"
        return f"{bad[name]} violations{where}"

    covered = Check(COVERED, True, f"{len(table)} rows")
    return [covered, *(Check(name, bad[name] == 0, seen(name)) for name in CHECKS)]


def _violations(
    table: Table, rows: slice, expected: NDArray[np.int16], rules: Rules
) -> Iterator[NDArray[np.bool_]]:
    """What breaks each of the `CHECKS`, in their order: by row, or by row and place in it."""
    successors = np.asarray(table.successors[rows])
    unknown = (successors >= table.interests) | (successors < -1)
    offered = (successors >= 0) & ~unknown
    fused, count = np.asarray(table.fused[rows]), np.asarray(table.count[rows])
    excluded = rules.excluded(expected)
    forbidden = excluded[np.arange(len(successors))[:, None], np.where(offered, successors, 0)]
    filled = np.minimum((~excluded).sum(axis=1), successors.shape[1])
    ordered = np.sort(np.where(offered, successors, -1 - np.arange(successors.shape[1])), axis=1)
    with np.errstate(invalid="ignore"):
        falling = (offered[:, :-1] & (np.diff(fused, axis=1) <= 0)) | ~offered[:, 1:]
    yield unknown
    yield offered & forbidden
    yield np.diff(ordered, axis=1) == 0
    yield offered.sum(axis=1) != filled
    yield offered & ~(np.isfinite(fused) & np.isfinite(count))
    yield ~falling
