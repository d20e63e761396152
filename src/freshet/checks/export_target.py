"""What every place that releases are given to promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from freshet.core.ports import ExportTarget, GivenRelease, RowBlock, silent

Read = Callable[[list[int]], list[int]]
"""Stable ids of a context, most recent last -> those of its successors, as readers find them."""


class _Interrupted(Exception):
    """Stands for whatever may go wrong while a release is written."""


def small_release(number: int, shift: int = 0) -> GivenRelease:
    """A release of four interests, k = 2, whose rows follow from `shift`; two rows are missing."""
    ids = np.array([10, 20, 30, 40], np.int32)
    contexts = [
        (-1, -1),
        *((-1, i) for i in range(4)),
        *((a, b) for a in range(4) for b in range(4) if a != b),
    ]
    rows = np.array(sorted({*contexts} - {(0, 1), (2, 3)}, key=lambda one: one[::-1]), np.int16)
    order = np.array([[(i + shift) % 4 for i in range(4)]] * len(rows), np.int16)
    own = (order[:, :, None] == rows[:, None, :]).any(axis=2)
    successors = np.full((len(rows), 3), -1, np.int16)
    for row, (ranked, known) in enumerate(zip(order, own, strict=True)):
        left = ranked[~known][:3]
        successors[row, : len(left)] = left
    scores = -np.arange(3, dtype=np.float32) - np.arange(len(rows), dtype=np.float32)[:, None]
    about: dict[str, Any] = {"number": number, "as_of": "2024-05-01", "workspace": "shop"}

    def blocks() -> Iterator[RowBlock]:
        for start in range(0, len(rows), 4):
            end = start + 4
            yield RowBlock(rows[start:end], successors[start:end], scores[start:end])

    return GivenRelease(
        about, 2, 3, ids, ("jazz", "soul", "é🎬", "folk"), rows, blocks,
        lambda: iter([(["a", "b"], np.array([0, 3]))]),
    )  # fmt: skip


def check_export_target(target: ExportTarget, read: Read) -> None:
    """Run an empty target through its port's contract; leaves a small release in it.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    first, second = small_release(1), small_release(2, shift=1)
    written = target.write(first, silent)
    assert written.rows == len(first.contexts), f"{written.rows} rows written, not {len(first.contexts)}"
    assert written.bytes > 0, "nothing was written"
    _check_same(first, read, "after the first release")
    target.write(second, silent)
    _check_same(second, read, "after the second release")
    _check_interrupted(target, first)
    _check_same(second, read, "after an export that was interrupted")
    target.write(first, silent)
    _check_same(first, read, "after the first release was given again")


def _check_same(given: GivenRelease, read: Read, when: str) -> None:
    """Every row comes back; a context without one is answered by its last interest's row, or is empty."""
    for block in given.blocks():
        for context, successors in zip(block.contexts.tolist(), block.successors.tolist(), strict=True):
            asked = [int(given.ids[i]) for i in context if i >= 0]
            wanted = [int(given.ids[i]) for i in successors if i >= 0]
            found = read(asked)
            assert found == wanted, f"{when}, context {asked} gives {found}, not {wanted}"


def _check_interrupted(target: ExportTarget, given: GivenRelease) -> None:
    def blocks() -> Iterator[RowBlock]:
        yield next(given.blocks())
        raise _Interrupted

    raised = False
    try:
        target.write(replace(given, blocks=blocks), silent)
    except _Interrupted:
        raised = True
    assert raised, "an error while rows were read was swallowed"
