"""Whatever an id looks like, its person goes, and nobody whose id holds it does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from freshet.core import config
from freshet.core.types import Fact, User
from freshet.core.types.ids import identity, no_ids, plain_id
from freshet.privacy.forgetting import forget, look
from freshet.privacy.person import Names, Person
from freshet.stages.events import EventLog
from freshet.stages.events.refused_rows import OfPeople, stands_in
from freshet.storage.user_ids import People
from freshet.wiring import open_user_store, open_workspace

NOW = datetime(2024, 6, 1, tzinfo=UTC)
IDS = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=60)


def around(id: str) -> list[str]:
    """Ids that hold it, or that it holds."""
    return [
        f"{id}1",
        f"1{id}",
        f"x{id}",
        f"{id}é",
        f"{id} {id}",
        f"{id}/1",
        id.swapcase() + "_",
        id[:-1] or "q",
    ]


@settings(max_examples=12)
@given(IDS)
@example("12")
@example("123456789012")
@example('a"b\\c')
@example("o'Neil, Jr.")
@example("数字-42")
@example("-")
@pytest.mark.slow
def test_one_goes_and_the_others_stay(given_id: str) -> None:
    id = plain_id(given_id)
    others = sorted({plain_id(one) for one in around(id)} - {id})
    assume({id.lower(), *(one.lower() for one in others)}.isdisjoint(no_ids(config.MISSING)))
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "freshet.toml").write_text('[planner]\nkind = "counts"\n')
        users = [id, *others] * 3
        rows = len(users)
        bad = [None if at % 3 == 2 else datetime(2024, 5, 1 + at % 3, tzinfo=UTC) for at in range(rows)]
        pq.write_table(
            pa.table({"user": users, "item": [f"i{at}" for at in range(rows)], "time": bad}),
            root / "e.parquet",
        )
        EventLog(root).import_events(root / "e.parquet", config.Events(), now=NOW)
        (root / "e.parquet").unlink()
        ws = open_workspace(root)
        store = open_user_store(root, ws.config)
        store.record([fact(one, at) for at, one in enumerate(users)])
        store.impressions.append([json.dumps({"user": one, "time": 1}).encode() for one in users])
        before = {one: traces(root, one) for one in others}

        assert look(ws, [given_id]).searched.traces
        done = forget(ws, [given_id], store, NOW)

        assert done.clean, done.searched.traces
        assert done.removed["events"] + done.removed["quarantine"] == 3
        assert (done.removed["live_events"], done.removed["live_impressions"]) == (3, 3)
        assert {one: traces(root, one) for one in others} == before
        for one in others:
            assert len(store.histories([User.of(one).key])[0].items) == 3, one
        bodies = [json.loads(entry.body)["user"] for entry in store.impressions.read(0, 999)]
        assert sorted(bodies) == sorted(others * 3)
        store.close()


def fact(user: str, at: int) -> Fact:
    body = json.dumps({"user": user, "item": f"i{at}"}, ensure_ascii=False).encode()
    return Fact(identity(None, user, f"i{at}", at), User.of(user).key, at, 1, at + 1, True, body)


def traces(root: Path, user: str) -> int:
    """Rows of a user in the log and in quarantine."""
    found = 0
    for path in [*root.glob("events/*/*.parquet"), *root.glob("quarantine/*.parquet")]:
        table = pq.read_table(path)
        if "user" in table.column_names:
            found += table["user"].to_pylist().count(user)
        else:
            found += sum(plain_id(json.loads(raw)["user"]) == user for raw in table["raw"].to_pylist())
    return found


@pytest.mark.parametrize(
    ("id", "text", "found"),
    [
        ("u1", "a,u1,b", True), ("u1", "a,u12,b", False), ("u1", "au1", False), ("u1", "u1", True),
        ("u1", "xu1 u1", True), ("-", "a-b", True), ("é1", "é1", True), ("1", "é1", False),
    ],
)  # fmt: skip
def test_an_id_stands_by_itself(id: str, text: str, found: bool) -> None:
    assert stands_in(id, text) is found


@pytest.mark.parametrize(
    ("raw", "mine"),
    [
        ('{"user": "12", "item": "a"}', True), ('{"user_id": 12.0, "item": "a"}', True),
        ('{"user": "1", "item": "12"}', False), ('{"uid": "12"}', True), ('{"who": "12"}', True),
        ('{"user": "", "who": "12"}', True), ('{"user": null, "item": "7"}', False), ("x;12;y", True),
        ("x;123;y", False), ('{"user": "012"}', False), (None, False), ("[[12]]", True),
    ],
)  # fmt: skip
def test_whose_refused_row_it_is(raw: str | None, mine: bool) -> None:
    assert OfPeople({"12"}, config.Columns())(raw) is mine


def test_a_short_id_is_a_name_in_quotes_alone() -> None:
    names = Names([Person.of("12", People(b"s"))])
    text = 'user \'12\' has 12 of 12 events: {\\"user\\": \\"12\\"}'
    assert names.without(text) == 'user \'(forgotten)\' has 12 of 12 events: {\\"user\\": \\"(forgotten)\\"}'
    long = Names([Person.of("anna-1", People(b"s"))])
    assert long.without("anna-1 and anna-12, banna-1") == "(forgotten) and anna-12, banna-1"
