"""What has to be inferred: everything whose prompt, model, wording or decoding differs from a stored row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.ports import Planner
from freshet.core.prompts import Prompts, Wording
from freshet.core.types import PlannerRows, Prompt, Usage

WIDTH = 16
"""Bytes of a fingerprint: among 10^9 prompts the chance of any collision is below 10^-20."""


def fingerprints(planner: str, wording: Wording, top: int, prompts: Sequence[bytes]) -> list[bytes]:
    """Identity of each answer: planner version, wording, everything it may answer, row width, prompt.

    Args:
        planner: `Planner.version`; covers weights and decoding.
        wording: its names are what the planner can answer, in index order.
        top: successors kept.
        prompts: `Prompts.identities()`.
    """
    # unlike a join, no two lists give one text
    parts = json.dumps([planner, wording.version, top, *wording.names])
    salt = hashlib.blake2b(parts.encode(), digest_size=WIDTH).digest()
    return [hashlib.blake2b(prompt, digest_size=WIDTH, key=salt).digest() for prompt in prompts]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which rows are copied and which are inferred.

    Attributes:
        prompts: C prompts.
        fingerprints: (C, 16)
        stored: rows that may be copied.
        source: (C,) row of `stored` to copy, -1 where the row must be inferred.
        twin: (C,) the first row with the same fingerprint; what it is answered holds for all of them.
    """

    prompts: Prompts
    fingerprints: NDArray[np.uint8]
    stored: PlannerRows | None
    source: NDArray[np.int64]
    twin: NDArray[np.int64]

    @property
    def changed(self) -> NDArray[np.int64]:
        """Rows to infer, each prompt once."""
        return np.flatnonzero((self.source < 0) & (self.twin == np.arange(len(self.twin))))


def make_plan(prompts: Prompts, planner: str, top: int, stored: PlannerRows | None) -> Plan:
    """Compare every prompt's fingerprint with the stored rows.

    Args:
        planner: `Planner.version`.
    """
    found = fingerprints(planner, prompts.wording, top, prompts.identities())
    first = {print_: row for row, print_ in reversed(list(enumerate(found)))}
    where: dict[bytes, int] = {}
    if stored is not None:
        answered = (np.asarray(stored.successors) >= 0).any(axis=1)  # a failed row is tried again
        data = np.asarray(stored.fingerprints).tobytes()
        where = {data[WIDTH * row : WIDTH * (row + 1)]: row for row in np.flatnonzero(answered).tolist()}
    return Plan(
        prompts,
        np.frombuffer(b"".join(found), np.uint8).reshape(-1, WIDTH),
        stored,
        np.array([where.get(print_, -1) for print_ in found], np.int64),
        np.array([first[print_] for print_ in found], np.int64),
    )


def chunks(plan: Plan, size: int) -> Iterator[list[Prompt]]:
    """The prompts to infer, in the parts in which they are ranked."""
    for start in range(0, len(plan.changed), size):
        yield plan.prompts.take(plan.changed[start : start + size].tolist())


def expected(plan: Plan, planner: Planner, chunk: int, sample: int = 4) -> Usage:
    """What the rows to infer should cost, by the planner's own estimate.

    Args:
        chunk: rows that are asked together; prompts of a chunk may share what they begin with.
        sample: of more chunks than this, so many are sized, evenly spread; the rest cost alike.
    """
    rows = plan.changed
    starts = list(range(0, len(rows), chunk))
    sized = [rows[start : start + chunk] for start in starts[:: -(-len(starts) // sample) or 1]]
    usage = sum((planner.size(plan.prompts.take(part.tolist())) for part in sized), Usage())
    scale = len(rows) / max(sum(map(len, sized)), 1)
    return Usage(
        round(usage.tokens * scale),
        usage.flops * scale,
        round(usage.written * scale),
        round(usage.requests * scale),
    )
