"""A release opened to be given away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.core.ports import GivenRelease, RowBlock
from freshet.core.types import Interests
from freshet.stages import interests
from freshet.stages.table import Table
from freshet.storage.release_parts import parts_of
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace

BLOCK = 50_000
"""Rows in memory at a time."""

_ABOUT = ("number", "as_of", "table", "model", "interests", "run")


def open_given(ws: Workspace, release: Release) -> GivenRelease:
    """All that a release answers, read as its table gives it.

    Raises:
        ArtifactError: a part of it is missing or damaged.
    """
    parts = parts_of(ws.store, release)
    known = interests.load(parts.interests.path)
    about = {name: release.as_dict()[name] for name in _ABOUT} | {"workspace": ws.root.resolve().name}
    table = Table(parts.table.path, len(known))
    return given_of(table, known, parts.assignment.path / "assignment.parquet", about)


def given_of(table: Table, known: Interests, assignment: Path, about: dict[str, Any]) -> GivenRelease:
    """A table with what it means.

    Args:
        assignment: Parquet file of (item, interest index).
    """
    rows = _order(table)
    contexts = np.asarray(table.contexts)[rows]

    def blocks() -> Iterator[RowBlock]:
        for start in range(0, len(rows), BLOCK):
            some = rows[start : start + BLOCK]
            yield RowBlock(contexts[start : start + BLOCK], table.successors[some], table.fused[some])

    def items() -> Iterator[tuple[list[str], NDArray[np.int64]]]:
        with pq.ParquetFile(assignment) as file:
            for batch in file.iter_batches(BLOCK, columns=["item", "interest"]):
                yield batch["item"].to_pylist(), np.asarray(batch["interest"], np.int64)

    width = int(table.successors.shape[1])
    return GivenRelease(about, table.k, width, known.ids, known.descriptions, contexts, blocks, items)


def _order(table: Table) -> NDArray[np.int64]:
    """Rows that answer, by their contexts read backwards; that of the empty context always is one."""
    answers = np.asarray(table.successors[:, 0]) >= 0
    answers[0] = True
    rows = np.flatnonzero(answers)
    return rows[np.lexsort(np.asarray(table.contexts)[rows].T)]
