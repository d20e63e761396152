"""What became of what was shown, as known at a moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from freshet import pipeline
from freshet.core.types import AsOf, Interests, user_number
from freshet.experiments.measurement import labels
from freshet.experiments.measurement.impression_files import SHOWN
from freshet.experiments.measurement.labels import Window
from freshet.stages import events, interests
from freshet.storage.workspace import Workspace
from tests.experiments.showing import HOUR, assigned, at, by_interest, record_events, show, shown
from tests.pipeline.world import FIRST, copied

DAY = "2024-02-20"
WINDOW = Window(AsOf.parse("2024-02-18"), AsOf.parse("2024-02-22"), hours=6)
RULE = events.parse("value >= 7")


@pytest.fixture(scope="module")
def published(counted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = copied(counted, tmp_path_factory.mktemp("published") / "ws")
    pipeline.refresh(ws, FIRST, publish=True)
    return ws


@pytest.fixture
def ws(published: Workspace, tmp_path: Path) -> Workspace:
    return copied(published, tmp_path / "ws")


def known(ws: Workspace) -> Interests:
    release = ws.releases.current()
    assert release is not None
    return interests.load(ws.root / "interests" / release.interests)


def rewards(ws: Workspace, window: Window = WINDOW) -> dict[tuple[str, int], bool]:
    """(id, place) -> reward."""
    assignment, _ = assigned(ws, known(ws))
    table = labels.labelled(ws, window, assignment, known(ws), RULE)
    return {(row["id"], row["place"]): row["reward"] for row in table.to_pylist()}


def test_an_outcome_names_the_impression_passes_the_rule_and_is_of_what_was_shown(
    ws: Workspace, tmp_path: Path
) -> None:
    _, items = assigned(ws, known(ws))
    a, b = by_interest(items, 3)[:2]
    time, noon = at(DAY), at(DAY) + HOUR
    show(
        ws,
        [
            shown("listed", time, a, items=items[a][:2]),
            shown("listed", time, b, place=1, items=items[b][:2]),
            shown("other item", time, a, items=items[a][:2]),
            shown("plain", time, a),
            shown("plain", time, b, place=1),
            shown("disliked", time, a),
            shown("late", time, a),
            shown("before", time, a),
            shown("nothing", time, a),
            shown("elsewhere", time, a),
            shown("of another", time, a),
            shown("of nobody", time, a, user=""),
        ],
    )
    record_events(
        ws,
        [
            ("user of listed", items[b][1], noon, 9.0, "listed"),
            ("user of listed", items[b][1], noon + 1, 9.0, "listed"),
            ("user of other item", items[a][2], noon, 9.0, "other item"),
            ("user of plain", items[a][2], noon, 9.0, "plain"),
            ("user of disliked", items[a][0], noon, 6.0, "disliked"),
            ("user of late", items[a][0], time + 6 * HOUR, 9.0, "late"),
            ("user of before", items[a][0], time - 61_000_000, 9.0, "before"),
            ("user of nothing", items[a][0], noon, 9.0, ""),
            ("user of elsewhere", items[b][0], noon, 9.0, "elsewhere"),
            ("somebody", items[a][0], noon, 9.0, "of another"),
            ("somebody", items[a][0], noon + 1, 9.0, "of nobody"),
        ],
        tmp_path,
    )
    found = rewards(ws)
    assert len(found) == 12
    assert [key for key, reward in found.items() if reward] == [("listed", 1), ("of nobody", 0), ("plain", 0)]
    table = labels.labelled(ws, replace(WINDOW, first=True), assigned(ws, known(ws))[0], known(ws), RULE)
    assert table["place"].to_pylist() == [0] * 10


def test_only_what_was_known_at_the_moment_is_read(ws: Workspace, tmp_path: Path) -> None:
    _, items = assigned(ws, known(ws))
    a = by_interest(items, 1)[0]
    edge = at("2024-02-22", 0)
    times = {
        "too early": at("2024-02-18", 0) - 1,
        "first": at("2024-02-18", 0),
        "last": edge - 6 * HOUR - 1,
        "open": edge - 6 * HOUR,
        "after": edge + 1,
    }
    show(ws, [shown(id, time, a) for id, time in times.items()])
    record_events(
        ws,
        [(f"user of {id}", items[a][0], time + n + 1, 9.0, id) for n, (id, time) in enumerate(times.items())],
        tmp_path,
    )
    assert rewards(ws) == {("first", 0): True, ("last", 0): True}


def test_older_files_lack_columns_and_a_log_may_know_no_impressions(ws: Workspace) -> None:
    a = int(known(ws).ids[0])
    old = pa.schema([field for field in SHOWN if field.name not in ("experiment", "arm", "user_key")])
    row: dict[str, Any] = shown("old", at(DAY), a, user="Ada")
    show(ws, [row], "old", old)
    show(ws, [shown("nobody", at(DAY), a, user="")], "nobody")
    table = labels.labelled(ws, WINDOW, assigned(ws, known(ws))[0], known(ws), RULE)
    by_id = {found["id"]: found for found in table.to_pylist()}
    assert by_id["old"]["experiment"] == by_id["old"]["arm"] == ""
    assert not by_id["old"]["reward"]
    found = labels.outcomes_of(table, known(ws).index_by_id(), 2)
    users = dict(zip(table["id"].to_pylist(), found.user.tolist(), strict=True))
    assert users == {"old": user_number("Ada"), "nobody": user_number("nobody")}


def test_nothing_shown_is_no_rows(ws: Workspace) -> None:
    assert rewards(ws) == {}


def test_rows_become_arrays_of_the_interests_of_now(ws: Workspace) -> None:
    ids = known(ws).ids
    gone = int(ids.max()) + 7
    show(
        ws,
        [
            shown("c", at(DAY, 3), int(ids[2]), context=[int(ids[4]), int(ids[3])], score=-1.5),
            shown("a", at(DAY, 1), int(ids[1]), context=[]),
            shown("b", at(DAY, 2), int(ids[2]), context=[int(ids[5])]),
            shown("d", at(DAY, 4), int(ids[2]), context=[gone, int(ids[6])]),
            shown("e", at(DAY, 5), int(ids[2]), context=[int(ids[6]), gone]),
            shown("f", at(DAY, 6), gone),
            shown("g", at(DAY, 7), int(ids[2]), score=None),
            shown("h", at(DAY, 8), int(ids[2]), context=[int(ids[1]), int(ids[4]), int(ids[3])]),
        ],
    )
    table = labels.labelled(ws, WINDOW, assigned(ws, known(ws))[0], known(ws), RULE)
    found = labels.outcomes_of(table, known(ws).index_by_id(), 2)
    assert found.shown.tolist() == [1, 2, 2, 2, 2, 2]
    assert found.context.tolist() == [[-1, -1], [-1, 5], [4, 3], [-1, 6], [-1, -1], [4, 3]]
    assert found.score[2] == -1.5
    assert found.time.tolist() == [at(DAY, hour) for hour in (1, 2, 3, 4, 5, 8)]
    assert found.user[0] == user_number("user of a")
    assert not found.reward.any()
    assert np.array_equal(known(ws).index_by_id()[ids], np.arange(len(ids)))


def test_of_too_many_rows_the_latest_days_are_read_and_of_many_users_a_share(ws: Workspace) -> None:
    a = int(known(ws).ids[0])
    for day in ("2024-02-18", "2024-02-19", "2024-02-20"):
        show(ws, [shown(f"{day} {n}", at(day) + n, a) for n in range(200)])
    assert labels.count(ws, WINDOW) == 600
    files = labels.files_of(ws, replace(WINDOW, most=300))
    assert [path.parent.name for path in files] == ["date=2024-02-19", "date=2024-02-20"]
    some = {id for id, _ in rewards(ws, replace(WINDOW, share=0.5))}
    assert 220 < len(some) < 380
    assert labels.count(ws, replace(WINDOW, share=0.5)) == len(some)


def test_a_file_that_is_not_whole_is_passed_over(ws: Workspace) -> None:
    a = int(known(ws).ids[0])
    show(ws, [shown(f"s{n}", at(DAY) + n, a) for n in range(9)])
    [whole] = labels.files_of(ws, WINDOW)
    (whole.parent / "cut.parquet").write_bytes(whole.read_bytes()[:-20])
    assert labels.files_of(ws, replace(WINDOW, most=300)) == [whole]
    assert labels.count(ws, WINDOW) == 9
