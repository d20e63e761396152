"""In live signals users without a past count for less."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freshet.stages.live import read, write
from tests.stages.live.worlds import DAY, SETTINGS, SIZE, START, crowd, fresh

NOW = START + DAY


def test_ten_new_users_count_as_one_established_one() -> None:
    light = replace(SETTINGS, new_user=0.1)
    known = np.arange(1, 2, dtype=np.uint64)
    one, ten = (replace(fresh(light), established=known) for _ in range(2))
    one.apply(crowd(1, 3, NOW, first=1))
    ten.apply(crowd(10, 3, NOW, first=1000))
    assert ten.popular[-1, 3] == pytest.approx(one.popular[-1, 3], rel=1e-3)
    assert ten.after.sum() == one.after.sum() == 0


def test_a_crowd_of_new_users_moves_little_and_one_of_established_users_much() -> None:
    people = np.arange(1, 401, dtype=np.uint64)
    light = replace(fresh(replace(SETTINGS, new_user=0.1)), established=people)
    full = fresh()
    for overlay in (light, full):
        overlay.apply(crowd(200, 3, NOW, first=1000))
    assert light.bonus(-1, NOW)[3] < 0.7 * full.bonus(-1, NOW)[3]
    light.apply(crowd(200, 3, NOW, first=1))
    assert light.bonus(-1, NOW)[3] > 0.9 * full.bonus(-1, NOW)[3]


def test_a_burst_of_new_users_is_still_reported() -> None:
    overlay = fresh(replace(SETTINGS, new_user=0.1))
    for day in range(5):
        for interest in range(SIZE):
            overlay.apply(crowd(100, interest, START + day * DAY, first=1000 * interest))
    assert overlay.bursts(NOW + 5 * DAY) == []
    overlay.apply(crowd(300, 3, NOW + 5 * DAY, first=9000))
    assert [burst.successor for burst in overlay.bursts(NOW + 5 * DAY)] == [3]


def test_who_is_established_is_kept_where_others_count_less(tmp_path: Path) -> None:
    known = np.array([3, 9], np.uint64)
    overlay = replace(fresh(replace(SETTINGS, new_user=0.25)), established=known)
    write(overlay, tmp_path)
    again = read(tmp_path)
    assert again is not None
    assert again.settings == overlay.settings
    assert again.established.tolist() == [3, 9]


def test_an_overlay_of_before_counts_everybody_in_full(tmp_path: Path) -> None:
    write(fresh(), tmp_path)
    about = (tmp_path / "overlay.json").read_text()
    (tmp_path / "overlay.json").write_text(
        about.replace(',\n "new_user": 1.0', "").replace(', "new_user": 1.0', "")
    )
    assert not (tmp_path / "established.npy").exists()
    again = read(tmp_path)
    assert again is not None
    assert again.settings.new_user == 1.0
