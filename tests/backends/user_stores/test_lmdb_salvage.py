"""What a bad disk or a hand makes of a state is refused with words: no crash, no wrong answer, nothing in silence."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from freshet.backends.local_store import LocalStore
from freshet.backends.user_stores import lmdb_file as records
from freshet.backends.user_stores import lmdb_salvage as mending
from freshet.backends.user_stores.lmdb_file import translated_errors
from freshet.backends.user_stores.lmdb_pages import examine
from freshet.backends.user_stores.lmdb_roots import Damaged
from freshet.backends.user_stores.lmdb_store import LmdbUserStore
from freshet.core.config import Config
from freshet.core.errors import StateError
from freshet.doctor import Finding, check
from freshet.storage.workspace import Workspace
from tests.backends.user_stores.facts import fact, recorder

USERS = [n.to_bytes(16, "big") for n in range(50)]


def fill(folder: Path) -> None:
    """Trees of several levels, values longer than a page, and free pages."""
    state = LmdbUserStore(folder, 1)
    for at in range(0, 1500, 50):
        state.record([fact(n, body=b"x" * 300) for n in range(at, at + 50)])
    state.impressions.append([bytes([n]) * 6000 for n in range(20)])
    state.notes.put("collected events", b"300")
    state.events.trim(300)
    state.close()


def said(state: LmdbUserStore) -> list[object]:
    histories = [(one.items.tolist(), one.interests.tolist()) for one in state.histories(USERS)]
    entries = [*state.events.read(0, 10_000), *state.impressions.read(0, 10_000)]
    return [
        histories,
        [(one.position, one.body.hex()) for one in entries],
        str(state.notes.get("collected events")),
    ]


TRY_ALL = """
import random, sys
from pathlib import Path
from freshet.backends.user_stores.lmdb_store import LmdbUserStore
from freshet.core.errors import StateError
from tests.backends.user_stores.facts import fact
from tests.backends.user_stores.test_lmdb_salvage import said

root, rng = Path(sys.argv[1]), random.Random(7)
whole = (root / "whole" / "data.mdb").read_bytes()
state = LmdbUserStore(root / "whole", 1)
right = said(state)
state.close()

def flipped(count, within=len(whole)):
    data = bytearray(whole)
    for _ in range(count):
        data[rng.randrange(within)] ^= 1 << rng.randrange(8)
    return bytes(data)

def page(filling):
    at = rng.randrange(len(whole) // 4096) * 4096
    return whole[:at] + filling(4096) + whole[at + 4096 :]

cases = [("empty", b""), ("text", b"no database" * 1000), ("one byte", whole[:1]), ("roots only", whole[:8192])]
cases += [("cut", whole[: rng.randrange(len(whole))]) for _ in range(12)]
cases += [("cut by a page", whole[:-4096]), ("cut by a byte", whole[:-1])]
cases += [("flipped", flipped(count)) for count in (1, 1, 1, 1, 5, 200, 200, 200, 2000)]
cases += [("flipped in a root", flipped(1, 8192)) for _ in range(6)]
cases += [("flipped in what a root says", whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]) for at in range(16, 168, 3)]
cases += [("zeroed", page(bytes)) for _ in range(12)] + [("random", page(rng.randbytes)) for _ in range(12)]
refused = 0
for number, (what, data) in enumerate(cases):
    folder = root / str(number)
    folder.mkdir()
    (folder / "data.mdb").write_bytes(data)
    print(what, flush=True)  # the last line names what ended the process
    try:
        state = LmdbUserStore(folder, 1)
        assert said(state) == right, f"{what}: another answer"
        state.record([fact(n) for n in range(20_000, 20_100)])
        state.events.trim(400)
        state.close()
    except StateError as error:
        assert "damaged" in error.message or "can't be used" in error.message, error
        assert error.hint
        refused += 1
