"""The overlay against sums done by hand, and the bounds it promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freshet.stages.live import Overlay, read, write
from tests.stages.live.worlds import (
    DAY,
    SETTINGS,
    SIZE,
    START,
    Move,
    crowd,
    fresh,
    moves_of,
    records,
    weighted,
)

UNCAPPED = replace(SETTINGS, user_cap=1000)


def by_hand(moves: list[Move], now: int) -> np.ndarray:
    """(P + 1, N) lifts after the last interest 1 where everything was equally usual."""
    out = []
    for days, after in ((1.0, False), (7.0, False), (7.0, True)):
        counts = np.zeros(SIZE)
        for time, _, last, successor in moves:
            if successor >= 0 and (last == 1 or not after):
                counts[successor] += 2.0 ** ((time - now) / (days * DAY))
        share = (counts + 30.0 / SIZE) / (counts.sum() + 30.0)
        out.append(np.clip(np.log(share * SIZE), -np.log(10), np.log(10)))
    return np.array(out)


@given(moves_of, st.randoms(use_true_random=False))
def test_lifts_are_those_of_sums_done_by_hand_in_any_order(moves: list[Move], random) -> None:
    now = START + 90 * DAY
    shuffled = list(moves)
    random.shuffle(shuffled)
    overlay = fresh(UNCAPPED)
    for part in (shuffled[:7], shuffled[7:]):
        overlay.apply(records(part))
    assert np.allclose(overlay.lifts(1, now), by_hand(moves, now), atol=1e-4)
    assert np.allclose(overlay.lifts(-1, now)[:-1], by_hand(moves, now)[:-1], atol=1e-4)
    assert not overlay.lifts(-1, now)[-1].any()


@given(moves_of, st.integers(-1, SIZE - 1), st.integers(START - DAY, START + 200 * DAY))
def test_nothing_lifts_beyond_the_bound(moves: list[Move], last: int, now: int) -> None:
    overlay = fresh()
    overlay.apply(records(moves * 20))
    bonus = overlay.bonus(last, now)
    assert bonus.shape == (SIZE,)
    assert np.isfinite(bonus).all()
    assert np.abs(bonus).max() <= overlay.bound + 1e-9


@given(moves_of, st.integers(0, 30))
def test_a_restart_changes_nothing(moves: list[Move], cut: int) -> None:
    """What was kept, and the moves since, give what an overlay that never stopped has."""
    ordered = records(sorted(moves))
    midnight = int(ordered["time"][min(cut, len(ordered) - 1)] // DAY * DAY) if len(ordered) else START
    before, since = ordered[ordered["time"] < midnight], ordered[ordered["time"] >= midnight]
    through, stopped = fresh(), fresh()
    through.apply(ordered)
    stopped.apply(before)
    again = replace(stopped, seats=np.zeros_like(stopped.seats))  # what an artifact leaves out
    again.apply(since)
    assert np.allclose(through.bonus(1, START + 91 * DAY), again.bonus(1, START + 91 * DAY))


@given(moves_of, moves_of)
def test_lifts_on_the_way_are_those_before_each_move(moves: list[Move], asked: list[Move]) -> None:
    """What was counted strictly before a query, and nothing of its own moment."""
    ordered, queries = records(sorted(moves)), records(sorted(asked))
    at_once, step_by_step = fresh(), fresh()
    found = np.zeros((len(queries), 1 + len(at_once.weights), SIZE))
    at_once.lifts_on_the_way(ordered, queries, found[:, 1:])
    bonus = at_once.bounded(found[:, 1:])
    done = 0
    for row, query in enumerate(queries):
        until = int(np.searchsorted(ordered["time"], query["time"], side="left"))
        step_by_step.apply(ordered[done:until])
        done = until
        last, time = int(query["last"]), int(query["time"])
        np.testing.assert_array_equal(found[row, 1:], step_by_step.lifts(last, time))
        np.testing.assert_array_equal(bonus[row], step_by_step.bonus(last, time))
    step_by_step.apply(ordered[done:])
    assert at_once.clock == step_by_step.clock
    for part in ("popular", "after", "since", "seats"):
        np.testing.assert_array_equal(getattr(at_once, part), getattr(step_by_step, part))


def test_what_is_taken_up_now_rises_and_the_rest_falls() -> None:
    overlay = fresh()
    assert not overlay.bonus(2, START).any()
    overlay.apply(crowd(50, 3, START, last=2))
    bonus = overlay.bonus(2, START + DAY // 24)
    assert bonus[3] > 0
    assert (np.delete(bonus, 3) < 0).all()
    assert overlay.bonus(2, START + 60 * DAY)[3] < bonus[3] / 4


def test_lifts_are_against_what_was_usual_when_the_table_was_made() -> None:
    overlay = fresh()
    overlay.apply(crowd(500, 3, START))
    midnight = START + DAY
    usual = overlay.against(midnight, np.full((SIZE, SIZE), 1 / SIZE))
    assert np.allclose(usual.usual, overlay.shares(midnight))
    assert abs(usual.lifts(-1, midnight)[1, 3]) < 0.05 < overlay.lifts(-1, midnight)[1, 3]


def test_one_user_counts_so_often_a_day_and_anew_the_next() -> None:
    overlay = fresh()
    many = records([(START + i, 7, -1, i % SIZE) for i in range(100)])
    assert overlay.apply(many) == SETTINGS.user_cap
    assert overlay.apply(many) == 0
    many["time"] += DAY
    assert overlay.apply(many) == SETTINGS.user_cap
    many["user"] = 8
    assert overlay.apply(many) == SETTINGS.user_cap


def test_a_late_move_takes_a_place_of_the_current_day() -> None:
    overlay = fresh()
    today = records([(START + DAY, 7, -1, 0)] * 19)
    yesterday = records([(START, 7, -1, 1)] * 5)
    assert overlay.apply(today) == 19
    assert overlay.apply(yesterday) == 1


def test_a_move_of_the_future_counts_as_of_now() -> None:
    overlay, honest = fresh(), fresh()
    overlay.apply(crowd(10, 3, START + 10_000 * DAY), now=START)
    honest.apply(records([(START, user, -1, 3) for user in range(10)]))
    assert np.array_equal(overlay.bonus(-1, START), honest.bonus(-1, START))
    assert overlay.clock == START


def test_what_is_no_move_is_passed_over() -> None:
    overlay = fresh()
    none = records([(START, 1, 0, -1), (START, 2, 0, SIZE), (-5, 3, 0, 1)])
    assert overlay.apply(none) == 0
    assert overlay.apply(records([(START, 1, SIZE + 3, 1)])) == 1  # a last interest of another release
    assert not overlay.after.any()
    assert overlay.apply(records([])) == 0


def test_a_clock_behind_the_last_move_blows_nothing_up() -> None:
    overlay = fresh()
    overlay.apply(crowd(50, 3, START + 80 * DAY))
    assert np.array_equal(overlay.bonus(1, START), overlay.bonus(1, START + 80 * DAY + 49_000_000))


def test_a_copy_goes_its_own_way() -> None:
    overlay = fresh()
    overlay.apply(crowd(20, 3, START))
    other = overlay.copy()
    before = overlay.bonus(-1, START + DAY)
    other.apply(crowd(90, 1, START, first=100))
    assert np.array_equal(overlay.bonus(-1, START + DAY), before)
    assert not np.array_equal(other.bonus(-1, START + DAY), before)


def test_what_follows_an_interest_is_let_go_where_it_has_no_weight() -> None:
    overlay = Overlay.empty(SETTINGS, SIZE, START)
    overlay.apply(crowd(50, 3, START, last=2))
    lean, full = overlay.weighted(np.array([0.5, 1.0, 0.0])), weighted(overlay)
    assert lean.after.size == lean.usual_after.size == 0
    assert np.allclose(lean.bonus(2, START), full.bonus(-1, START))
    lean.apply(crowd(50, 3, START, first=100, last=2))


def test_reading_gives_what_was_written(tmp_path: Path) -> None:
    overlay = fresh()
    overlay.apply(crowd(30, 3, START, last=2))
    write(overlay, tmp_path)
    again = read(tmp_path)
    assert again is not None
    assert again.settings == overlay.settings
    assert np.array_equal(again.bonus(2, START + DAY), overlay.bonus(2, START + DAY))
    assert again.clock == overlay.clock


def test_where_live_signals_dont_pay_there_is_no_overlay(tmp_path: Path) -> None:
    write(None, tmp_path)
    assert read(tmp_path) is None
