"""Contexts part by part: the same scores as the table's, and sentences about where parts disagree."""

from __future__ import annotations

import math

from freshet.inspect import open_release
from freshet.inspect.context_scores import ContextScorer, ScoreLine, Standing, differences
from freshet.storage.workspace import Workspace


def line(id: int, fused: int, counts: int, planner: int) -> ScoreLine:
    """An interest at these places."""
    places = {"counts": counts, "planner": planner}
    parts = {name: Standing(1 / (1 + place), place) for name, place in places.items()}
    return ScoreLine(id, f"interest {id}", Standing(1 / (1 + fused), fused), parts, None, None)


def test_the_widest_gaps_are_told() -> None:
    found = differences([line(1, 1, 2, 1), line(2, 2, 1, 30), line(3, 3, 12, 2), line(4, 4, 3, 3)])
    assert found[0] == "The planner and the counts share 2 of their first 3 interests."
    assert "The planner puts 'interest 3' 2nd, the counts put it 12th." in found
    assert "The planner puts 'interest 2' 30th, the counts put it 1st." in found
    assert "All parts together put 'interest 3' 3rd; by counts alone it would be 12th." in found
    assert found[-1] == "First by all parts together is 'interest 1', as by the planner."


def test_parts_that_agree_leave_nothing_to_tell() -> None:
    found = differences([line(1, 1, 1, 1), line(2, 2, 2, 2)])
    assert len(found) == 2
    assert found[-1].endswith("as by the counts and by the planner.")
    assert differences([]) == []


def test_a_winner_of_no_part_alone_is_told() -> None:
    assert differences([line(1, 1, 2, 3)])[-1].endswith("which no part alone puts first.")


def test_scores_are_those_of_the_table(planner_serves: Workspace) -> None:
    opened = open_release(planner_serves)
    scorer = ContextScorer(opened)
    for context in ((), (2,), (4, 2)):
        row = opened.table.look_up(context)
        scores = scorer(context, top=5)
        best = sorted(scores.lines, key=lambda one: one.fused.place)[:3]
        assert [one.id for one in best] == [opened.named(i).id for i in row.successors[:3].tolist()]
        for one, fused, count in zip(best, row.fused.tolist(), row.count.tolist(), strict=False):
            assert math.isclose(one.fused.probability, math.exp(fused), rel_tol=1e-3)
            assert math.isclose(one.parts["counts"].probability, math.exp(count), rel_tol=1e-3)
        assert not {opened.named(i).id for i in context} & {one.id for one in scores.lines}
        assert scores.parts == (("counts", "planner") if context else ("counts",))
        assert scores.differences
