"""What people see of progress."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from freshet.cli import screen, show_inspect
from freshet.cli.screen import Screen
from freshet.inspect.explanation import Explanation, Provenance


def test_the_time_left_follows_from_the_pace_after_the_first_report(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 20.0, 40.0, 41.0, 80.0])
    monkeypatch.setattr(screen, "monotonic", lambda: next(moments))
    written = io.StringIO()
    report = Screen(Console(file=written)).progress("tuning")
    for done in (1, 11, 12, 20):
        report(done, 21)
    assert written.getvalue().splitlines() == [
        "tuning: 1 of 21",  # after 20 s, most of them spent on loading
        "tuning: 11 of 21, about 20 s left",
        "tuning: 20 of 21, about 3 s left",
    ]


def test_a_prompt_of_several_lines_is_shown_as_lines() -> None:
    told = Console(file=io.StringIO(), width=80)
    came = Provenance(1, "2024-01-01", ("2023-01-01", "2024-01-01"), "t", "", "", "i", None, None, None)
    prompt = "The person took up:\n- horror\n\nWhat next?\x1b[1m"
    found = Explanation((), (), False, prompt, None, (), (), (), (), True, "", "", came)
    show_inspect.explanation(told, found)
    assert isinstance(told.file, io.StringIO)
    assert "prompt:\n  The person took up:\n  - horror\n  \n  What next?\\x1b[1m\n" in told.file.getvalue()
