"""What a replay may cost is told before a planner behind a server is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from freshet import operations
from freshet.backends.planners.fake import FakePlanner, FakeTuner
from freshet.core.errors import PlannerGone
from freshet.core.types import Interests, Prompt, Ranking, Usage
from freshet.replay import roll
from freshet.replay.frames import Results
from freshet.replay.replay_cost import most
from freshet.wiring import open_sandbox
from tests.pipeline.test_planner_gone import LeavingTuner
from tests.pipeline.world import FAKE, settings, workspace
from tests.replay.test_rolling_origin import NOW, START, planned

pytestmark = pytest.mark.slow

PRICES = "[tuning]\nevery_days = 6\n[prices]\nper_million_tokens = 2\nper_hour = 0\n"


class Paid(FakePlanner):
    """A fake planner that is paid for: ten tokens a prompt, two of them written."""

    asked = 0

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        Paid.asked += len(prompts)
        found = super().rank(prompts, top)
        return replace(found, usage=self.size(prompts))

    def size(self, prompts: Sequence[Prompt]) -> Usage:
        return Usage(10 * len(prompts), written=2 * len(prompts), requests=len(prompts))


class Elsewhere(FakeTuner):
    """Its model is not trained here."""

    @property
    def trains(self) -> bool:
        return False

    def preview(self, interests: Interests) -> Paid:
        return Paid(len(interests))

    def open(self, model: Path, interests: Interests) -> Paid:
        return Paid(len(interests))


class Heard:
    """A reporter that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, name: str):
        return lambda done, total: None


def test_the_most_that_it_may_cost_is_told_first_and_kept(world: Path, tmp_path: Path) -> None:
    heard = Heard()
    ws = replace(
        workspace(tmp_path, settings(world, "fake", FAKE + PRICES)), tuner=Elsewhere(), reporter=heard
    )
    operations.import_log(ws, NOW)
    plan = planned(ws, arms=["hybrid", "counts"])
    sandbox = open_sandbox(ws, START)
    Paid.asked = 0
    cost = most(sandbox, plan)
    assert cost is not None
    assert Paid.asked == 0
    assert (cost.origins, cost.tables, cost.tunings) == (4, 4, 2)
    assert cost.tokens == 10 * cost.requests == 5 * cost.written
    assert cost.money == pytest.approx(cost.tokens * 2 / 1e6)

    roll(sandbox, plan)
    said = [number for number, line in enumerate(heard.lines) if "at most" in line]
    origins = [number for number, line in enumerate(heard.lines) if "arms refreshed" in line]
    assert said
    assert f"{cost.requests:,} requests" in heard.lines[said[0]]
    assert said[0] < min(origins)
    assert 0 < Paid.asked <= cost.requests


def test_a_replay_stops_where_the_planner_is_gone_and_goes_on_with_what_is_left(
    world: Path, tmp_path: Path
) -> None:
    """Counts in place of answers would be judged as the planner."""

    def replayed(root: Path, answers: list[int]) -> tuple[list[str], list[Prompt]]:
        ws = workspace(root, settings(world, "fake", FAKE + PRICES))
        operations.import_log(ws, NOW)
        asked: list[Prompt] = []
        for number in answers:
            tuner = LeavingTuner(number)
            sandbox = open_sandbox(replace(ws, tuner=tuner), START)
            if number < 10_000:
                with pytest.raises(PlannerGone, match=r"prompts of arm 'hybrid' as of .* were not asked"):
                    roll(sandbox, planned(ws, arms=["hybrid"]))
            else:
                made = roll(sandbox, planned(ws, arms=["hybrid"]))
            asked += tuner.asked
        judged = Results.of(made).judged
        return judged["nll"].to_pylist(), asked

    whole, prompts = replayed(tmp_path / "whole", [10_000])
    stopped, twice = replayed(tmp_path / "stopped", [len(prompts) - 5, 10_000])
    assert stopped == whole
    assert len(twice) == len(prompts)


def test_nobody_is_paid_for_counts_or_for_what_is_trained_here(world: Path, tmp_path: Path) -> None:
    ws = workspace(tmp_path, settings(world, "fake", FAKE))
    operations.import_log(ws, NOW)
    assert most(open_sandbox(ws, START), planned(ws, arms=["hybrid"])) is None
    ws = replace(ws, tuner=Elsewhere())
    assert most(open_sandbox(ws, START), planned(ws, arms=["counts"])) is None
