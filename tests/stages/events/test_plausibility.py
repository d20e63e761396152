"""From when until when a log reaches, whatever single rows say."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from freshet.stages.events.event_days import DayFile
from freshet.stages.events.plausibility import body

FIRST = date(2022, 3, 1)
EventsByDay = dict[int, tuple[int, int]]  # day, counted from FIRST -> events, users


def span(by_day: EventsByDay) -> tuple[int, int]:
    """First and last day of the body, counted from FIRST."""
    ordered = sorted(by_day)
    days = [DayFile(FIRST + timedelta(days=n), Path(str(n)), by_day[n][0], "", 0) for n in ordered]
    found = body(days, lambda day: by_day[int(str(day.path))][1])
    return (found[0].day - FIRST).days, (found[-1].day - FIRST).days


BASE: EventsByDay = dict.fromkeys(range(60), (60, 18))


@pytest.mark.parametrize(
    "stray",
    [
        {60: (1, 1)},  # tomorrow
        {-8_000: (1, 1)},  # 1999
        {-18_000: (3, 2), -8_000: (1, 1), 400: (1, 1)},
        {60: (1, 1), 61: (2, 1), 62: (1, 1)},
        {60: (20_000, 1)},  # a bot whose clock is ahead
        {-8_000: (30, 20)},  # several people, long before
        {700: (30, 20)},
        {59: (1, 1)} | {60 + n * 40: (1, 1) for n in range(9)},
    ],
)
def test_stray_rows_move_neither_end(stray: EventsByDay) -> None:
    assert span(BASE | stray)[0] == 0
    assert span(BASE | stray)[1] in (58, 59)
    assert span(BASE | stray)[1] == (58 if 59 in stray else 59)


@pytest.mark.parametrize(
    "by_day",
    [
        {0: (5, 5)},
        {0: (5, 5), 1: (5, 5)},
        dict.fromkeys(range(0, 300, 9), (2, 1)),  # slow, with regular silence
        {n: (60, 18) for n in range(60) if n % 7 < 5},  # weekdays alone
        {n: (60 if n % 7 < 5 else 12, 18 if n % 7 < 5 else 5) for n in range(60)},  # thin weekends
        {n: (1 + n, 1 + n) for n in range(60)},  # a launch
        {0: (5_000, 4_000)} | dict.fromkeys(range(1, 9), (60, 18)),  # one with a crowd on the first day
        {n: (60, 18) for n in range(60) if not 20 < n < 50},  # closed for a month
        dict.fromkeys([*range(60), *range(90, 95)], (60, 18)),  # and open again
        dict.fromkeys((0, 400), (1, 1)),
    ],
)
def test_logs_without_stray_rows_keep_all_their_days(by_day: EventsByDay) -> None:
    assert span(by_day) == (min(by_day), max(by_day))


def test_users_are_counted_in_the_files(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    days = []
    for n in range(9):
        users = ["bot"] * 500 if n == 8 else [f"u{i % 20}" for i in range(60)]
        path = tmp_path / f"{n}.parquet"
        pq.write_table(pa.table({"user": users}), path)
        days.append(DayFile(FIRST + timedelta(days=n), path, len(users), "", 0))
    assert body(days) == tuple(days[:8])
