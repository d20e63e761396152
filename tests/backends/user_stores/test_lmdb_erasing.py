"""Nothing of an erased user is left in the file, whoever has it open; and nobody else loses anything."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import pytest

from freshet.backends.user_stores import lmdb_environment, lmdb_erasing
from freshet.backends.user_stores.lmdb_file import DATA
from freshet.backends.user_stores.lmdb_pages import examine
from freshet.backends.user_stores.lmdb_store import LmdbUserStore
from freshet.core.errors import StateError
from freshet.core.types import Fact
from tests.backends.user_stores.facts import fact, recorder

MARK = b"marker-4711"
KEY = bytes.fromhex("c0ffee00c0ffee00c0ffee00c0ffee00")


def _mine(body: bytes) -> bool:
    return MARK in body


def _theirs(number: int, size: int = 200) -> Fact:
    return Fact(
        b"mine" + number.to_bytes(12, "big"), KEY, number, number % 7, number, True, MARK + b"x" * size
    )


def _fill(state: LmdbUserStore) -> None:
    """A user between others, some of whose entries are long, some trimmed: pages were freed before."""
    for at in range(0, 600, 20):
        state.record([fact(n, body=b"another" * 30) for n in range(at, at + 20)])
        state.record([_theirs(n, 200 if n % 20 else 9000) for n in range(at // 4, at // 4 + 5)])
        state.impressions.append([json.dumps({"user": MARK.decode(), "n": at}).encode(), b"another"])
    state.events.trim(150)


def _said(state: LmdbUserStore) -> list[object]:
    users = [n.to_bytes(16, "big") for n in range(50)]
    histories = [(one.items.tolist(), one.item_times.tolist()) for one in state.histories(users)]
    entries = [*state.events.read(0, 10_000), *state.impressions.read(0, 10_000)]
    return [histories, [(one.position, one.body) for one in entries if MARK not in one.body]]


def test_no_byte_is_left(tmp_path: Path) -> None:
    state = LmdbUserStore(tmp_path, 1)
    _fill(state)
    before, data = _said(state), tmp_path / DATA
    assert MARK in data.read_bytes()
    assert KEY in data.read_bytes()

    done = state.erase([KEY], _mine)

    content = data.read_bytes()
    assert MARK not in content
    assert KEY not in content
    assert b"mine\0" not in content
    assert (done.histories, done.impressions) == (1, 30)
    assert done.events > 100
    assert _said(state) == before
    examine(data)  # sound, page by page
    assert state.record([fact(7000)]) == [True]
    state.close()
    examine(data)
    again = LmdbUserStore(tmp_path, 1)  # looks at every record
    assert _said(again)[1][:-1] == before[1][:-1] or len(_said(again)[1]) == len(before[1]) + 1
    again.close()


def test_a_deletion_alone_leaves_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above looks for is there where nothing is overwritten."""
    monkeypatch.setattr(lmdb_erasing, "erase", lambda *_: 0)
    state = LmdbUserStore(tmp_path, 1)
    _fill(state)
    state.erase([KEY], _mine)
    assert MARK in (tmp_path / DATA).read_bytes()
    state.close()


READER = """
import sys, lmdb
env = lmdb.open(sys.argv[1], readonly=True, max_dbs=9)
with env.begin():
    print("reading", flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_who_reads_an_earlier_moment_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmdb_erasing.erase, "__defaults__", (0.2,))
    state = LmdbUserStore(tmp_path, 1)
    _fill(state)
    with subprocess.Popen([sys.executable, "-c", READER, str(tmp_path)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as reader:  # fmt: skip
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
        with pytest.raises(StateError, match="is being read as it was before") as raised:
            state.erase([KEY], _mine)
        assert raised.value.retryable
    state.erase([KEY], _mine)
    assert MARK not in (tmp_path / DATA).read_bytes()
    state.close()


@pytest.mark.slow
def test_another_process_goes_on_writing(tmp_path: Path) -> None:
    state = LmdbUserStore(tmp_path, 1)
    _fill(state)
    kept = len(state.events.read(0, 100_000)) - sum(_mine(one.body) for one in state.events.read(0, 100_000))
    with recorder(tmp_path) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write("".join(f"{n} {n + 10}\n" for n in range(10_000, 12_000, 10)))
        other.stdin.flush()
        assert other.stdout.readline().strip() == "10"
        for _ in range(5):  # while it writes
            state.erase([KEY], _mine)
            state.record([_theirs(n) for n in range(5000, 5020)])
        state.erase([KEY], _mine)
        other.stdin.close()
        rest = [int(line) for line in other.stdout]
        assert other.wait(60) == 0
    assert rest == [10] * 199
    entries = state.events.read(0, 100_000)
    assert len(entries) == kept + 2000
    state.erase([KEY], _mine)
    assert MARK not in (tmp_path / DATA).read_bytes()
    state.close()
    LmdbUserStore(tmp_path, 1).close()


def test_buffers_bring_nothing_back(tmp_path: Path) -> None:
    """LMDB writes pages out of buffers that it doesn't clear."""
    state = LmdbUserStore(tmp_path, 1)
    _fill(state)
    state.erase([KEY], _mine)
    for at in range(0, 500, 5):
        state.record([fact(20_000 + at + n, body=b"short") for n in range(5)])
        assert MARK not in (tmp_path / DATA).read_bytes(), at
    state.close()


@pytest.mark.parametrize("renewed", [True, False])
def test_no_key_is_left_between_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renewed: bool) -> None:
    """A tree keeps the keys that began its pages, also of records that are gone, unless they begin anew."""
    if not renewed:
        monkeypatch.setattr(lmdb_environment, "_RADII", ())
    state = LmdbUserStore(tmp_path, 1)
    keys = [blake2b(str(n).encode(), digest_size=16).digest() for n in range(3000)]
    for at in range(0, 3000, 100):
        state.record(
            [Fact(fact(n).identity, keys[n], n, n % 5, n, True, b"%d" % n) for n in range(at, at + 100)]
        )
    gone = list(range(0, 3000, 30))
    for n in gone[:50]:
        state.erase([keys[n]], lambda body, n=n: body == b"%d" % n)  # type: ignore[misc]
    state.erase([keys[n] for n in gone[50:]], lambda body: int(body) in gone)
    content = (tmp_path / DATA).read_bytes()
    assert any(keys[n] in content for n in gone) is not renewed
    assert sum(len(one.items) for one in state.histories(keys)) == 2900
    assert len(state.events.read(0, 9999)) == 2900
    examine(tmp_path / DATA)
    state.close()
    LmdbUserStore(tmp_path, 1).close()
