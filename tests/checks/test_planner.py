"""The planner suite catches each promise being broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from freshet.backends.planners.fake import FakePlanner
from freshet.checks import check_planner
from freshet.core.errors import PlannerError
from freshet.core.ports import Abilities
from freshet.core.types import Prompt, Ranking

N = 8
PROMPTS = [Prompt((i,), f"liked : thing {i}") for i in range(4)]


class Broken(FakePlanner):
    """A planner whose answers are tampered with."""

    def __init__(self, tamper: Callable[[Ranking, Sequence[Prompt]], Ranking]) -> None:
        super().__init__(N)
        self.tamper = tamper

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        return self.tamper(super().rank(prompts, top), prompts)


def _repeat(ranking: Ranking, prompts: Sequence[Prompt]) -> Ranking:
    found = ranking.successors.copy()
    if found.shape[1] > 1:
        found[:, 1] = found[:, 0]
    return replace(ranking, successors=found)


def _depends_on_others(ranking: Ranking, prompts: Sequence[Prompt]) -> Ranking:
    return replace(ranking, logp=(ranking.logp - 0.01 * len(prompts)).astype(np.float32))


TAMPERED = {
    "expected int16": lambda r, p: replace(r, successors=r.successors.astype(np.int64)),
    "expected float32": lambda r, p: replace(r, logp=r.logp.astype(np.float64)),
    "appears twice": _repeat,
    "of 8 interests": lambda r, p: replace(r, successors=(r.successors + 1).astype(np.int16)),
    "not ordered": lambda r, p: Ranking(r.successors[:, ::-1], r.logp[:, ::-1]),
    "above 1": lambda r, p: replace(r, logp=r.logp / 3),
    "above 0": lambda r, p: replace(r, logp=r.logp + 5),
    "not a number": lambda r, p: replace(r, logp=r.logp * np.float32(np.nan)),
    "though": lambda r, p: Ranking(np.tile(r.successors, 2), np.tile(r.logp, 2)),
    "scores differ": _depends_on_others,
}


@pytest.mark.parametrize("message", TAMPERED)
def test_a_broken_promise_is_named(message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_planner(Broken(TAMPERED[message]), PROMPTS, N)


def test_a_planner_that_wavers_is_caught() -> None:
    calls = iter(range(1000))

    def waver(ranking: Ranking, prompts: Sequence[Prompt]) -> Ranking:
        return replace(ranking, logp=(ranking.logp - np.float32(0.01 * next(calls))))

    with pytest.raises(AssertionError, match="another answer"):
        check_planner(Broken(waver), PROMPTS, N)


def test_an_honest_planner_passes() -> None:
    check_planner(Broken(lambda ranking, prompts: ranking), PROMPTS, N)


class Claims(FakePlanner):
    """Says that it writes and has labels; does as it is told."""

    abilities = Abilities(generates=True, labels=True)

    def __init__(self, texts: object = None, mass: object = None, able: object = None) -> None:
        super().__init__(N)
        self.texts, self.mass = texts, mass
        if able is not None:
            self.abilities = able

    def generate(self, prompts: Sequence[Prompt]) -> list[str]:
        return ["text"] * len(prompts) if self.texts is None else self.texts

    def label_mass(self, prompts: Sequence[Prompt]) -> np.ndarray:
        return np.full(len(prompts), 0.5 if self.mass is None else self.mass)


def test_a_planner_that_does_what_its_abilities_say_passes() -> None:
    check_planner(Claims(), PROMPTS, N)


@pytest.mark.parametrize(
    ("planner", "message"),
    [
        (Claims(texts=["one"]), "1 texts for 4 prompts"),
        (Claims(texts=[1, 2, 3, 4]), "something else than text"),
        (Claims(mass=1.5), "a share outside 0 to 1"),
        (Claims(able=Abilities(labels=True)), r"generate\(\) answers though"),
        (Claims(able=Abilities(generates=True)), r"label_mass\(\) answers though"),
        (Claims(able="all"), "expected ports.Abilities"),
    ],
)
def test_abilities_are_checked(planner: Claims, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_planner(planner, PROMPTS, N)


@pytest.mark.parametrize("able", [Abilities(generates=True), Abilities(labels=True)])
def test_a_claim_without_the_method_is_caught(able: Abilities) -> None:
    planner = FakePlanner(N)
    claims = type("Claims", (FakePlanner,), {"abilities": able})(planner.interests)
    with pytest.raises(PlannerError, match="cannot"):
        check_planner(claims, PROMPTS, N)
