"""A planner loaded late says what the loaded one says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from freshet.backends.planners.fake import FakePlanner, FakeTuner
from freshet.checks import check_planner
from freshet.core.errors import PlannerError
from freshet.core.ports import Abilities
from freshet.core.types import Interests, Prompt
from freshet.stages.tuning.lazy_planner import LazyPlanner

PROMPTS = [Prompt((i,), f"liked : thing {i}") for i in range(3)]


class Able(FakePlanner):
    """A fake planner with every ability."""

    abilities = Abilities(generates=True, labels=True, relative=True)
    note = "every prompt is read in full"

    def generate(self, prompts: Sequence[Prompt]) -> list[str]:
        return [f"after {prompt.text}" for prompt in prompts]

    def label_mass(self, prompts: Sequence[Prompt]) -> np.ndarray:
        return np.array([0.5 for _ in prompts])


class Opens(FakeTuner):
    """Opens one planner."""

    def __init__(self, planner: FakePlanner) -> None:
        self.planner = planner

    def version(self, model: Path, interests: Interests) -> str:
        return self.planner.version

    def abilities(self, model: Path, interests: Interests) -> Abilities:
        return self.planner.abilities

    def open(self, model: Path, interests: Interests) -> FakePlanner:
        return self.planner


def late(tuner: object, path: Path) -> LazyPlanner:
    return LazyPlanner(tuner, SimpleNamespace(path=path, folder=path), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("planner", [FakePlanner(5), Able(5)])
def test_a_late_planner_keeps_the_contract_and_has_the_abilities_of_the_loaded_one(
    planner: FakePlanner, tmp_path: Path
) -> None:
    found = late(Opens(planner), tmp_path)
    check_planner(found, PROMPTS, 5)
    assert (found.abilities, found.note) == (planner.abilities, planner.note)
    if planner.abilities.generates:
        assert found.generate(PROMPTS) == planner.generate(PROMPTS)


def test_a_tuner_that_promises_other_abilities_is_found_out(tmp_path: Path) -> None:
    class Boasts(Opens):
        def abilities(self, model: Path, interests: Interests) -> Abilities:
            return Abilities(generates=True)

    found = late(Boasts(FakePlanner(5)), tmp_path)
    assert found.abilities.generates  # told without loading
    with pytest.raises(PlannerError, match="its tuner promised"):
        found.rank(PROMPTS, 5)


def test_a_refitted_model_names_its_holdout_model_and_another_is_its_own(tmp_path: Path) -> None:
    tuner = SimpleNamespace(version=lambda model, interests: model.name)
    assert (one := late(tuner, tmp_path)).holdout_model is one
    (tmp_path / "forerunner").mkdir()
    refitted = late(tuner, tmp_path)
    assert (refitted.version, refitted.holdout_model.version) == ("model", "forerunner")
