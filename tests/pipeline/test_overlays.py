"""The overlay of a release: made with its table, of its moment, from what was known before each transition."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet import operations, pipeline
from freshet.core.errors import GateFailed
from freshet.core.types import AsOf
from freshet.pipeline import snapshot_of
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import interests, live
from freshet.stages.counts.fitter import CountFitter, fitter_for
from freshet.stages.live import step as overlays
from freshet.stages.live.calibration import HISTORY, by_time, microseconds
from freshet.storage.artifacts import Artifact
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FIRST, INTERESTS, NOW, copied, refreshed, settings, workspace
from tests.stages.live.worlds import DAY, SIZE, START, Move, fresh, moves_of, records

CHANGED = AsOf.parse("2024-02-14")
"""Four days after all tastes of the world change."""


def known_at(ws: Workspace, moment: AsOf) -> tuple[LogSnapshot, CountFitter]:
    with ws.run("look") as run:
        known = snapshot_of(ws, run, moment)
    return known, fitter_for(ws.config, known)


@pytest.fixture(scope="module")
def served(counted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that serves a release of a moment after the change; new users count like others."""
    more = "[schedule]\nrefresh_days = 7\n[screen]\nlive_weight = 1.0\n"
    weekly = (counted.root / "freshet.toml").read_text() + more
    ws = copied(counted, tmp_path_factory.mktemp("served") / "ws", weekly)
    pipeline.refresh(ws, CHANGED, publish=True)
    return ws


def overlay_of(ws: Workspace) -> Artifact:
    release = ws.releases.current()
    assert release is not None
    found = ws.store.find("overlays", release.overlay)
    assert found is not None
    return found


def test_a_release_carries_the_overlay_of_its_table(served: Workspace) -> None:
    made, release = overlay_of(served), served.releases.current()
    assert release is not None
    assert made.manifest["inputs"]["table"] == release.table
    assert made.manifest["as_of"] == str(CHANGED)
    assert overlays.version_of_table(served, release.table) == made.version
    assert overlays.version_of_table(served, "none") == ""


def test_live_signals_pay_where_tastes_have_just_changed(served: Workspace) -> None:
    made = overlay_of(served)
    overlay = live.read(made.path)
    assert overlay is not None
    assert made.manifest["pays"]
    assert made.manifest["gain"]["high"] < 0
    assert (overlay.weights > 0).any()
    assert all(weight == 0 or weight > 0 for weight in made.manifest["weights"].values())
    assert made.manifest["judged"]["release"]["weight"] == 1


def test_the_overlay_holds_the_moves_before_its_moment(served: Workspace) -> None:
    overlay = live.read(overlay_of(served).path)
    assert overlay is not None
    known, counting = known_at(served, CHANGED)
    again = live.Overlay.empty(overlay.settings, len(known.interests), 0)
    begin = counting.holdout.start.minus(round(HISTORY * overlay.settings.half_lives[-1]))
    again.apply(by_time(known.transitions.records(begin, CHANGED)))
    now = microseconds(CHANGED)
    assert np.allclose(overlay.shares(now), again.shares(now))
    assert np.allclose(overlay.usual, again.shares(now))
    assert overlay.clock < now


def test_a_second_refresh_makes_nothing_anew(served: Workspace) -> None:
    before = served.releases.current()
    record = pipeline.refresh(served, CHANGED, publish=True)
    assert served.releases.current() == before
    assert next(step for step in record.steps if step.name == "overlay").cached


def test_a_halted_table_is_published_with_its_overlay(counted: Workspace, tmp_path: Path) -> None:
    ws = copied(counted, tmp_path / "ws")
    pipeline.refresh(ws, FIRST, publish=True)
    known = interests.load(ws.root / "interests" / ws.releases.get(1).interests)
    blocked = json.dumps([str(i) for i in known.ids[: INTERESTS - 4]])
    strict = (ws.root / "freshet.toml").read_text() + f"[table]\nmax_churn = 0.01\nblocked = {blocked}\n"
    ws = workspace(ws.root, strict)
    with pytest.raises(GateFailed):
        pipeline.refresh(ws, CHANGED, publish=True)
    assert ws.releases.pointer() == 1
    operations.approve(ws, ws.ledger.records()[-1].id, "Ada")
    release = ws.releases.current()
    assert release is not None
    assert (release.number, release.as_of) == (2, str(CHANGED))
    assert overlay_of(ws).manifest["inputs"]["table"] == release.table


def test_who_wants_no_live_signals_gets_none(world: Path, tmp_path: Path) -> None:
    ws = workspace(tmp_path, settings(world, extra="[live]\nuse = false\n"))
    refreshed(ws, FIRST)
    release = ws.releases.current()
    assert release is None or release.overlay == ""
    assert not ws.store.versions("overlays")


def test_too_little_to_judge_by_is_said(world: Path, tmp_path: Path) -> None:
    ws = workspace(tmp_path, settings(world))
    operations.import_log(ws, NOW)
    known, counting = known_at(ws, FIRST)
    counting.holdout.__dict__["windows"] = []
    with ws.run("overlay") as run:
        made = overlays.make(RunContext(ws, run, known, counting), None)
    assert made is not None
    assert live.read(made.path) is None
    assert not made.manifest["pays"]
    assert "20 held-out" in made.manifest["why"]


def test_held_out_moves_are_the_rows_of_the_windows(served: Workspace) -> None:
    _, counting = known_at(served, CHANGED)
    assert counting.holdout.windows
    for window in counting.holdout.windows:
        moves = counting.holdout.timed(window)
        assert np.array_equal(moves["user"], window.held.user)
        assert np.array_equal(moves["successor"], window.held.successor)
        assert np.array_equal(moves["time"] // DAY, window.held.day)
        assert np.array_equal(moves["last"], window.held.recent[:, -1])


@given(moves_of, st.lists(st.tuples(st.integers(0, 29), st.integers(0, SIZE - 1))), st.integers(0, 29))
def test_what_happens_at_a_transition_or_later_changes_nothing_in_its_score(
    moves: list[Move], changes: list[tuple[int, int]], place: int
) -> None:
    if not moves:
        return
    ordered = by_time(records(moves))
    moment = int(ordered["time"][place % len(ordered)])
    altered = ordered.copy()
    for row, successor in changes:
        if ordered["time"][row % len(ordered)] >= moment:
            altered["successor"][row % len(ordered)] = successor
            altered["last"][row % len(ordered)] = successor
    fewer = altered[(altered["time"] < moment) | (altered["user"] % 2 == 0)]
    queries = records([(moment - DAY, 1, 2, 0), (moment, 1, 2, 0)])
    queries = queries[queries["time"] >= START]

    def scores(seen: np.ndarray) -> np.ndarray:
        overlay = fresh()
        lifts = np.empty((len(queries), len(overlay.weights), SIZE))
        overlay.lifts_on_the_way(seen, queries, lifts)
        return overlay.bounded(lifts)

    for one, other, third in zip(scores(ordered), scores(altered), scores(fewer), strict=True):
        assert np.array_equal(one, other)
        assert np.array_equal(one, third)
