"""Content from refresh to refresh: what it may know, when it is made anew, and a log that goes without."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from freshet import operations, pipeline
from freshet.core.types import CONTENT, AsOf, Transitions
from freshet.core.types.ids import user_number
from freshet.pipeline import context_of
from freshet.run_context import RunContext
from freshet.stages.content import ContentItems, read_items
from freshet.stages.content import step as vectors
from freshet.stages.content.format import EARLY, FULL, Which
from freshet.stages.table import table_plan
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.durable import read_json
from freshet.storage.manifests import TableManifest
from freshet.storage.workspace import Workspace
from tests.pipeline.world import (
    FIRST,
    INTERESTS,
    NOW,
    SECOND,
    copied,
    refreshed,
    settings,
    step,
    table_of,
    workspace,
)
from tests.replay.future import another


@dataclass(frozen=True)
class Made:
    """Content as of FIRST, and what the log was then."""

    ws: Workspace
    ctx: RunContext
    made: Artifact


def described(ws: Workspace) -> Made:
    """The content of a workspace whose log is imported."""
    with ws.run("test") as run:
        ctx = context_of(ws, run, FIRST)
        made = vectors.make(ctx)
    assert made is not None
    return Made(ws, ctx, made)


@pytest.fixture(scope="module")
def here(counted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return described(copied(counted, tmp_path_factory.mktemp("here") / "ws"))


def elsewhere(world: Path, folder: Path, at: AsOf) -> Made:
    """The same in a world that is another one from a moment on."""
    ws = workspace(folder / "ws", settings(another(world, folder / "world", at)))
    operations.import_log(ws, NOW)
    return described(ws)


def place(items: ContentItems, ids: list[str]) -> list[int]:
    return [items.ids.index(name) for name in ids]


def same(one: Made, two: Made, which: Which) -> bool:
    """Whether places of interests, and of the items met before the worlds part, are the same to the bit."""
    a, b = (read_items(each.made.path, which) for each in (one, two))
    met = [
        name
        for name in a.ids
        if name in b.ids and a.titles[place(a, [name])[0]] == b.titles[place(b, [name])[0]]
    ]
    assert len(met) > 40
    left, right = a.vectors, b.vectors
    rows, others = place(a, met), place(b, met)
    return (
        np.array_equal(left.centroids.text, right.centroids.text)
        and np.array_equal(left.centroids.engaged, right.centroids.engaged)
        and np.array_equal(left.text[rows], right.text[others])
        and np.array_equal(left.engaged[rows], right.engaged[others])
    )


def test_what_happens_after_the_moment_changes_nothing(here: Made, world: Path, tmp_path: Path) -> None:
    other = elsewhere(world, tmp_path, FIRST)
    assert same(here, other, EARLY)
    assert same(here, other, FULL)


def test_weights_are_fitted_with_vectors_that_know_nothing_of_the_held_out_windows(
    here: Made, world: Path, tmp_path: Path
) -> None:
    start = here.ctx.fitter.holdout.start
    other = elsewhere(world, tmp_path, start)
    assert other.ctx.fitter.holdout.start == start
    assert same(here, other, EARLY)
    assert not same(here, other, FULL)  # what serves has learned from the windows
    earlier = here.ctx.log.transitions.between(start.minus(14), start)
    assert len(earlier) > 50
    views = [vectors.view(each.ws, each.ctx.log, each.made, EARLY, earlier) for each in (here, other)]
    profiles = [view.profiles(earlier) for view in views]
    np.testing.assert_array_equal(*profiles)
    assert profiles[0].any()


def naive(items: ContentItems, events: list[tuple[int, str]], time: int) -> NDArray[np.float32]:
    """A user's profile by definition: the mean of the items engaged strictly before, later ones counting more."""
    last: list[str] = []
    known = [
        (when, items.ids.index(name), name) for when, name in events if when < time and name in items.ids
    ]
    for _, _, name in sorted(known, reverse=True):
        if name not in last:
            last.append(name)
    parts = []
    for space in (items.vectors.text, items.vectors.engaged):
        total = np.zeros(space.shape[1])
        for back, name in enumerate(last[:50]):
            total += 0.95**back * space[items.ids.index(name)].astype(np.float64)
        length = np.linalg.norm(total)
        parts.append(total / length if length > 1e-6 else total * 0)
    own = np.bincount([items.vectors.interest[items.ids.index(name)] for name in last], minlength=INTERESTS)
    return np.concatenate([*parts, np.log1p(own)]).astype(np.float32)


