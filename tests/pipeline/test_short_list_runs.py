"""Prompts by a template, and short lists, through the pipeline with a fake planner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freshet import inspect, operations, pipeline
from freshet.backends.planners.fake import FakePlanner, FakeTuner
from freshet.core.errors import ConfigError
from freshet.core.ports import Abilities
from freshet.core.types import Interests, PlannerRows
from freshet.stages import inference
from freshet.storage.workspace import Workspace
from tests.pipeline.world import (
    FAKE,
    FIRST,
    NOW,
    SECOND,
    copied,
    refreshed,
    settings,
    step,
    table_of,
    with_tuner,
    workspace,
)

SIZE = 4
LISTS = f'template = "knowledge"\nshortlist = {SIZE}\n' + FAKE


class AllOrNothing(FakePlanner):
    """Ranks all interests, whatever the options."""

    @property
    def abilities(self) -> Abilities:
        return Abilities()


class AllOrNothingTuner(FakeTuner):
    def abilities(self, model: Path, interests: Interests) -> Abilities:
        return Abilities()

    def open(self, model: Path, interests: Interests) -> FakePlanner:
        return AllOrNothing(len(interests))


@pytest.fixture(scope="module")
def listed(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two refreshes with short lists; copy it before changing it."""
    ws = workspace(tmp_path_factory.mktemp("listed"), settings(world, "fake", LISTS))
    refreshed(ws, FIRST)
    pipeline.refresh(ws, SECOND, publish=True)
    return ws


def test_a_planner_chooses_among_its_list_and_the_others_share_the_rest(listed: Workspace) -> None:
    for part in ("planner", "calibration"):
        rows = inference.read(table_of(listed, SECOND).path / part)
        assert rows.lists is not None
        assert rows.lists.options.shape == (len(rows), SIZE)
        for row in range(len(rows)):
            options = rows.lists.options[row].tolist()
            assert sorted(rows.successors[row][rows.successors[row] >= 0]) == sorted(options)
            assert not set(options) & set(rows.contexts[row].tolist())
            assert np.exp(rows.logp[row].astype(float)).sum() == pytest.approx(1, abs=1e-4)
        assert (rows.lists.mass > 0.2).all()
        assert (rows.lists.mass < 1.0).all()
    context = ["0", "1"]
    told = inspect.explain(listed, context, top=99)
    assert len(told.options) == SIZE
    assert told.prompt is not None
    assert told.prompt.startswith("The person took up these interests")
    chosen = [one.planner for one in told.successors if one.planner is not None]
    assert sum(chosen) <= 1 + 1e-6


def test_lists_stay_from_one_refresh_to_the_next(listed: Workspace) -> None:
    first, second = (inference.read(table_of(listed, moment).path / "planner") for moment in (FIRST, SECOND))
    assert first.lists is not None
    assert second.lists is not None
    same = (np.asarray(first.lists.options) == np.asarray(second.lists.options)).all(axis=1)
    assert same.mean() > 0.5
    details = step(listed.ledger.records()[-1], "inference")
    assert int(str(details["changed"])) < int(str(details["rows"]))
    assert not np.array_equal(first.lists.mass, second.lists.mass)  # what a list is worth is of now


def test_lists_of_held_out_windows_stay_as_they_were_made(listed: Workspace) -> None:
    first, second = (
        inference.read(table_of(listed, moment).path / "calibration") for moment in (FIRST, SECOND)
    )
    assert first.lists is not None
    assert second.lists is not None

    def by_window(rows: PlannerRows) -> dict[tuple[int, ...], list[int]]:
        assert rows.lists is not None
        keys = zip(rows.lists.day.tolist(), rows.contexts.tolist(), strict=True)
        return {
            (day, *context): own
            for (day, context), own in zip(keys, rows.lists.options.tolist(), strict=True)
        }

    one, other = by_window(first), by_window(second)
    assert one.keys() & other.keys()
    assert all(one[key] == other[key] for key in one.keys() & other.keys())


def test_the_same_refresh_again_asks_for_nothing(listed: Workspace, tmp_path: Path) -> None:
    ws = copied(listed, tmp_path / "ws")
    record = pipeline.refresh(ws, SECOND)
    assert sum(one.tokens for one in record.steps) == 0


def test_a_planner_that_can_not_choose_is_refused(listed: Workspace, tmp_path: Path) -> None:
    ws = with_tuner(copied(listed, tmp_path / "ws"), AllOrNothingTuner())
    with pytest.raises(ConfigError, match=r"shortlist = 4: planner .* ranks all interests"):
        pipeline.refresh(ws, SECOND.plus(1))


def test_a_changed_template_asks_anew(world: Path, listed: Workspace, tmp_path: Path) -> None:
    ws = copied(listed, tmp_path / "ws")
    (ws.root / "own.txt").write_text("Be brief.\n---\n{{ liked | join(' and ') }}, what next?\n")
    text = settings(world, "fake", LISTS.replace("knowledge", "own.txt"))
    ws = workspace(ws.root, text)
    refreshed(ws, SECOND)
    told = inspect.preview(ws, ["0", "1"])
    names = [one.description for one in told.context]
    assert (told.system, told.text) == ("Be brief.", f"{names[0]} and {names[1]}, what next?")
    assert len(ws.store.versions("models")) == 1 + len(listed.store.versions("models"))
    (ws.root / "own.txt").write_text("{{ nobody }}")
    with pytest.raises(ConfigError, match=r"own\.txt, line 1: there is no variable 'nobody'"):
        pipeline.refresh(ws, SECOND)


def test_a_preview_needs_no_model_and_asks_nothing(world: Path, tmp_path: Path) -> None:
    ws = workspace(tmp_path, settings(world, "fake", LISTS))
    operations.import_log(ws, NOW)
    told = inspect.preview(ws, ["0", "1"])
    assert len(told.options) == SIZE
    assert not {one.id for one in told.options} & {0, 1}
    assert "such as" in told.text + "".join(one.reads for one in told.options)
    assert ws.store.versions("models") == []
    refreshed(ws, FIRST, SECOND)
    again = inspect.preview(ws, ["1"])
    assert again.text.count("\n- ") >= 1


@pytest.mark.parametrize(
    ("kind", "asked", "message"),
    [
        ("counts", ["0"], "asks nothing"),
        ("fake", [], "name at least one interest"),
        ("fake", ["x y z"], "no interest"),
    ],
)
def test_a_preview_refuses_what_is_never_asked(
    counted: Workspace, world: Path, tmp_path: Path, kind: str, asked: list[str], message: str
) -> None:
    ws = copied(counted, tmp_path / "ws", settings(world, kind, FAKE))
    with pytest.raises(ConfigError, match=message):
        inspect.preview(ws, asked)
