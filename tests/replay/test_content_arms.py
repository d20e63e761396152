"""Arms with content: beside counts, which stay what they are, and as arms of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freshet import operations
from freshet.core.errors import ConfigError
from freshet.core.types import AsOf
from freshet.replay import Able, roll
from freshet.replay.frames import Results
from freshet.replay.replay_arms import defaults, named
from freshet.stages.counts import fusion
from freshet.wiring import open_sandbox
from tests.pipeline.world import settings, workspace
from tests.replay.test_rolling_origin import MORE, NOW, by_arm, planned, standings

START, END = (AsOf.parse(f"2024-02-{day}") for day in (12, 16))
"""When content pays in this world."""
WITHOUT = "[content]\nuse = false\n"


def judged(world: Path, root: Path, arms: list[str], extra: str = "") -> tuple[Results, dict]:
    """Arms of a workspace of plain counts over four days, and where they stood at the last origin."""
    ws = workspace(root, settings(world, "counts", MORE + extra))
    operations.import_log(ws, NOW)
    origins = roll(open_sandbox(ws, START), planned(ws, START, END, arms=arms))
    return Results.of(origins), standings(origins[-1])


def rows(results: Results, arm: str) -> dict[str, list]:
    return by_arm(results.judged, arm).to_pydict()


@pytest.fixture(autouse=True)
def _kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Content is kept: it is asked what arms do with it, not whether it pays in a small world."""
    monkeypatch.setattr(fusion, "_content_margin", lambda *_: ((-1.0, -2.0, -0.5), {}))


@pytest.mark.slow
def test_counts_are_the_same_beside_content_and_without(world: Path, tmp_path: Path) -> None:
    """Whether or not content runs beside them, and whether or not the workspace uses it."""
    beside, last = judged(world, tmp_path / "beside", ["counts", "content"])
    alone, _ = judged(world, tmp_path / "alone", ["counts"], WITHOUT)
    assert rows(beside, "counts") == rows(alone, "counts")
    assert last["content"].content != ""
    assert last["counts"].content == ""
    keys = ["origin", "row", "user", "successor", "candidates"]
    same = [by_arm(beside.judged, arm).select(keys) for arm in ("counts", "content")]
    assert same[0] == same[1]
    nll = {arm: np.array(rows(beside, arm)["nll"]) for arm in ("counts", "content")}
    assert np.abs(nll["content"] - nll["counts"]).max() > 0.01
    assert "content" in by_arm(beside.costs, "content")["step"].to_pylist()
    assert "content" not in by_arm(beside.costs, "counts")["step"].to_pylist()


@pytest.mark.slow
def test_content_and_sequence_model_are_mixed(world: Path, tmp_path: Path) -> None:
    names = ["counts", "content", "counts-sequence", "content-sequence"]
    found, last = judged(world, tmp_path / "both", names)
    both = last["content-sequence"]
    assert both.sequence == last["counts-sequence"].sequence != ""
    assert both.content == last["content"].content != ""
    nll = {name: rows(found, name)["nll"] for name in names}
    assert nll["content"] != nll["counts"]
    assert nll["content-sequence"] != nll["counts-sequence"]
    assert all(np.isfinite(values).all() for values in nll.values())


def test_arms_of_content_are_there_where_a_workspace_uses_it() -> None:
    able = Able(planner=False)
    with_content, without = defaults(able, ()), defaults(Able(planner=False, content=False), ())
    assert {"content", "content-sequence"} <= set(with_content)
    assert set(with_content) - set(without) == {"content", "content-sequence"}
    assert "content-sequence" not in defaults(Able(planner=False, trains=False), ())
    found = {arm.name: arm for arm in named(with_content, able)}
    for name in ("counts", "counts-live", "counts-sequence"):
        assert found[name].content is False
    for name in ("content", "content-sequence"):
        assert found[name].content is True
        assert not found[name].planned
    assert found["content"].sequence is False
    assert found["content-sequence"].sequence is True
    [slow] = named(["content@14d"], able)
    assert (slow.days, slow.content) == (14, True)
    with pytest.raises(ConfigError, match="no arm 'contents'"):
        named(["contents"], able)