def test_profiles_are_of_what_came_strictly_before(here: Made, world: Path) -> None:
    held = vectors.held_out_view(here.ctx, here.made)
    assert held is not None
    rows = Transitions.concatenate([window.held for window in here.ctx.fitter.holdout.windows])
    log = pq.read_table(world / "events.parquet").filter(pc.greater_equal(pc.field("value"), 7))
    time = log["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
    engaged: dict[int, list[tuple[int, str]]] = {}
    for user, when, item in zip(log["user_id"].to_pylist(), time, log["item_id"].to_pylist(), strict=True):
        engaged.setdefault(user_number(user), []).append((when, item))
    found, items = held.profiles(rows), read_items(here.made.path, EARLY)
    known = 0
    for row in range(0, len(rows), 4):
        events = engaged[int(rows.user[row])]
        expected = naive(items, events, int(rows.time[row]))
        np.testing.assert_allclose(found[row], expected, atol=2e-3)
        with_step = naive(items, events, int(rows.time[row]) + 1)
        known += bool(expected.any()) and not np.allclose(found[row], with_step, atol=2e-2)
    assert known > 20  # the step itself would have changed the profile


def test_a_log_may_go_without(counted: Workspace, world: Path, tmp_path: Path) -> None:
    """The table is that of a Freshet that knows no content, and nothing is made for it."""
    text = settings(world, extra="[content]\nuse = false\n")
    ws = workspace(tmp_path / "ws", text)
    refreshed(ws, FIRST)
    made = table_of(ws, FIRST)
    assert ws.store.versions("content") == ws.store.versions("texts") == []
    assert TableManifest.of(made).inputs.content == ""
    assert not (made.path / "content").exists()
    assert not {"content", "content_margin", "without_context"} & set(read_json(made.path / "mixture.json"))
    with_content = copied(counted, tmp_path / "with")
    with with_content.run("test") as run:
        ctx = context_of(with_content, run, FIRST)
        assert table_plan.plan_table(ctx, None, None).version == made.version
    other = table_of(with_content, FIRST)
    assert other.version != made.version
    assert TableManifest.of(other).inputs.content in with_content.store.versions("content")
    counts = [read_json(each.path / "mixture.json")["by_length"] for each in (made, other)]
    assert counts[0] == counts[1]  # counts don't depend on what is weighed beside them


def test_weights_are_kept_and_texts_are_read_once(counted: Workspace, tmp_path: Path) -> None:
    ws = copied(counted, tmp_path / "ws")
    made = table_of(ws, FIRST)
    stored = read_json(made.path / "mixture.json")
    assert set(stored["content"]) == set(CONTENT)
    assert (
        stored["content_margin"]["low"] < stored["content_margin"]["nll"] < stored["content_margin"]["high"]
    )
    used = committed(ws.store, "content", TableManifest.of(made).inputs.content)
    assert (made.path / "content").exists() == any(
        name in stored["content"] for name in stored["fused"] or {}
    )
    again = pipeline.refresh(ws, FIRST)
    cached = {one.name: one.cached for one in again.steps}
    assert (cached["texts"], cached["content"], cached["table"]) == (True, True, True)
    later = pipeline.refresh(ws, SECOND)
    cached = {one.name: one.cached for one in later.steps}
    assert (cached["texts"], cached["content"]) == (True, False)
    assert int(str(step(later, "content")["items"])) >= len(read_items(used.path).ids)
