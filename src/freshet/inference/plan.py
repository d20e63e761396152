"""What has to be inferred: everything whose prompt, model, wording or decoding differs from a stored row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.ports import Planner
from freshet.prompts import TEMPLATE
from freshet.types import PlannerRows, Prompt, Usage

WIDTH = 16
"""Bytes of a fingerprint: among 10^9 prompts the chance of any collision is below 10^-20."""


def fingerprint(planner: str, names: Sequence[str], top: int, text: str) -> bytes:
    """Identity of an answer: planner version, template, everything it may answer, row width, prompt.

    Args:
        planner: `Planner.version`; covers weights and decoding.
        names: what the planner can answer (descriptions or labels), in index order.
        top: successors kept.
        text: the prompt, which carries the evidence.
    """
    return _salted(_salt(planner, names, top), text)


def _salt(planner: str, names: Sequence[str], top: int) -> bytes:
    parts = json.dumps([planner, TEMPLATE, top, *names])  # unlike a join, no two lists give one text
    return hashlib.blake2b(parts.encode(), digest_size=WIDTH).digest()


def _salted(salt: bytes, text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=WIDTH, key=salt).digest()


@dataclass(frozen=True, slots=True)
class Plan:
    """Which rows are copied, which are inferred, and what that should cost.

    Attributes:
        prompts: C prompts, one per context.
        fingerprints: (C, 16)
        stored: rows that may be copied.
        source: (C,) row of `stored` to copy, -1 where the row must be inferred.
        expected: tokens and FLOPs of the rows to infer, by the planner's own estimate.
    """

    prompts: Sequence[Prompt]
    fingerprints: NDArray[np.uint8]
    stored: PlannerRows | None
    source: NDArray[np.int64]
    expected: Usage

    @property
    def changed(self) -> NDArray[np.int64]:
        """Rows to infer."""
        return np.flatnonzero(self.source < 0)


def make_plan(
    prompts: Sequence[Prompt], planner: Planner, names: Sequence[str], top: int, stored: PlannerRows | None
) -> Plan:
    """Compare every prompt's fingerprint with the stored rows."""
    salt = _salt(planner.version, names, top)
    fingerprints = np.frombuffer(
        b"".join(_salted(salt, prompt.text) for prompt in prompts), np.uint8
    ).reshape(-1, WIDTH)
    source = np.full(len(prompts), -1, np.int64)
    if stored is not None:
        answered = np.asarray((stored.successors >= 0).any(axis=1))  # a failed row is tried again
        where = {
            bytes(row): index
            for index, (row, ok) in enumerate(zip(stored.fingerprints, answered, strict=True))
            if ok
        }
        source = np.array([where.get(bytes(row), -1) for row in fingerprints], np.int64).reshape(-1)
    expected = planner.size([prompts[index] for index in np.flatnonzero(source < 0).tolist()])
    return Plan(prompts, fingerprints, stored, source, expected)
