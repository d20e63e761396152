"""A planner of which each worker of an executor opens a copy, so that chunks are ranked side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.isolation import rank_isolated
from freshet.core.ports import Abilities, Executor, Planner, Resources, Tuner
from freshet.core.types import Interests, Prompt, Ranking, Usage


@dataclass(frozen=True, slots=True)
class Opening:
    """How a process opens a planner: the folder lies where all of them see it."""

    tuner: Tuner
    model: Path
    interests: Interests

    def __call__(self) -> Asked:
        return Asked(self.tuner.open(self.model, self.interests))


@dataclass(frozen=True, slots=True)
class Asked:
    """A planner whose jobs are questions: functions of the planner."""

    planner: Planner

    def __call__(self, question: Callable[[Planner], Any]) -> Any:
        return question(self.planner)


class RemotePlanner(Planner):
    """Answers as the planner does of which it has copies; what needs no weights is told in this process.

    Args:
        opening: of the planner.
        executor: whose workers open it.
        needs: of each.
    """

    def __init__(self, opening: Opening, executor: Executor, needs: Resources) -> None:
        self._opening, self._executor, self._needs = opening, executor, needs

    @cached_property
    def version(self) -> str:
        """Of the planner."""
        return self._opening.tuner.version(self._opening.model, self._opening.interests)

    @cached_property
    def abilities(self) -> Abilities:
        """Of the planner."""
        return self._opening.tuner.abilities(self._opening.model, self._opening.interests)

    @cached_property
    def note(self) -> str:
        """Of the planner."""
        found: str = self._ask(_note)
        return found

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        found: Ranking = self._ask(partial(_rank, prompts=prompts, top=top))
        return found

    def rank_each(self, chunks: Iterable[Sequence[Prompt]], top: int) -> Iterator[tuple[int, Ranking]]:
        questions = (partial(_rank_isolated, prompts=prompts, top=top) for prompts in chunks)
        return self._executor.pool(self._opening, questions, self._needs)

    def size(self, prompts: Sequence[Prompt]) -> Usage:
        found: Usage = self._ask(partial(_size, prompts=prompts))
        return found

    def generate(self, prompts: Sequence[Prompt]) -> list[str]:
        found: list[str] = self._ask(partial(_generate, prompts=prompts))
        return found

    def label_mass(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = self._ask(partial(_label_mass, prompts=prompts))
        return found

    def _ask(self, question: Callable[[Planner], Any]) -> Any:
        """One question to one worker."""
        [(_, answer)] = self._executor.pool(self._opening, [question], self._needs)
        return answer


def _note(planner: Planner) -> str:
    return planner.note


def _rank(planner: Planner, prompts: Sequence[Prompt], top: int) -> Ranking:
    return planner.rank(prompts, top)


def _rank_isolated(planner: Planner, prompts: Sequence[Prompt], top: int) -> Ranking:
    return rank_isolated(planner, prompts, top)


def _size(planner: Planner, prompts: Sequence[Prompt]) -> Usage:
    return planner.size(prompts)


def _generate(planner: Planner, prompts: Sequence[Prompt]) -> list[str]:
    return planner.generate(prompts)


def _label_mass(planner: Planner, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
    return planner.label_mass(prompts)
