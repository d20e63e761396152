"""The replay of a small simulated world: one clock, shared artifacts, resumed work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from freshet import operations
from freshet.core.errors import NotEnoughData
from freshet.core.types import AsOf
from freshet.replay import Able, Plan, make_plan, roll
from freshet.replay.arm_state import Checkpoint
from freshet.replay.frames import Results
from freshet.stages import events
from freshet.storage.artifacts import Artifact
from freshet.storage.workspace import Workspace
from freshet.wiring import open_sandbox
from tests.pipeline.world import FAKE, settings, workspace
from tests.replay.future import another, files

pytestmark = pytest.mark.slow

NOW = datetime(2025, 1, 1, tzinfo=UTC)
START, END = AsOf.parse("2024-02-05"), AsOf.parse("2024-02-13")
MORE = FAKE + "[tuning]\nevery_days = 6\n[prices]\nper_hour = 0\nper_million_tokens = 1\n"


def planned(ws: Workspace, start: AsOf = START, end: AsOf = END, **chosen: object) -> Plan:
    days = [day.day for day in events.EventLog(ws.root).snapshot().days]
    given: dict = {"every": 2, "start": start, "end": end} | chosen
    return make_plan(
        days, able=Able(ws.tuner is not None, trains=False), refresh_days=3, tune_every=6, **given
    )


def made(world: Path, root: Path, kind: str = "fake") -> Workspace:
    ws = workspace(root, settings(world, kind, MORE))
    operations.import_log(ws, NOW)
    return ws


@pytest.fixture(scope="module")
def replayed(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Plan, list[Artifact]]:
    """A workspace, and all arms replayed over eight days."""
    ws = made(world, tmp_path_factory.mktemp("replayed"))
    plan = planned(ws)
    return ws, plan, roll(open_sandbox(ws, START), plan)


@pytest.fixture(scope="module")
def results(replayed: tuple[Workspace, Plan, list[Artifact]]) -> Results:
    return Results.of(replayed[2])


def by_arm(table: pa.Table, arm: str) -> pa.Table:
    return table.filter(pc.equal(table["arm"], arm))


def standings(origin: Artifact) -> dict:
    return dict(Checkpoint.of(origin.manifest["position"]).arms)


def test_every_arm_judges_the_same_transitions(results: Results) -> None:
    keys = {}
    for arm in set(results.judged["arm"].to_pylist()):
        rows = by_arm(results.judged, arm).select(["origin", "row", "user", "day", "successor", "candidates"])
        keys[arm] = rows.to_pydict()
    assert len(keys) > 8
    assert all(rows == keys["counts"] for rows in keys.values())
    assert len(keys["counts"]["row"]) > 100


def test_what_is_judged_is_what_the_log_holds(
    replayed: tuple[Workspace, Plan, list[Artifact]], results: Results
) -> None:
    days = by_arm(results.judged, "counts")["day"].to_pylist()
    assert min(days) >= START.day
    assert max(days) < END.day
    assert sum(origin.manifest["transitions"] for origin in replayed[2]) == len(days)


def test_nothing_of_the_workspace_is_touched(replayed: tuple[Workspace, Plan, list[Artifact]]) -> None:
    ws = replayed[0]
    assert ws.releases.current() is None
    for kind in ("tables", "models", "interests"):
        assert not ws.store.versions(kind)


def test_arms_share_equal_artifacts_and_part_where_they_differ(
    replayed: tuple[Workspace, Plan, list[Artifact]],
) -> None:
    first, *_, last = [standings(origin) for origin in replayed[2]]
    assert first["hybrid"].table == first["retrieval"].table == first["retrieval-alone"].table
    assert first["no-evidence"].table == first["finetune-fresh"].table != first["hybrid"].table
    # weights are fitted for the age that counts get: these two get older than those that are refreshed
    assert first["static"].table == first["finetune"].table != first["no-evidence"].table
    assert first["retrieval-frozen"].table != first["retrieval"].table
    assert last["static"].table == first["static"].table
    assert last["retrieval-frozen"].table == first["retrieval-frozen"].table
    assert last["hybrid"].table != last["retrieval"].table  # tuned again after six days
    assert last["hybrid"].model == last["finetune"].model != last["retrieval"].model == first["hybrid"].model


@pytest.mark.parametrize("arm", ["evidence-frozen", "hybrid-live"])
def test_an_arm_alone_ranks_as_it_does_beside_those_it_shares_with(
    results: Results, world: Path, tmp_path: Path, arm: str
) -> None:
    ws = made(world, tmp_path)
    alone = Results.of(roll(open_sandbox(ws, START), planned(ws, arms=(arm,)))).judged
    assert len(alone)
    beside = by_arm(results.judged, arm)
    own = [
        name for name in alone.column_names if name != "bare_top1"
    ]  # that is told by an arm without evidence
    assert alone.select(own).equals(beside.select(own))


def test_live_arms_stand_on_the_tables_of_the_arms_they_are_named_after(
    replayed: tuple[Workspace, Plan, list[Artifact]], results: Results
) -> None:
    for origin in replayed[2]:
        standing = standings(origin)
        assert standing["hybrid-live"].table == standing["hybrid"].table
        assert standing["hybrid-live"].overlay
        assert standing["counts-live"].overlay != standing["hybrid-live"].overlay
        assert not standing["hybrid"].overlay
    lively, plain = (by_arm(results.judged, arm)["nll"].to_numpy() for arm in ("hybrid-live", "hybrid"))
    assert np.isfinite(lively).all()
    spent = set(by_arm(results.costs, "hybrid-live")["step"].to_pylist())
    assert spent - set(by_arm(results.costs, "hybrid")["step"].to_pylist()) == {"overlay"}
    assert lively.shape == plain.shape


def test_each_arm_is_as_old_as_its_strategy_says(results: Results) -> None:
    def ages(arm: str) -> set[int]:
        rows = by_arm(results.judged, arm)
        return {(o - m).days for o, m in zip(*(rows[c].to_pylist() for c in ("origin", "made")), strict=True)}

    assert ages("static") == {0, 2, 4, 6}
    assert ages("finetune") == {0, 2, 4}
    assert ages("hybrid") == ages("retrieval") == ages("counts") == {0}


def test_costs_are_those_of_the_ledger(
    replayed: tuple[Workspace, Plan, list[Artifact]], results: Results
) -> None:
    def spent(arm: str, part: str = "tokens") -> float:
        return pc.sum(by_arm(results.costs, arm)[part]).as_py() or 0

    assert spent("static") > 0
    assert spent("counts") == 0
    assert spent("counts", "seconds") > 0
    assert spent("hybrid") > spent("hybrid@6d") > spent("static")
    tunings = by_arm(results.costs, "hybrid").filter(
        pc.equal(by_arm(results.costs, "hybrid")["step"], "tuning")
    )
    assert len(tunings) == 2
    sandbox = open_sandbox(replayed[0], START)
    ledger = sum(
        s.tokens for r in sandbox.ledger.records() for s in r.steps if s.name == "tuning" and not s.cached
    )
    assert pc.sum(tunings["tokens"]).as_py() == ledger


def test_a_replay_again_repeats_nothing(replayed: tuple[Workspace, Plan, list[Artifact]]) -> None:
    ws, plan, origins = replayed
    again = roll(open_sandbox(ws, START), plan)
    assert [origin.version for origin in again] == [origin.version for origin in origins]
    assert all(len(record.steps) <= 1 for record in open_sandbox(ws, START).ledger.records()[-len(origins) :])


def test_a_killed_replay_equals_one_shot(
    world: Path, tmp_path: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = made(world, tmp_path / "killed")
    plan, sandbox = planned(ws), open_sandbox(ws, START)
    module = import_module("freshet.replay.rolling_origin")  # the package's `roll` is the function

    def failing(*given: object) -> Iterator[None]:
        if str(given[0].log.as_of) == "2024-02-09" and given[1].name == "finetune":  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return real(*given)  # type: ignore[arg-type]

    real = module.advance
    monkeypatch.setattr(module, "advance", failing)
    with pytest.raises(KeyboardInterrupt):
        roll(sandbox, plan)
    monkeypatch.undo()
    found = Results.of(roll(sandbox, plan))
    assert found.judged.equals(results.judged)
    same = [name for name in found.states.column_names if name not in ("floor",)]
    assert found.states.select(same).equals(results.states.select(same))


def test_a_later_end_goes_on_from_where_it_was(
    replayed: tuple[Workspace, Plan, list[Artifact]],
) -> None:
    ws, plan, origins = replayed
    longer = roll(
        open_sandbox(ws, START), planned(ws, end=AsOf.parse("2024-02-15"), arms=[a.name for a in plan.arms])
    )
    # windows whose horizon reached the old end see more of what came later; the tables are the same
    assert len(longer) == len(origins) + 1
    tables = [[standing.table for standing in standings(o).values()] for o in longer]
    assert tables[: len(origins)] == [[s.table for s in standings(o).values()] for o in origins]


def test_origins_a_day_apart_with_a_long_horizon(world: Path, tmp_path: Path) -> None:
    """More moments are looked at than stay in memory."""
    ws = made(world, tmp_path / "daily", "counts")
    end = AsOf.parse("2024-02-16")
    plan = planned(ws, end=end, every=1, horizon=9, arms=["counts", "popularity"])
    assert len(roll(open_sandbox(ws, START), plan)) == 11


def test_without_a_planner_counts_are_compared(world: Path, tmp_path: Path) -> None:
    ws = made(world, tmp_path / "counts", "counts")
    found = Results.of(roll(open_sandbox(ws, START), planned(ws)))
    assert set(found.judged["arm"].to_pylist()) >= {"static", "counts", "popularity", "last-successor"}
    assert found.judged["planner_rank"].null_count == len(found.judged)


def test_sequence_models_are_arms_and_enter_the_mixture(world: Path, tmp_path: Path) -> None:
    ws = made(world, tmp_path / "sequence")
    names = ["hybrid", "counts", "sequence", "counts-sequence", "hybrid-sequence"]
    origins = roll(open_sandbox(ws, START), planned(ws, end=AsOf.parse("2024-02-09"), arms=names))
    found, last = Results.of(origins), standings(origins[-1])
    assert (
        last["sequence"].sequence
        == last["counts-sequence"].sequence
        == last["hybrid-sequence"].sequence
        != ""
    )
    assert last["hybrid"].sequence == ""
    assert last["hybrid"].table != last["hybrid-sequence"].table
    nll = {name: pc.mean(by_arm(found.judged, name)["nll"]).as_py() for name in names}
    assert nll["sequence"] != nll["counts"]
    spent = {name: pc.sum(by_arm(found.costs, name)["seconds"]).as_py() for name in names}
    assert spent["counts-sequence"] > spent["counts"]
    assert set(by_arm(found.costs, "sequence")["step"].to_pylist()) >= {"sequence", "counts"}


def test_too_little_before_the_first_origin_is_told(world: Path, tmp_path: Path) -> None:
    ws = made(world, tmp_path / "early", "counts")
    early = AsOf.parse("2024-01-02")
    with pytest.raises(NotEnoughData):
        roll(open_sandbox(ws, early), planned(ws, start=early))


def test_nothing_after_an_origin_reaches_it(
    world: Path, tmp_path: Path, replayed: tuple[Workspace, Plan, list[Artifact]]
) -> None:
    """Every event from the origin on is changed, and every word of items first seen from then on."""
    at = AsOf.parse("2024-02-09")
    other = another(world, tmp_path / "world", at)
    ws = made(other, tmp_path / "other")
    origins = roll(open_sandbox(ws, START), planned(ws))
    before, after = ([o for o in found if o.manifest["as_of"] <= str(at)] for found in (replayed[2], origins))
    assert len(before) == len(after) == 3
    rooms = open_sandbox(replayed[0], START), open_sandbox(ws, START)
    for one, two in zip(before, after, strict=True):
        for arm, standing in standings(one).items():
            if standing.table:
                before_it = files(rooms[0], "tables", standing.table)
                assert len(before_it) > 8
                assert before_it == files(rooms[1], "tables", standings(two)[arm].table)


def test_arms_of_evidence_differ_in_nothing_else(
    replayed: tuple[Workspace, Plan, list[Artifact]], world: Path
) -> None:
    """Counts, weights of the counts, planner and contexts are the same; prompts are not."""
    ws, _, origins = replayed
    store = open_sandbox(ws, START).store
    for number, origin in enumerate(origins):
        standing = standings(origin)
        tables = {}
        for name in ("no-evidence", "evidence-frozen", "retrieval"):
            found = store.find("tables", standing[name].table)
            assert found is not None
            assert found.manifest["as_of"] == origin.manifest["as_of"]
            assert standing[f"{name}-alone"].table == standing[name].table
            tables[name] = found.path
        stored = [json.loads((path / "mixture.json").read_text()) for path in tables.values()]
        assert all(one["by_length"] == stored[0]["by_length"] for one in stored)
        assert len({standing[name].model for name in tables}) == 1
        last = [np.load(path / "counts" / "last.npy") for path in tables.values()]
        assert all(np.array_equal(one, last[0]) for one in last)
        said = {name: (path / "evidence.parquet").read_bytes() for name, path in tables.items()}
        assert (said["evidence-frozen"] == said["retrieval"]) == (number == 0)
        assert said["no-evidence"] not in (said["evidence-frozen"], said["retrieval"])
    first = store.find("tables", standings(origins[0])["evidence-frozen"].table)
    assert first is not None
    assert (first.path / "evidence.parquet").read_bytes() == said["evidence-frozen"]


def test_popularity_live_has_seen_what_happened_before_each_transition(
    replayed: tuple[Workspace, Plan, list[Artifact]], results: Results
) -> None:
    live, refreshed = (by_arm(results.judged, arm) for arm in ("popularity-live", "popularity"))
    assert live["day"].equals(refreshed["day"])
    assert not live["nll"].equals(refreshed["nll"])
    assert live["planner_rank"].null_count == len(live)
