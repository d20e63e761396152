"""Work that others wait beside makes pauses as long as its parts, up to a bound; other work makes none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from freshet.core import pauses
from freshet.core.pauses import LONGEST, NONE, Pauses


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> tuple[SimpleNamespace, list[float]]:
    """A clock that is set by hand, and what was slept."""
    clock, sleeps = SimpleNamespace(now=0.0), list[float]()

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        clock.now += seconds

    monkeypatch.setattr(pauses, "time", SimpleNamespace(perf_counter=lambda: clock.now, sleep=sleep))
    return clock, sleeps


def test_a_pause_is_as_long_as_the_part_before_it(slept: tuple[SimpleNamespace, list[float]]) -> None:
    clock, sleeps = slept
    taken = Pauses()
    clock.now += 0.02
    assert taken.after("made") == "made"
    clock.now += 0.03
    taken()
    clock.now += 7.0
    taken()
    assert sleeps == pytest.approx([0.02, 0.03, LONGEST])


def test_where_nobody_waits_there_is_none(slept: tuple[SimpleNamespace, list[float]]) -> None:
    clock, sleeps = slept
    clock.now += 5.0
    assert NONE.after(1) == 1
    assert sleeps == []