print(refused, len(cases))
"""


@pytest.mark.slow
def test_whatever_is_damaged_is_refused_or_does_not_matter(tmp_path: Path) -> None:
    fill(tmp_path / "whole")
    run = [sys.executable, "-c", TRY_ALL, str(tmp_path)]
    done = subprocess.run(run, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout.splitlines()[-1] + done.stderr
    refused, cases = map(int, done.stdout.split()[-2:])
    assert refused >= cases // 2


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").mkdir()
    with pytest.raises(StateError, match="it is no file"):
        LmdbUserStore(tmp_path, 1)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EIO])
def test_who_may_not_write_is_not_told_to_free_space(tmp_path: Path, number: int) -> None:
    with pytest.raises(StateError, match="can't be used") as told, translated_errors(tmp_path):
        raise OSError(number, os.strerror(number), str(tmp_path))
    assert ("permissions" in told.value.hint) == (number != errno.EIO)


def test_locks_of_another_kind_do_not_matter(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "lock.mdb").write_bytes(os.urandom(8192))
    state = LmdbUserStore(tmp_path, 1)
    assert len(state.events.read(0, 10_000)) == 1200
    state.close()


def damage(state: LmdbUserStore, name: str, key: bytes) -> None:
    """Change a value without its checksum, as a disk does under a running server."""
    with state._file.transaction(write=True) as transaction:
        data = bytearray(transaction.get(key, db=state._file.databases[name]))
        data[len(data) // 2] ^= 1
        transaction.put(key, bytes(data), db=state._file.databases[name])


def test_a_record_that_is_damaged_while_serving_is_named_and_others_are_served(tmp_path: Path) -> None:
    fill(tmp_path)
    state = LmdbUserStore(tmp_path, 1)
    damage(state, "users", USERS[3])
    with pytest.raises(StateError, match=f"{USERS[3].hex()} of users") as refused:
        state.histories([USERS[3]])
    assert "freshet doctor" in refused.value.hint
    assert len(state.histories([USERS[4]])[0].items) > 0
    with pytest.raises(StateError, match="damaged"):
        state.record([fact(50_003), fact(50_004)])  # of both users, together
    assert state.record([fact(50_004)]) == [True]
    last = state.events.read(0, 10_000)[-1].position
    damage(state, "events", last.to_bytes(8, "big"))
    with pytest.raises(StateError, match="of events: its checksum differs"):
        state.events.read(last - 5, 10)
    state.notes.put("a", b"value")
    damage(state, "notes", b"a")
    with pytest.raises(StateError, match="of notes"):
        state.notes.get("a")
    state.close()
    with pytest.raises(StateError, match="checksum differs"):
        LmdbUserStore(tmp_path, 1)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    (tmp_path / "shop").mkdir(mode=0o700)
    fill(tmp_path / "shop" / "state")
    return Workspace(tmp_path / "shop", Config(), LocalStore(tmp_path / "shop"), None)


def of_state(ws: Workspace) -> list[Finding]:
    return [found for found in check(ws).findings if found.what == "damaged state"]


def test_the_doctor_keeps_the_sound_records(ws: Workspace) -> None:
    assert of_state(ws) == []
    state = LmdbUserStore(ws.root / "state", 1)
    before = state.events.read(0, 10_000)
    kept = [state.histories([user])[0].items.tolist() for user in USERS]
    damage(state, "users", USERS[3])
    damage(state, "events", before[7].position.to_bytes(8, "big"))
    damage(state, "positions", b"events")
    [finding] = of_state(ws)  # a process has it open
    assert finding.repair == ""
    assert "stop what uses it" in finding.means
    state.close()
    [finding] = of_state(ws)
    assert USERS[3].hex() in finding.means
    assert check(ws, repair=True).healthy
    assert (ws.root / "damaged" / "state" / "data.mdb").exists()
    state = LmdbUserStore(ws.root / "state", 1)
    assert state.events.read(0, 10_000) == before[:7] + before[8:]
    kept[3] = []
    assert [state.histories([user])[0].items.tolist() for user in USERS] == kept
    assert state.notes.get("collected events") == b"300"
    state.record([fact(70_000)])
    assert state.events.read(before[-1].position, 10)[0].position == before[-1].position + 1
    state.close()


def test_the_doctor_moves_a_state_aside_whose_pages_are_damaged(ws: Workspace) -> None:
    file = ws.root / "state" / "data.mdb"
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)
    [finding] = of_state(ws)
    assert "cut off" in finding.means
    assert "sound records" not in finding.repair
    assert check(ws, repair=True).healthy
    assert not file.exists()
    LmdbUserStore(ws.root / "state", 1).close()


@pytest.mark.slow
def test_another_process_that_has_it_open_is_noticed(ws: Workspace) -> None:
    other = recorder(ws.root / "state")
    print("0 1", file=other.stdin, flush=True)
    other.stdout.readline()
    assert mending.in_use(ws.root / "state")
    other.communicate()
    assert not mending.in_use(ws.root / "state")


def old_format(folder: Path) -> None:
    """The same state as an older Freshet wrote it: no checksums, no word of a format."""
    fill(folder)
    env = lmdb.open(str(folder), max_dbs=8, map_size=1 << 30)
    databases = {name: env.open_db(name.encode()) for name in (*records.NAMES, records.ABOUT)}
    with env.begin(write=True) as transaction:
        for name in records.NAMES:
            for key, value in list(transaction.cursor(databases[name])):
                transaction.put(key, bytes(value[:-4]), db=databases[name])
        transaction.drop(databases[records.ABOUT])
    env.close()


def test_a_state_without_checksums_gets_them(tmp_path: Path) -> None:
    fill(tmp_path / "new")
    old_format(tmp_path / "old")
    found = []
    for folder in (tmp_path / "new", tmp_path / "old", tmp_path / "old"):
        state = LmdbUserStore(folder, 1)
        found.append(json.dumps(said(state)))
        state.close()
    assert found[0] == found[1] == found[2]
    state = LmdbUserStore(tmp_path / "old", 1)
    assert state.record([fact(n) for n in range(400, 410)]) == [False] * 10
    damage(state, "users", USERS[0])
    with pytest.raises(StateError, match="checksum"):
        state.histories([USERS[0]])
    state.close()


def test_a_state_without_checksums_and_little_room_grows(tmp_path: Path) -> None:
    old_format(tmp_path)
    size = (tmp_path / "data.mdb").stat().st_size
    state = LmdbUserStore(tmp_path, (size + 65536) / 2**30)
    assert len(state.events.read(0, 10_000)) == 1200
    state.close()


def test_a_newer_format_is_not_guessed_at(tmp_path: Path) -> None:
    state = LmdbUserStore(tmp_path, 1)
    with state._file.transaction(write=True) as transaction:
        state._file.put(transaction, records.ABOUT, records.KEY, b"3")
    state.close()
    with pytest.raises(StateError, match="newer Freshet"):
        LmdbUserStore(tmp_path, 1)


@pytest.mark.slow
def test_writers_do_not_look_like_damage(tmp_path: Path) -> None:
    LmdbUserStore(tmp_path, 1).close()
    others = [recorder(tmp_path) for _ in range(2)]
    for other in others:
        print("\n".join(f"{at} {at + 20}" for at in range(0, 4000, 20)), file=other.stdin, flush=True)
        other.stdin.close()
    while any(other.poll() is None for other in others):
        examine(tmp_path / "data.mdb")
    for other in others:
        assert other.returncode == 0
        other.stdout.close()
        other.stderr.close()
    shutil.copytree(tmp_path, tmp_path / "copy", ignore=shutil.ignore_patterns("lock.mdb"))
    with (tmp_path / "copy" / "data.mdb").open("r+b") as file:
        file.truncate(3 * 4096)
    with pytest.raises(Damaged, match="cut off"):
        examine(tmp_path / "copy" / "data.mdb")
