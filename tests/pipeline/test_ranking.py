"""A ranker beside every release: trained at its cadence, honest about time, brought up to date without training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet import operations, pipeline
from freshet.backends.planners import libraries as extras
from freshet.backends.sequences.recipes import ItemRecipe
from freshet.backends.sequences.trainers import TorchRankingTrainer
from freshet.core.ports import Progress, RankingJob, SequenceReport, silent
from freshet.core.types import AsOf, RankingWeights
from freshet.stages.items import step as ranking
from freshet.stages.items.format import open_ranker
from freshet.storage.artifacts import Artifact
from freshet.storage.release_parts import missing_of
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FIRST, SECOND, copied, settings

pytest.importorskip("torch")
USE = "\n[ranker]\nuse = true\n"


class Watched(TorchRankingTrainer):
    """A quick trainer that remembers its jobs."""

    def __init__(self) -> None:
        super().__init__(ItemRecipe(width=8, inner=8, most_passes=2.0, learning_rate=1e-2))
        self.jobs: list[RankingJob] = []

    def train(self, job: RankingJob, progress: Progress = silent) -> tuple[RankingWeights, SequenceReport]:
        self.jobs.append(job)
        return super().train(job, progress)


def with_ranker(ws: Workspace, root: Path, world: Path, extra: str = "") -> tuple[Workspace, Watched]:
    """A copy of a workspace whose releases carry a ranker."""
    trainer = Watched()
    return replace(copied(ws, root, settings(world, "counts", extra + USE)), ranker=trainer), trainer


def found(ws: Workspace, kind: str) -> list[Artifact]:
    """What was trained, and rankers by it: not those that served until then, by popularity."""
    made = [ws.store.find(kind, version) for version in ws.store.versions(kind)]
    return [one for one in made if one is not None and one.manifest["inputs"].get("itemmodel") != ""]


def contents(ws: Workspace, as_of: AsOf) -> dict[str, bytes]:
    """Every array of the item models and rankers of a moment."""
    return {
        f"{kind}/{path.relative_to(artifact.folder)}": path.read_bytes()
        for kind in ("itemmodels", "rankers")
        for artifact in found(ws, kind)
        if artifact.manifest["as_of"] == str(as_of)
        for path in sorted(artifact.folder.rglob("*.npy"))
    }


@pytest.fixture(scope="module")
def ranked(
    world: Path, counted: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workspace, Watched]:
    """Plain counts with a ranker, refreshed at both moments."""
    ws, trainer = with_ranker(counted, tmp_path_factory.mktemp("ranked") / "ws", world)
    for moment in (FIRST, SECOND):
        pipeline.refresh(ws, moment, publish=True)
    return ws, trainer


def test_a_release_names_its_ranker_which_ranks_the_items_of_its_interests(
    ranked: tuple[Workspace, Watched],
) -> None:
    ws, _ = ranked
    release = ws.releases.current()
    assert release is not None
    made = ws.store.find("rankers", release.ranker)
    assert made is not None
    assert made.manifest["as_of"] == str(SECOND)
    ranker = open_ranker(made)
    counted = ws.store.find("tables", release.table)
    assert counted is not None
    assert made.manifest["inputs"]["interests"] == release.interests
    assert ranking.of_table(ws, counted) == release.ranker
    state = ranker.state(np.array([3, 8]))
    for interest in range(len(ranker.item_index.start) - 1):
        first, *_ = ranker.top(state, interest, None, 5)
        assert ranker.interest[first[0]] == interest
        assert np.isfinite(first[1])


def test_training_is_kept_for_as_long_as_a_planner_and_items_are_brought_up_to_date(
    ranked: tuple[Workspace, Watched],
) -> None:
    ws, trainer = ranked
    assert len(trainer.jobs) == 2  # one to judge, one on everything
    assert [a.manifest["as_of"] for a in found(ws, "itemmodels")] == [str(FIRST)]
    assert [a.manifest["as_of"] for a in found(ws, "rankers")] == [str(FIRST), str(SECOND)]
    first, second = (open_ranker(made) for made in found(ws, "rankers"))
    assert first.ids == second.ids
    assert np.abs(first.item_index.popular - second.item_index.popular).max() > 0.01


def test_what_is_judged_was_not_learned_from(ranked: tuple[Workspace, Watched]) -> None:
    ws, trainer = ranked
    judged_on, full = trainer.jobs
    assert judged_on.later is not None
    assert full.later is None
    assert len(judged_on) < len(full)
    (trained,) = found(ws, "itemmodels")
    judged = trained.manifest["judged"]
    assert judged["transitions"] > 20
    for measure in ("hit@10", "ndcg@10"):
        for figure in judged[measure].values():
            assert figure["low"] <= figure["value"] <= figure["high"]
        assert 0 < judged[measure]["ranker"]["value"] <= 1
    weights = json.loads((trained.path / "weights.json").read_text())
    assert min(weights["prior"]) >= 0
    assert weights["histories"] >= 0


def test_later_events_change_nothing_of_before(
    world: Path, ranked: tuple[Workspace, Watched], tmp_path: Path
) -> None:
    ws, _ = ranked
    told = pq.read_table(world / "events.parquet")
    late = told["timestamp"].to_numpy() >= np.datetime64(str(FIRST))
    items = told["item_id"].to_numpy().copy()
    items[late] = items[late][::-1]
    told = told.set_column(told.column_names.index("item_id"), "item_id", pa.array(items))
    other = tmp_path / "world"
    other.mkdir()
    pq.write_table(told, other / "events.parquet")
    (other / "items.parquet").write_bytes((world / "items.parquet").read_bytes())
    from tests.pipeline.world import NOW, workspace

    again = replace(workspace(tmp_path / "ws", settings(other, "counts", USE)), ranker=Watched())
    operations.import_log(again, NOW)
    pipeline.refresh(again, FIRST, publish=True)
    one, two = contents(ws, FIRST), contents(again, FIRST)
    assert len(one) > 20
    assert sorted(one) == sorted(two)
    assert [name for name in one if one[name] != two[name]] == []


def test_the_command_joins_the_current_release_but_never_from_the_past(
    ranked: tuple[Workspace, Watched], tmp_path: Path
) -> None:
    ws = replace(copied(ranked[0], tmp_path / "ws"), ranker=Watched())
    before = ws.releases.current()
    assert before is not None
    record, trained = operations.rank_items(ws, FIRST)
    assert ws.releases.current() == before
    assert record.release is None
    assert trained.manifest["as_of"] == str(FIRST)
    record, _ = operations.rank_items(ws)
    now = ws.releases.current()
    assert now is not None
    assert record.release == now.number == before.number + 1
    assert now.table == before.table
    assert now.ranker != before.ranker


def test_without_torch_or_enough_events_items_are_ranked_by_popularity(
    world: Path, counted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws, _ = with_ranker(counted, tmp_path / "ws", world)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    pipeline.refresh(ws, FIRST, publish=True)
    release = ws.releases.current()
    assert release is not None
    made = ws.store.find("rankers", release.ranker)
    assert made is not None
    ranker = open_ranker(made)
    assert ranker.state(np.array([3, 8])) is None
    popular = ranker.item_index.popular
    start, end = ranker.item_index.start[:2]
    shown = ranker.top(None, 0, None, 3)
    best = start + np.argsort(-popular[start:end], kind="stable")[:3]
    assert [number for number, _, _ in shown] == best.tolist()
    assert {why for _, _, why in shown} == {"popular"}


def test_a_release_without_its_ranker_can_be_rolled_back_to(
    ranked: tuple[Workspace, Watched], tmp_path: Path
) -> None:
    ws = copied(ranked[0], tmp_path / "ws")
    current = ws.releases.current()
    assert current is not None
    assert current.previous is not None
    made = ws.store.find("rankers", ws.releases.get(current.previous).ranker)
    assert made is not None
    (made.folder / "items" / "prior.npy").unlink()
    assert operations.roll_back(ws).number == current.previous
    assert missing_of(ws.store, ws.releases.get(current.previous)) == (f"rankers/{made.version}",)
