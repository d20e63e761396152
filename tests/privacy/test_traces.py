"""A file that can't be searched is told, and a number is nobody's name unless it stands in quotes."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from freshet import operations
from freshet.core import config
from freshet.privacy.forgetting import forget, look, outside
from freshet.privacy.person import Names, Person
from freshet.privacy.traces import search
from freshet.stages.events import EventLog
from freshet.storage.user_ids import People
from freshet.wiring import open_workspace

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def zipped(name: str, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as archive:
        archive.writestr(name, b"words " * 500)
    return held.getvalue()


def damaged(content: bytes, at: int, value: int | None = None) -> bytes:
    changed = bytearray(content)
    changed[at] = content[at] ^ 255 if value is None else value
    return bytes(changed)


WHOLE = zipped("a.npy")
CENTRAL = WHOLE.rindex(b"PK\x01\x02")
ENCRYPTED = damaged(damaged(WHOLE, 6, 1), CENTRAL + 8, 1)
UNKNOWN = damaged(damaged(WHOLE, 8, 97), CENTRAL + 10, 97)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.npz", WHOLE[:60]), ("sum.npz", damaged(WHOLE, CENTRAL + 16)), ("bytes.zip", damaged(WHOLE, 40)),
        ("no.zip", b"no archive"), ("locked.zip", ENCRYPTED), ("method.zip", UNKNOWN),
        ("cut.gz", gzip.compress(b"words " * 500)[:30]), ("bytes.gz", damaged(gzip.compress(b"words " * 9), 12)),
    ],
    ids=["cut.npz", "sum.npz", "bytes.zip", "no.zip", "locked.zip", "method.zip", "cut.gz", "bytes.gz"],  # archives hold the time
)  # fmt: skip
def test_an_archive_that_can_not_be_read_is_told(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "whole.npz").write_bytes(WHOLE)
    names = Names([Person.of("anna-1", People(b"s"))])
    [found] = search(tmp_path, names, config.Columns()).traces
    assert (found.path, found.count) == (name, 0)
    assert found.what.startswith("can't be")


def test_a_number_is_a_name_in_quotes_alone() -> None:
    names = Names([Person.of("10003", People(b"s"))])
    assert names.without("user '10003' has 10003 of 10003 events") == (
        "user '(forgotten)' has 10003 of 10003 events"
    )
    assert names.in_text('{"rows": 10003, "path": "a/10003/b"}') == 0
    assert names.in_text('{"user": "10003"}') == 1


def test_a_user_and_an_item_of_one_number(tmp_path: Path) -> None:
    """The catalogue is its owner's, and figures of runs stay as they were."""
    (tmp_path / "freshet.toml").write_text(
        '[events]\nfiles = ["events.csv"]\nitems = "items.csv"\n[planner]\nkind = "counts"\n'
    )
    (tmp_path / "items.csv").write_text('item,title\n"10003",Tea\n10004,Coffee\n')
    rows = "".join(
        f"{10000 + n % 5},{10003 + n % 2},2024-05-0{1 + n % 3}T10:00:0{n % 9}Z\n" for n in range(40)
    )
    (tmp_path / "events.csv").write_text(f"user,item,time\n{rows}")
    ws = open_workspace(tmp_path)
    operations.import_log(ws, NOW)
    [record] = ws.ledger.paths()
    told = json.loads(record.read_text())
    told["steps"][0]["details"] |= {"events": 10003, "who": "10003"}
    record.write_text(json.dumps(told))
    before = EventLog(tmp_path).snapshot().rows

    assert look(ws, ["10003"]).searched.traces
    done = forget(ws, ["10003"], None, NOW)

    assert done.clean, done.searched.traces
    assert any("the catalogue is yours" in one for one in done.left)
    assert EventLog(tmp_path).snapshot().rows == before - 8
    details = json.loads(record.read_text())["steps"][0]["details"]
    assert (details["events"], details["who"]) == (10003, "(forgotten)")
    assert '"10003",Tea' in (tmp_path / "items.csv").read_text()


def test_a_redis_server_is_said_not_to_be_searched(tmp_path: Path) -> None:
    settings = tmp_path / "freshet.toml"
    settings.write_text('[planner]\nkind = "counts"\n')
    assert not any("Redis" in one for one in outside(open_workspace(tmp_path)))
    settings.write_text('[planner]\nkind = "counts"\n[serving]\nstate = "redis://127.0.0.1/0"\n')
    assert any("cleaned, and not searched" in one for one in outside(open_workspace(tmp_path)))
