"""Impressions of another system: kept, known, or refused with a reason; as what Freshet showed itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet import operations, pipeline
from freshet.core.errors import ConfigError, InputError
from freshet.core.types import AsOf, user_number
from freshet.experiments.measurement.foreign_rows import ColumnNames
from freshet.experiments.measurement.import_impressions import ImpressionsReport
from freshet.experiments.measurement.impression_files import SHOWN, files
from freshet.experiments.measurement.labels import Window, assignment_of, labelled
from freshet.stages import events, interests
from freshet.stages.table import Table
from freshet.storage.release_parts import parts_of
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FIRST, NOW, copied

pytestmark = pytest.mark.slow
DAY = FIRST.moment + timedelta(hours=5)
Row = dict[str, Any]


@pytest.fixture(scope="module")
def released(counted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = copied(counted, tmp_path_factory.mktemp("released") / "shop")
    pipeline.refresh(ws, FIRST, publish=True)
    return ws


@pytest.fixture
def ws(released: Workspace, tmp_path: Path) -> Workspace:
    return copied(released, tmp_path / "shop")


def known(ws: Workspace) -> tuple[list[int], list[str], dict[str, int]]:
    """Ids and descriptions of the interests; the interest of each item."""
    release = ws.releases.current()
    assert release is not None
    parts = parts_of(ws.store, release)
    found = interests.load(parts.interests.path)
    assigned = pq.read_table(parts.assignment.path / "assignment.parquet").to_pydict()
    items = {
        i: int(found.ids[at]) for i, at in zip(assigned["item"], assigned["interest"], strict=True) if at >= 0
    }
    return found.ids.tolist(), list(found.descriptions), items


def row(n: int, **changes: Any) -> Row:
    base = {
        "id": f"a{n}", "user_id": f"u{n}", "timestamp": (DAY + timedelta(minutes=n)).isoformat(), "interest": 1,
        "propensity": 0.25, "place": 0, "context": "2,3",
    }  # fmt: skip
    return base | changes


def written(path: Path, rows: list[Row]) -> Path:
    """As lines of JSON."""
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def take_in(ws: Workspace, path: Path, *columns: str) -> ImpressionsReport:
    _, (report,) = operations.import_impressions(ws, [path], ColumnNames.of([*columns]), NOW)
    assert report.rows == report.added + report.duplicates + sum(report.quarantined.values())
    return report


def shown(ws: Workspace) -> list[Row]:
    found, unreadable = files(ws.root)
    assert unreadable == []
    for one in found:
        assert pq.read_schema(one.path).equals(SHOWN)
    tables = [pq.read_table(one.path) for one in found]
    return (
        sorted(pa.concat_tables(tables).to_pylist(), key=lambda one: (one["id"], one["place"]))
        if tables
        else []
    )


def test_rows_are_kept_as_what_freshet_shows(ws: Workspace, tmp_path: Path) -> None:
    ids, texts, _ = known(ws)
    rows = [
        row(0, interest=ids[0], context=f"{ids[1]},{ids[2]}"),
        row(0, interest=texts[3], place=1, propensity=1.0, context=f"{ids[1]},{ids[2]}"),
        row(1, interest=ids[4], context="", timestamp=(DAY + timedelta(days=1)).isoformat()),
    ]
    report = take_in(ws, written(tmp_path / "shown.jsonl", rows))
    assert (report.rows, report.added, report.duplicates, report.quarantined) == (3, 3, 0, {})
    first, second, third = shown(ws)
    assert (first["interest"], second["interest"], third["interest"]) == (ids[0], ids[3], ids[4])
    assert first["context"] == [ids[1], ids[2]]
    assert third["context"] == []
    assert (first["propensity"], first["explored"], second["explored"]) == (0.25, True, False)
    assert (first["release"], first["reason"], first["items"]) == (0, "elsewhere", [])
    assert first["user_key"] == user_number("u0")
    assert first["time"] == DAY.replace(tzinfo=None)
    assert len({path.path.parent for path in files(ws.root)[0]}) == 2


def test_a_score_is_that_of_the_table_that_served_then(ws: Workspace, tmp_path: Path) -> None:
    ids, _, _ = known(ws)
    early = (FIRST.moment - timedelta(days=3)).isoformat()
    rows = [
        row(0, interest=ids[0], context=f"{ids[2]},{ids[1]}"),
        row(1, interest=ids[0], timestamp=early, context=""),
    ]
    rows.append(row(2, interest=ids[0], context="", score=-1.5))
    report = take_in(ws, written(tmp_path / "shown.jsonl", rows))
    assert report.unscored == 1
    assert any("1 rows have no score" in note for note in report.notes)
    release = ws.releases.current()
    table = Table(parts_of(ws.store, release).table.path, len(ids))
    found = table.look_up((2, 1))
    first, second, third = shown(ws)
    assert first["score"] == pytest.approx(float(found.fused[list(found.successors).index(0)]))
    assert second["score"] is None
    assert third["score"] == -1.5


def test_importing_twice_changes_nothing(ws: Workspace, tmp_path: Path) -> None:
    ids, _, _ = known(ws)
    path = written(tmp_path / "shown.jsonl", [row(n, interest=ids[n % 5], context="") for n in range(50)])
    take_in(ws, path)
    before = {one.path: one.path.read_bytes() for one in files(ws.root)[0]}
    report = take_in(ws, path)
    assert (report.added, report.duplicates) == (0, 50)
    assert {one.path: one.path.read_bytes() for one in files(ws.root)[0]} == before
    more = written(tmp_path / "more.jsonl", [row(n, interest=ids[n % 5], context="") for n in range(60)])
    assert take_in(ws, more).added == 10
    assert len(shown(ws)) == 60


def test_an_import_that_was_killed_is_made_whole_by_the_same_command(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, _, items = known(ws)
    item = next(iter(items))
    days = [DAY, DAY + timedelta(days=1), DAY + timedelta(days=2)]
    rows = [row(n, item=item, context="", timestamp=day.isoformat(), outcome=9) for n, day in enumerate(days)]
    path = written(
        tmp_path / "shown.jsonl", [{k: v for k, v in one.items() if k != "interest"} for one in rows]
    )
    real, calls = pq.write_table, []

    def dies(table: pa.Table, *args: Any, **kwargs: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(table, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", dies)
        with pytest.raises(KeyboardInterrupt):
            take_in(ws, path, "item=item")
    assert len(shown(ws)) == 1
    report = take_in(ws, path, "item=item")
    assert (report.added, report.duplicates, report.outcomes) == (2, 1, 3)
    assert take_in(ws, path, "item=item").outcomes == 0
    assert ids


BAD: list[tuple[str, Callable[[Row], Row]]] = [
    ("propensity outside of (0, 1]", lambda one: one | {"propensity": 0}),
    ("propensity outside of (0, 1]", lambda one: one | {"propensity": 1.2}),
    ("propensity outside of (0, 1]", lambda one: one | {"propensity": -0.5}),
    ("missing propensity", lambda one: one | {"propensity": None}),
    ("value is not a number", lambda one: one | {"propensity": "often"}),
    ("unknown interest", lambda one: one | {"interest": 9999}),
    ("unknown interest", lambda one: one | {"interest": "no such words"}),
    ("context with an unknown interest", lambda one: one | {"context": "9999"}),
    ("context with an unknown interest", lambda one: one | {"context": "jazz"}),
    ("place is no number from 0", lambda one: one | {"place": -1}),
    ("place is no number from 0", lambda one: one | {"place": "first"}),
    ("time in the future", lambda one: one | {"timestamp": (NOW + timedelta(days=30)).isoformat()}),
    ("unreadable time", lambda one: one | {"timestamp": "2024-31-31"}),
    ("missing user", lambda one: one | {"user_id": ""}),
    ("missing id", lambda one: one | {"id": ""}),
    ("unknown release", lambda one: one | {"release": 77}),
    ("experiment without arm, or arm without experiment", lambda one: one | {"experiment": "x"}),
    ("outcome is not a number", lambda one: one | {"outcome": "clicked"}),
    ("outcome without an item", lambda one: one | {"outcome": 1}),
    ("score is not a number", lambda one: one | {"score": "high"}),
]


@pytest.mark.parametrize(("why", "spoil"), BAD)
def test_a_bad_row_is_refused_alone(
    ws: Workspace, tmp_path: Path, why: str, spoil: Callable[[Row], Row]
) -> None:
    ids, _, _ = known(ws)
    good = [row(n, interest=ids[0], context=str(ids[1])) for n in range(30)]
    path = written(tmp_path / "shown.jsonl", [*good, spoil(row(99, interest=ids[0], context=str(ids[1])))])
    report = take_in(ws, path)
    assert report.quarantined == {why: 1}
    assert report.added == 30
    (kept,) = [
        pq.read_table(one).to_pylist() for one in (ws.root / "quarantine").glob("shown.jsonl-*.parquet")
    ]
    assert [(one["row"], one["reason"]) for one in kept] == [(31, why)]
    assert "u99" in kept[0]["raw"] or why == "missing user"


def test_what_contradicts_itself_is_refused_and_copies_are_known(ws: Workspace, tmp_path: Path) -> None:
    ids, _, _ = known(ws)

    def one(n: int, **changes: Any) -> Row:
        return row(n, **({"interest": ids[0], "context": ""} | changes))

    rows = [
        one(0), one(0),  # a copy
        one(1), one(1, propensity=0.5),  # which of them?
        one(2), one(2, place=1, user_id="another"),
        one(3), one(3, place=1, interest=ids[1]),
    ]  # fmt: skip
    report = take_in(ws, written(tmp_path / "shown.jsonl", rows))
    assert (report.added, report.duplicates) == (3, 1)
    assert report.quarantined == {
        "one id and place with different content": 2,
        "one id with different users, times, contexts, releases or arms": 2,
    }
    other = take_in(ws, written(tmp_path / "again.jsonl", [one(0, interest=ids[2]), one(7)]))
    assert other.quarantined == {"another interest is known of this id and place": 1}
    assert [one["id"] for one in shown(ws)] == ["a0", "a3", "a3", "a7"]


def test_a_file_of_which_no_row_can_be_used_is_an_error(ws: Workspace, tmp_path: Path) -> None:
    path = written(tmp_path / "shown.jsonl", [row(n, interest=9999, context="") for n in range(3)])
    with pytest.raises(InputError, match=r"none of its 3 rows can be used \(unknown interest: 3\)"):
        take_in(ws, path)
    assert shown(ws) == []
    assert ws.ledger.records()[-1].outcome == "failed"


def test_columns_that_lack_are_named(ws: Workspace, tmp_path: Path) -> None:
    ids, _, _ = known(ws)
    whole = row(0, interest=ids[0], context="")
    for part in ("propensity", "interest", "id"):
        path = written(tmp_path / "shown.jsonl", [{k: v for k, v in whole.items() if k != part}])
        with pytest.raises(InputError, match=part) as refused:
            take_in(ws, path)
        assert "--column" in refused.value.hint
    path = written(tmp_path / "shown.jsonl", [{k: v for k, v in whole.items() if k != "context"}])
    with pytest.raises(InputError, match="neither a context nor a history"):
        take_in(ws, path)
    with pytest.raises(ConfigError, match="is not PART=NAME"):
        ColumnNames.of(["colour=red"])


def test_items_histories_and_other_names_are_understood(ws: Workspace, tmp_path: Path) -> None:
    ids, _, items = known(ws)
    chosen = sorted(items)[:4]
    table = pa.table(
        {
            "who": ["u1", "u1", "u2"],
            "when": pa.array([DAY, DAY, DAY], pa.timestamp("us", "UTC")),
            "product": chosen[:3],
            "p": [0.5, 0.25, 1.0],
            "seen": pa.array([[chosen[3], chosen[0]], [chosen[3], chosen[0]], []], pa.list_(pa.string())),
            "clicked": [True, False, False],
        }
    )
    path = tmp_path / "shown.parquet"
    pq.write_table(table, path)
    columns = (
        "id=",
        "user=who",
        "time=when",
        "item=product",
        "propensity=p",
        "history=seen",
        "outcome=clicked",
    )
    report = take_in(ws, path, *columns)
    assert (report.added, report.outcomes) == (3, 1)
    rows = shown(ws)
    assert {one["user"] for one in rows} == {"u1", "u2"}
    mine = sorted((one for one in rows if one["user"] == "u1"), key=lambda one: one["place"])
    assert [one["place"] for one in mine] == [0, 1]
    assert len({one["id"] for one in mine}) == 1
    assert [one["items"] for one in mine] == [[chosen[0]], [chosen[1]]]
    assert [one["interest"] for one in mine] == [items[chosen[0]], items[chosen[1]]]
    wanted = list(dict.fromkeys([items[chosen[0]], items[chosen[3]]]))[::-1]
    assert mine[0]["context"] == wanted
    assert take_in(ws, path, *columns).duplicates == 3
    assert ids


def test_outcomes_reach_the_labels_that_feedback_and_off_policy_read(ws: Workspace, tmp_path: Path) -> None:
    _, _, items = known(ws)
    chosen = sorted(items)
    rows = [
        {k: v for k, v in row(n, item=chosen[n], context="", outcome=9 * (n % 2)).items() if k != "interest"}
        for n in range(20)
    ]
    take_in(ws, written(tmp_path / "shown.jsonl", rows), "item=item")
    release = ws.releases.current()
    assert release is not None
    parts = parts_of(ws.store, release)
    transitions = parts.table.manifest["inputs"]["transitions"]
    window = Window(FIRST, AsOf.parse("2024-02-20"), 24.0)
    found = labelled(
        ws,
        window,
        assignment_of(ws, transitions),
        interests.load(parts.interests.path),
        events.parse("value >= 7"),
    )
    reward = dict(zip(found["id"].to_pylist(), found["reward"].to_pylist(), strict=True))
    assert reward == {f"a{n}": n % 2 == 1 for n in range(20)}
    assert np.isfinite(found["score"].to_numpy()).any()


def test_without_a_release_there_are_no_interests_to_understand(counted: Workspace, tmp_path: Path) -> None:
    fresh = copied(counted, tmp_path / "fresh")
    for path in (fresh.root / "releases").glob("*.json"):
        path.unlink()
    (fresh.root / "CURRENT").unlink(missing_ok=True)
    with pytest.raises(ConfigError, match="there is no release yet"):
        take_in(fresh, written(tmp_path / "shown.jsonl", [row(0)]))
