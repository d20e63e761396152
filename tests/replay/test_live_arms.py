"""Scores that take in every event at once: in blocks as one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from freshet.replay import live_arms
from freshet.replay.live_arms import with_live
from freshet.stages import counts
from tests.stages.live.worlds import DAY, SIZE, START, Move, fresh, moves_of, records


@pytest.mark.parametrize("block", [1, 3, 256])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=moves_of, asked=moves_of)
def test_blocks_change_nothing(
    monkeypatch: pytest.MonkeyPatch, block: int, moves: list[Move], asked: list[Move]
) -> None:
    """Moves fall on few moments, so that blocks begin amid those of one moment."""
    monkeypatch.setattr(live_arms, "BLOCK", block)
    seen, queries = (records([_at_noon(move) for move in some]) for some in (moves, asked))
    logp = np.log(np.random.default_rng(0).dirichlet(np.ones(SIZE), len(queries)))
    known = np.zeros((len(queries), SIZE), bool)
    together = fresh()
    found = with_live(logp, known, together, seen, queries)
    for row, query in enumerate(queries):
        alone = fresh()
        alone.apply(np.sort(seen[seen["time"] < query["time"]], order="time", kind="stable"))
        bonus = alone.bonus(int(query["last"]), int(query["time"]))
        expected = counts.log_softmax(logp[row : row + 1] + bonus, known[row : row + 1])
        np.testing.assert_allclose(found[row : row + 1], expected, rtol=1e-6)
    alone = fresh()
    alone.apply(np.sort(seen, order="time", kind="stable"))
    assert together.clock == alone.clock
    np.testing.assert_allclose(together.popular, alone.popular)


def _at_noon(move: Move) -> Move:
    time, *rest = move
    user, last, successor = rest
    return START + (time - START) // (20 * DAY) * 20 * DAY, user, last, successor
