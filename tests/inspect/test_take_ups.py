"""Interests over time: shares of what was taken up, by periods that end where the release begins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from freshet.core.time import day_number
from freshet.inspect import open_release
from freshet.inspect.release_view import artifact
from freshet.inspect.take_ups import TakeUps
from freshet.stages.transitions import TransitionLog
from freshet.storage.manifests import TableManifest
from freshet.storage.workspace import Workspace


@pytest.fixture
def few() -> TakeUps:
    """Seven take-ups of three interests in two weeks and one without any."""
    rows = np.array(
        [(0, -1, 0), (0, 0, 1), (0, 0, 1), (0, 0, 2), (2, 0, 1), (2, 1, 2), (2, -1, 1)],
        dtype=[("p", "i1"), ("l", "i2"), ("s", "i2")],
    )
    starts = ("2024-01-01", "2024-01-08", "2024-01-15")
    return TakeUps(3, 7, starts, rows["p"], rows["l"], rows["s"], len(rows))


def test_shares_are_of_all_that_was_taken_up(few: TakeUps) -> None:
    over = few.popularity(1)
    assert over.shares == [0.5, None, 2 / 3]
    assert over.counts.tolist() == [2, 0, 2]
    assert over.share == 4 / 7
    assert not few.sampled


def test_what_came_after_and_before(few: TakeUps) -> None:
    after = few.after(0, 5)
    assert [(one.interest, one.counts.tolist(), one.totals.tolist()) for one in after] == [
        (1, [2, 0, 1], [3, 0, 1]),
        (2, [1, 0, 0], [3, 0, 1]),
    ]
    assert [one.interest for one in few.before(1, 5)] == [0, -1]  # the second came from nothing recent
    assert few.before(1, 1)[0].shares == [1.0, None, 0.5]
    assert few.after(2, 5) == []


def test_a_release_has_those_of_its_log(counts_serve: Workspace) -> None:
    opened = open_release(counts_serve)
    found = TakeUps.of(counts_serve, opened)
    end = day_number(opened.release.as_of)
    assert day_number(found.starts[-1]) + found.days == end
    made = artifact(counts_serve, "transitions", TableManifest.of(opened.made).inputs.transitions)
    days, rows = TransitionLog(made.path, counts_serve.pool, len(opened.interests)).daily()
    inside = (days >= day_number(found.starts[0])) & (days < end)
    assert len(found.period) == found.rows == rows[inside].sum() > 100
    totals = [found.popularity(index).counts.sum() for index in range(len(opened.interests))]
    assert sum(totals) == found.rows


def test_more_than_can_be_looked_at_is_sampled(
    counts_serve: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freshet.inspect.take_ups.MOST_ROWS", 200)
    found = TakeUps.of(counts_serve, open_release(counts_serve))
    assert found.sampled
    assert 0 < len(found.period) < found.rows


def test_a_log_of_less_than_two_periods_has_none(counts_serve: Workspace) -> None:
    opened = open_release(counts_serve)
    early = replace(opened, release=replace(opened.release, as_of="2024-01-10"))
    found = TakeUps.of(counts_serve, early)
    assert found.starts == ()
    assert found.popularity(0).share == 0
