"""What new users alone do is held back; what established users do too is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freshet.core.errors import ArtifactError
from freshet.core.time import DAY
from freshet.stages.screen import format as files
from tests.stages.screen.crowds import DAYS, LIMITS, SIZE, START, crowd, joined, screened, usual


def test_an_honest_log_loses_next_to_nothing() -> None:
    assert len(screened(usual()).moves) <= 3


@pytest.mark.parametrize("users", [30, 300, 3000])
def test_a_campaign_of_any_size_adds_a_bounded_number(users: int) -> None:
    held = screened(joined(usual(), crowd(users)))
    mine = [burst for burst in held.bursts if (burst.day, burst.successor) == (START + DAYS - 1, 3)]
    assert len(mine) == 1
    counted = mine[0].came - mine[0].held
    assert counted <= 20  # 10 new users a day over 8 interests: 1.25 are usual
    assert mine[0].alone >= users
    assert mine[0].established > 0


def test_without_the_bounds_the_campaign_counts() -> None:
    assert len(screened(joined(usual(), crowd(300)), replace(LIMITS, growth=1e9)).moves) == 0


def test_a_campaign_that_drips_over_ten_days_is_held_too() -> None:
    log = joined(usual(), *(crowd(30, day, seed=day) for day in range(DAYS - 10, DAYS)))
    held = screened(log)
    counted = sum(burst.came - burst.held for burst in held.bursts if burst.successor == 3)
    assert counted < 150  # of 300


def test_a_premiere_goes_through() -> None:
    """Established users come as well, so new users' moves are borne out."""
    premiere = crowd(120)
    everybody = crowd(400, seed=2)
    held = screened(joined(usual(), premiere, (everybody[0], np.zeros(400, bool))))
    assert len(held.moves) <= 6


def test_moves_from_one_interest_to_another_are_bounded_by_themselves() -> None:
    """Few enough for the successor's own bound, too many for the pair's."""
    many = usual(established=80, new=80)
    many[0]["last"][many[1] & (many[0]["last"] == 5)] = 6  # new users don't come from there
    held = screened(joined(many, crowd(10, last=5)))
    assert (held.moves["last"] == 5).sum() >= 5
    assert set(held.moves["successor"].tolist()) <= {3}


def test_trusted_interests_are_left_alone() -> None:
    assert len(screened(joined(usual(), crowd(300)), trusted=(3,)).moves) <= 3


def test_the_longest_past_counts_first_then_the_earliest() -> None:
    log = crowd(100)
    log[0]["known"][50:] = 3
    log[0]["last"][50:] = 1
    rows, new = joined(usual(), log)
    held = screened((rows, new))
    assert (held.moves["last"] < 0).sum() >= 49


def test_later_days_change_nothing_about_earlier_ones() -> None:
    rows, new = joined(usual(), crowd(200, 40), crowd(200, 55))
    before = rows["time"] // DAY < START + 50
    early, everything = screened((rows[before], new[before])), screened((rows, new))
    same = everything.moves[everything.moves["time"] // DAY < START + 50]
    assert len(early.moves) > 100
    assert np.array_equal(early.moves, same)


def test_other_names_of_users_change_nothing() -> None:
    rows, new = joined(usual(), crowd(200))
    held = screened((rows, new))
    renamed = rows.copy()
    renamed["user"] = rows["user"] ^ np.uint64(0x5DEECE66D)
    again = screened((renamed, new))
    assert held.bursts == again.bursts
    back = np.sort(again.moves["user"] ^ np.uint64(0x5DEECE66D))
    assert np.array_equal(np.sort(held.moves["user"]), back)


def test_one_more_user_adds_one_move_at_most() -> None:
    def counted(users: int) -> int:
        rows, new = joined(usual(), crowd(users))
        held = screened((rows, new))
        return int((rows["successor"] == 3).sum() - (held.moves["successor"] == 3).sum())

    steps = [counted(users + 1) - counted(users) for users in range(0, 40, 3)]
    assert max(steps) <= 1
    assert min(steps) >= 0
    assert steps[-1] == 0  # beyond the bound one more changes nothing


def test_a_log_that_has_just_begun_is_not_screened() -> None:
    assert len(screened(crowd(10)).moves) == 0


def test_where_most_users_are_new_nothing_is_screened() -> None:
    """Of a young platform they are what there is to learn from: a flood of them is no campaign."""
    assert len(screened(joined(usual(established=10, new=40), crowd(300))).moves) == 0
    assert len(screened(joined(usual(established=40, new=40), crowd(300))).moves) > 200


def test_a_flood_of_new_users_does_not_end_the_screen() -> None:
    """They take up everything alike for days, and so outnumber the established; then come those who push."""
    flood = usual(seed=5, established=1, new=800)
    late = flood[0]["time"] // DAY >= START + DAYS - 15
    before = flood[0]["time"] // DAY < START + DAYS - 1
    some = (flood[0][late & before], flood[1][late & before])
    held = screened(joined(usual(), some, crowd(6000)))
    pushed = [burst for burst in held.bursts if (burst.day, burst.successor) == (START + DAYS - 1, 3)]
    assert len(pushed) == 1
    assert pushed[0].held > 4000


def test_what_was_held_back_is_read_as_it_was_written(tmp_path: Path) -> None:
    held = screened(joined(usual(), crowd(200)))
    files.write(held, tmp_path)
    again = files.read(tmp_path)
    assert np.array_equal(again.moves, held.moves)
    assert (again.bursts, again.judged) == (held.bursts, held.judged)
    (tmp_path / "bursts.parquet").write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match="held back"):
        files.read(tmp_path)


def test_steps_that_are_held_back_are_told_by_user_and_time() -> None:
    rows, new = joined(usual(), crowd(200))
    held = screened((rows, new))
    kept = held.kept(rows["user"], rows["time"])
    assert int((~kept).sum()) == len(held.moves)
    assert held.kept(rows["user"], rows["time"] + 1).all()
    assert int(rows["successor"].max()) < SIZE
