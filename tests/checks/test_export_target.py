"""The contract of export targets refuses those that break it."""

from __future__ import annotations

from typing import Any

import pytest

from freshet.checks.export_target import check_export_target
from freshet.core.ports import GivenRelease, Progress, Written


class Memory:
    """A target in memory; `whole` = it switches at the end."""

    name = "memory"

    def __init__(self, whole: bool) -> None:
        self.whole = whole
        self.rows: dict[tuple[int, ...], list[int]] = {}

    def write(self, given: GivenRelease, progress: Progress) -> Written:
        rows: dict[tuple[int, ...], list[int]] = {}
        if not self.whole:
            self.rows = rows
        for block in given.blocks():
            for context, found in zip(block.contexts.tolist(), block.successors.tolist(), strict=True):
                ids = [[int(given.ids[i]) for i in part if i >= 0] for part in (context, found)]
                rows[tuple(ids[0])] = ids[1]
        self.rows = rows
        return Written(len(rows), 1, "memory")


def read(target: Memory) -> Any:
    return lambda context: target.rows.get(tuple(context), [])


def test_a_target_that_switches_at_the_end_keeps_the_contract() -> None:
    target = Memory(whole=True)
    check_export_target(target, read(target))


def test_a_target_that_shows_a_part_breaks_it() -> None:
    target = Memory(whole=False)
    with pytest.raises(AssertionError, match="after an export that was interrupted"):
        check_export_target(target, read(target))
