"""A table whose pairs don't all fit serves as one in which they do, and everything that reads rows goes on."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from freshet import Recommender, inspect, operations, pipeline
from freshet.storage.workspace import Workspace
from tests.pipeline.world import (
    INTERESTS,
    NOW,
    SECOND,
    approving,
    copied,
    current_table,
    make_world,
    settings,
    step,
    workspace,
)

ROWS = 40
WIDE = f"\n[table]\nrows = {ROWS}\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def whole(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A release with a row for every pair."""
    ws = workspace(tmp_path_factory.mktemp("whole") / "ws", settings(world))
    publish(ws)
    return ws


def publish(ws: Workspace) -> None:
    operations.import_log(ws, NOW)
    approving(lambda: pipeline.refresh(ws, SECOND, publish=True), ws)


@pytest.fixture(scope="module")
def wide(whole: Workspace, world: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The same log with room for the busiest pairs alone, published after it."""
    ws = copied(whole, tmp_path_factory.mktemp("wide") / "ws", settings(world, extra=WIDE))
    approving(lambda: pipeline.refresh(ws, SECOND, publish=True), ws)
    return ws


def test_only_the_busiest_pairs_have_a_row(whole: Workspace, wide: Workspace) -> None:
    all_rows, some = current_table(whole), current_table(wide)
    assert len(all_rows) == 1 + INTERESTS**2
    assert len(some) == ROWS
    pairs = [context for context in some.contexts.tolist() if context[0] >= 0]
    assert len(pairs) == ROWS - 1 - INTERESTS
    for context in [(), *((i,) for i in range(INTERESTS)), *map(tuple, pairs)]:
        one, other = all_rows.look_up(context), some.look_up(context)
        assert other.answered == context
        assert one.successors.tolist() == other.successors.tolist()
        assert one.fused.tobytes() == other.fused.tobytes()


def test_people_are_answered_alike(whole: Workspace, wide: Workspace, world: Path) -> None:
    items = pq.read_table(world / "items.parquet", columns=["item_id"])["item_id"].to_pylist()
    histories = [[], items[:1], items[3:6], items[7:2:-2], items[::9]]
    with Recommender.open(whole.root) as one, Recommender.open(wide.root) as other:
        for history in histories:
            a, b = (r.recommend(history=history, interests=4, explain=True) for r in (one, other))
            assert [(x.id, x.score) for x in a.interests] == [(x.id, x.score) for x in b.interests]
            assert a.context_ids == b.context_ids


def test_what_has_no_row_is_explained_by_its_last_interest(wide: Workspace) -> None:
    table = current_table(wide)
    a, b = next((a, b) for a in range(9) for b in range(9) if a != b and table.row_number((a, b)) is None)
    known = inspect.open_release(wide).interests
    explained = inspect.explain(wide, [str(known.ids[a]), str(known.ids[b])])
    assert explained.fallback
    assert [named.id for named in explained.answered] == [known.ids[b]]
    assert known.ids[a] not in [line.id for line in explained.successors]


def test_releases_are_compared_where_both_have_rows(wide: Workspace) -> None:
    numbers = wide.releases.numbers()
    found = inspect.compare(wide, numbers[-2], numbers[-1])
    assert found.rows == ROWS
    assert (found.only_a, found.only_b) == (1 + INTERESTS**2 - ROWS, 0)
    assert (found.changed, found.churn) == (0, 0.0)
    assert found.observed_rows == ROWS


def test_another_number_of_rows_is_another_table(wide: Workspace, world: Path, tmp_path: Path) -> None:
    again = pipeline.run(wide, NOW)
    assert again.release == wide.releases.current().number  # type: ignore[union-attr]
    other = copied(wide, tmp_path / "other", settings(world, extra="\n[table]\nrows = 30\n"))
    record = approving(lambda: pipeline.refresh(other, SECOND, publish=True), other)
    assert step(record, "table")["rows"] == len(current_table(other)) == 30


def test_triples_share_the_rows_with_pairs(world: Path, tmp_path: Path) -> None:
    ws = workspace(tmp_path / "ws", settings(world, extra=WIDE, k=3))
    publish(ws)
    table = current_table(ws)
    lengths = [sum(index >= 0 for index in context) for context in table.contexts.tolist()]
    assert len(table) == ROWS
    assert {2, 3} <= {*lengths} or lengths.count(2) == ROWS - 1 - INTERESTS
    for context in table.contexts.tolist():
        kept = tuple(index for index in context if index >= 0)
        assert table.look_up(kept).answered == kept
        if len(kept) == 3:
            assert table.row_number(kept[1:]) is not None
