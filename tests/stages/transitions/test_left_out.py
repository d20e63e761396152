"""Transitions of some users alone: those that stay are everybody's, whatever was parted before."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from freshet.core.types import AsOf, BoolArray, Learners
from freshet.core.user_numbers import keys
from freshet.stages.transitions import Parted, TransitionLog, without
from freshet.stages.transitions import day_files as pool
from freshet.stages.transitions.format import load_counted
from tests.stages.transitions.reference import DAY
from tests.stages.transitions.test_counting import (
    EVER,
    INTERESTS,
    USERS,
    as_found,
    engagements,
    novel_within,
    novelty,
    run,
    small,
)


@pytest.fixture(autouse=True)
def _restore_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test sets it to let small logs take the ways of large ones."""
    monkeypatch.setattr(pool, "SMALL", pool.SMALL)


def parted(folder: Path, whole: Path, name: str, earlier: Parted | None = None) -> tuple[Path, int]:
    """What is left of a count by some users."""
    into = folder / name
    into.mkdir()

    def kept(users: np.ndarray, _: np.ndarray) -> BoolArray:
        return Learners(50).kept(users)

    return into, without(whole, folder / "pool", kept, "", into, earlier)


@settings(max_examples=20, deadline=None)
@given(engagements, engagements, novelty, small)
def test_what_was_parted_before_is_taken_over(
    first: set, more: set, horizon: int | None, own_file: int
) -> None:
    pool.SMALL = own_file
    config = novel_within(horizon)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = run(folder, "before", first, config, None)
        now = run(folder, "now", first | more, config, before)
        earlier = Parted(before, parted(folder, before, "before-part")[0])
        part, left_out = parted(folder, now, "part", earlier)
        once, again = parted(folder, now, "once")
        assert load_counted(part) == load_counted(once)
        assert left_out == again
        whole, some = (TransitionLog(one, folder / "pool", INTERESTS) for one in (now, part))
        assert len(some) == len(whole) - left_out == len(some.between(*EVER))
        learners = {
            user for user in USERS if Learners(50).kept(keys(pa.chunked_array([[user]]))).tolist() == [True]
        }
        assert 0 < len(learners) < len(USERS)
        assert as_found(some) == {row for row in as_found(whole) if row[0] in learners}


def test_files_that_were_seen_are_not_read_again(tmp_path: Path) -> None:
    pool.SMALL = 1  # each day has a file of its own
    events = {("ann", 1 * DAY, 0), ("bo", 1 * DAY, 1), ("bo", 2 * DAY, 2), ("ann", 3 * DAY, 2)}
    before = run(tmp_path, "before", events, novel_within(30), None)
    earlier = Parted(before, parted(tmp_path, before, "before-part")[0])
    now = run(tmp_path, "now", events | {("bo", 9 * DAY, 3)}, novel_within(30), before)
    seen = load_counted(before).transitions
    for filed in seen.values():  # whoever reads them fails
        (tmp_path / "pool" / filed.file).write_bytes(b"damaged")
    part, _ = parted(tmp_path, now, "part", earlier)
    assert len(load_counted(part).transitions) >= 1
    assert str(AsOf.parse("1970-01-10")) in load_counted(now).transitions
