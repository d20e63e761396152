"""Planners that misbehave in one known way, around the fake one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from freshet.backends.planners.fake import FakePlanner
from freshet.core.errors import PlannerError
from freshet.core.ports import Planner
from freshet.core.types import Prompt, Ranking, Usage


@dataclass
class Watched(Planner):
    """A fake planner that remembers what it was asked.

    Attributes:
        bad: texts it cannot rank.
        calls_left: it is interrupted (as by Ctrl-C) once these are used up.
        width: it finds at most so many successors.
    """

    interests: int
    seed: int = 0
    bad: frozenset[str] = frozenset()
    calls_left: int = 10**9
    width: int = 10**9
    asked: list[str] = field(default_factory=list)

    @property
    def version(self) -> str:
        return f"watched-{self.seed}"

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        if self.calls_left == 0:
            raise KeyboardInterrupt
        self.calls_left -= 1
        for prompt in prompts:
            if prompt.text in self.bad:
                raise PlannerError(f"can't read {prompt.text!r}")
        self.asked += [prompt.text for prompt in prompts]
        return FakePlanner(self.interests, self.seed).rank(prompts, min(top, self.width))

    def size(self, prompts: Sequence[Prompt]) -> Usage:
        return Usage(sum(len(prompt.text.split()) for prompt in prompts), 2.0 * len(prompts))
