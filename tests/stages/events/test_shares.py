from __future__ import annotations

from pathlib import Path

import pytest

from .shop import each, put, text
from .sources import take


@pytest.mark.parametrize("user", ["0", "-1", "anonymous", "00000000-0000-0000-0000-000000000000"])
def test_an_id_with_much_of_the_log_is_told(tmp_path: Path, user: str) -> None:
    rows = each(lambda n, row: (user, *row[1:]) if n % 4 == 0 else row)
    report = take(tmp_path / "w", put(tmp_path / "events.csv", text(rows)))
    assert report.notes[-1].startswith(f"user {user!r} has 120 of 480 events (25%)")


@pytest.mark.parametrize(
    ("heavy", "others"),
    [
        (20, 480),  # 4 % of the events
        (10, 40),  # one of few users
        (5, 60),  # 8 %, five times the mean
    ],
)
def test_a_busy_person_is_not(tmp_path: Path, heavy: int, others: int) -> None:
    rows = [("busy", str(n), 1_700_000_000 + n, 1) for n in range(heavy)]
    rows += [(f"u{n % 240}", str(n), 1_700_000_000 + n, 1) for n in range(others)]
    report = take(tmp_path / "w", put(tmp_path / "events.csv", text(rows)))
    assert report.added == heavy + others
    assert not [note for note in report.notes if "user 'busy'" in note]
