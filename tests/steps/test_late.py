"""A planner loaded late says what the loaded one says."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from freshet.backends.planners.fake import FakePlanner
from freshet.ports import Noted, Refitted
from freshet.steps.late import LatePlanner


class Slow(FakePlanner):
    note = "every prompt is read in full"


@pytest.mark.parametrize(("planner", "note"), [(Slow(3), Slow.note), (FakePlanner(3), "")])
def test_the_note_of_the_loaded_planner_is_passed_on(planner: FakePlanner, note: str, tmp_path) -> None:
    tuner = SimpleNamespace(open=lambda model, interests: planner)
    late = LatePlanner(tuner, SimpleNamespace(path=tmp_path, folder=tmp_path), None)
    assert isinstance(late, Noted)
    assert late.note == note


def test_a_refitted_model_names_its_forerunner_and_another_is_its_own(tmp_path) -> None:
    tuner = SimpleNamespace(version=lambda model, interests: model.name)
    late = LatePlanner(tuner, SimpleNamespace(path=tmp_path, folder=tmp_path), None)
    assert isinstance(late, Refitted)
    assert late.forerunner is late
    (tmp_path / "forerunner").mkdir()
    refitted = LatePlanner(tuner, SimpleNamespace(path=tmp_path, folder=tmp_path), None)
    assert (refitted.version, refitted.forerunner.version) == ("model", "forerunner")
