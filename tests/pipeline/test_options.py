"""Every shape of the loop runs through, and what it publishes obeys its definition."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from freshet import pipeline
from freshet.core.errors import ConfigError, NotEnoughData
from freshet.core.types import AsOf, pack_contexts
from freshet.stages import evidence, interests
from freshet.stages.table.format import open_scorer
from freshet.stages.transitions import TransitionLog
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FAKE, FIRST, approving, copied, current_table, settings


def published(ws: Workspace) -> None:
    """Refresh as of FIRST and publish."""
    record = approving(lambda: pipeline.refresh(ws, FIRST, publish=True), ws)
    assert (record.outcome, record.release) == ("done", 1)


VARIANTS = {
    "k1": {"k": 1},
    "k3": {"k": 3},
    "k3-fake-labels-trend": {
        "k": 3,
        "kind": "fake",
        "extra": FAKE + '\n[evidence]\nlevel = "instance"\nrank_by = "trend"\nwindow_days = 14\n',
    },
    "k1-fake-global-observed": {
        "k": 1,
        "kind": "fake",
        "extra": FAKE.replace("chunk", 'contexts = "observed"\nchunk') + '\n[evidence]\nlevel = "global"\n',
    },
    "taxonomy": {"interests": 'taxonomy = "category"'},
    "ever": {},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_shape_of_the_loop_publishes_a_table_that_covers_its_contexts(
    world: Path, counted: Workspace, tmp_path: Path, name: str
) -> None:
    text = settings(world, **VARIANTS[name])  # type: ignore[arg-type]
    if name == "ever":
        text = text.replace("[transitions]", '[transitions]\nnovelty_days = "ever"')
    if "labels" in name:
        text = text.replace("[planner]", '[planner]\nmode = "label"')
    ws = copied(counted, tmp_path / "ws", text)
    published(ws)
    release = ws.releases.get(1)
    artifact = ws.store.find("tables", release.table)
    known = interests.load(ws.root / "interests" / release.interests)
    assert artifact is not None
    table = current_table(ws)
    size, k = len(known), int(VARIANTS[name].get("k", 2))
    assert table.k == k
    for length in range(min(k, 2) + 1):
        for context in permutations(range(size), length):
            row = table.look_up(context)
            assert row.answered == context
            assert sorted(row.successors.tolist()) == sorted(set(range(size)) - set(context))
    # the files beside the table give the scores that ranked it
    contexts = [(), (0,), (1, 0)][: k + 1]
    excluded = np.array([[i in c for i in range(size)] for c in contexts])
    scores = open_scorer(artifact, size)(pack_contexts(contexts, k), excluded)
    for context, fused in zip(contexts, scores.fused, strict=True):
        row = table.look_up(context)
        np.testing.assert_allclose(row.fused, fused[row.successors], rtol=1e-5)
        assert np.exp(row.fused).sum() == pytest.approx(1.0, abs=1e-4)
    if name == "taxonomy":
        assert set(known.descriptions) <= {_plain(value) for value in _categories(world)} | {"other"}
    if name == "ever":
        _check_ever(ws, size)
    if k == 3:
        assert len(table) > 1 + size + size * (size - 1)


def _categories(world: Path) -> set[str]:
    return set(pq.read_table(world / "items.parquet")["category"].to_pylist())


def _plain(value: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in value.lower()).split())


def _check_ever(ws: Workspace, size: int) -> None:
    """Under 'ever' nobody takes up an interest twice."""
    release = ws.releases.current()
    assert release is not None
    table = ws.store.find("tables", release.table)
    assert table is not None
    version = table.manifest["inputs"]["transitions"]
    log = TransitionLog(ws.root / "transitions" / version, ws.pool, size)
    found = log.between(AsOf.parse("1971-01-01"), FIRST)
    pairs = list(zip(found.user.tolist(), found.successor.tolist(), strict=True))
    assert len(pairs) > 100
    assert len(set(pairs)) == len(pairs)


def test_eligibility_holds_in_the_published_table(world: Path, counted: Workspace, tmp_path: Path) -> None:
    (version,) = counted.store.versions("interests")
    known = interests.load(counted.root / "interests" / version)
    names, ids = known.descriptions, known.ids
    extra = (
        FAKE
        + f"""
[table]
blocked = ["{names[0]}"]
withdrawn = ["{ids[1]}"]
sensitive = ["{names[2]}"]
"""
    )
    ruled = copied(counted, tmp_path / "ruled", settings(world, "fake", extra))
    published(ruled)
    release = ruled.releases.get(1)
    table = current_table(ruled)
    assert not np.isin(np.asarray(table.successors), [0, 1, 2]).any()
    said = evidence.read(ruled.root / "tables" / release.table / "evidence.parquet")
    assert said
    named = {s.interest for row in said.values() for s in row.successors}
    assert named
    assert not named & {0, 1, 2}


def test_an_unknown_interest_in_a_rule_stops_before_anything_is_published(
    world: Path, counted: Workspace, tmp_path: Path
) -> None:
    ws = copied(counted, tmp_path / "ws", settings(world, extra='[table]\nblocked = ["no such thing"]\n'))
    with pytest.raises(ConfigError, match="there is no interest 'no such thing'"):
        pipeline.refresh(ws, FIRST, publish=True)
    assert ws.releases.current() is None


def test_moments_with_too_little_before_them_are_refused(counted: Workspace, tmp_path: Path) -> None:
    ws = copied(counted, tmp_path / "ws")
    with pytest.raises(NotEnoughData, match="no event lies before 2020-01-01"):
        pipeline.refresh(ws, AsOf.parse("2020-01-01"))
    with pytest.raises(NotEnoughData):
        pipeline.refresh(ws, AsOf.parse("2024-01-02"))
    with pytest.raises(ConfigError, match="nothing to fine-tune"):
        pipeline.finetune(ws)
