"""What can go wrong around one LMDB file: processes, kills, full disks, damage."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from freshet.backends.user_stores.lmdb_store import LmdbUserStore
from freshet.core.errors import StateError, StateFull
from tests.backends.user_stores.facts import fact, recorder


@pytest.mark.slow
def test_two_processes_share_one_file(tmp_path: Path) -> None:
    state = LmdbUserStore(tmp_path, 1)
    others = [recorder(tmp_path) for _ in range(2)]
    for other in others:
        print("0 600\n300 900", file=other.stdin, flush=True)
    mine = sum(sum(state.record([fact(n) for n in range(at, at + 10)])) for at in range(0, 900, 10))
    theirs = [int(line) for other in others for line in other.communicate()[0].split()]
    assert mine + sum(theirs) == 900 == len(state.events.read(0, 1_000_000))
    assert sum(len(one.items) for one in state.histories([n.to_bytes(16, "big") for n in range(50)])) == 900
    state.close()


@pytest.mark.slow
def test_kills_lose_nothing_acknowledged(tmp_path: Path) -> None:
    acknowledged = 0
    for kill in range(3):
        other = recorder(tmp_path)
        for _ in range(5):  # only the last may be unanswered
            print(f"{acknowledged} {acknowledged + 20}", file=other.stdin, flush=True)
            assert 0 <= int(other.stdout.readline()) <= 20
            acknowledged += 20
        print(f"{acknowledged} {acknowledged + 4000}", file=other.stdin, flush=True)
        other.send_signal(signal.SIGKILL)
        other.communicate()
        state = LmdbUserStore(tmp_path, 1)
        found = len(state.events.read(0, 1_000_000))
        assert found in (acknowledged, acknowledged + 4000), f"after kill {kill}"
        assert state.record([fact(n) for n in range(acknowledged)]) == [False] * acknowledged
        state.close()
        acknowledged = found


def fill(state: LmdbUserStore, at: int, batch: int) -> tuple[int, StateFull]:
    """Record from one fact on until that is refused: the first one refused, and how."""
    while True:
        try:
            state.record([fact(n, body=b"x" * 500) for n in range(at, at + batch)])
        except StateFull as error:
            return at, error
        at += batch


def test_a_full_map_is_told_and_trimmed(tmp_path: Path) -> None:
    state = LmdbUserStore(tmp_path, 2 / 1024)  # 2 MiB
    at, error = fill(state, 0, batch=20)
    assert error.retryable
    assert "is full" in error.message
    entries = state.events.read(0, 1_000_000)
    assert len(entries) == at, "of a batch that failed something is there"
    assert sum(len(one.items) for one in state.histories([n.to_bytes(16, "big") for n in range(50)])) == at
    at, _ = fill(state, at, batch=1)
    state.events.trim(entries[-1].position)
    assert state.record([fact(n, body=b"x" * 500) for n in range(at, at + 20)]) == [True] * 20
    state.close()


@pytest.mark.slow
def test_a_process_follows_a_file_that_another_made_larger(tmp_path: Path) -> None:
    small = LmdbUserStore(tmp_path, 1 / 1024)
    other = recorder(tmp_path, 1.0)
    print("0 20000", file=other.stdin, flush=True)
    assert other.communicate()[0].split() == ["20000"]
    assert small.record([fact(5), fact(20_000)]) == [False, True]
    assert len(small.events.read(0, 1_000_000)) == 20_001
    small.close()


FULL_DISK = """
import resource, sys
from pathlib import Path
from freshet.backends.user_stores.lmdb_store import LmdbUserStore
from freshet.core.errors import StateError
from tests.backends.user_stores.facts import fact
state = LmdbUserStore(Path(sys.argv[1]), 1)
state.record([fact(n) for n in range(100)])
size = (Path(sys.argv[1]) / "data.mdb").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50_000, resource.RLIM_INFINITY))
try:
    state.record([fact(n, users=100_000, body=b"x" * 3000) for n in range(100, 400)])
except StateError as error:
    assert error.retryable and "free some space" in error.hint, error
else:
    raise SystemExit("a full disk went unnoticed")
assert len(state.events.read(0, 1000)) == 100
assert state.histories([(150).to_bytes(16, "big")])[0].items.tolist() == []
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert sum(state.record([fact(n, body=b"x" * 3000) for n in range(400)])) == 300
"""


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_half_done(tmp_path: Path) -> None:
    run = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    subprocess.run(run, check=True, cwd=Path(__file__).parents[3], timeout=600)


READ_ALL = """
import sys
from pathlib import Path
from freshet.backends.user_stores.lmdb_store import LmdbUserStore
from freshet.core.errors import StateError
from tests.backends.user_stores.facts import fact
try:
    state = LmdbUserStore(Path(sys.argv[1]), 1)
    state.histories([n.to_bytes(16, "big") for n in range(50)])
    state.events.read(0, 1000000)
    state.record([fact(9999999)])
except StateError as error:
    assert "damaged" in error.message and "doctor --repair" in error.hint, error
    sys.exit(2)
"""


@pytest.mark.slow
def test_a_file_that_was_cut_off_is_told(tmp_path: Path) -> None:
    state = LmdbUserStore(tmp_path / "whole", 1)
    for at in range(0, 2000, 100):
        state.record([fact(n, body=b"x" * 300) for n in range(at, at + 100)])
    state.close()
    size = (tmp_path / "whole" / "data.mdb").stat().st_size
    codes = []
    for share in (0.9, 0.5, 0.0001):
        cut = tmp_path / str(share)
        shutil.copytree(tmp_path / "whole", cut)
        with (cut / "data.mdb").open("r+b") as file:
            file.truncate(int(size * share))
        run = [sys.executable, "-c", READ_ALL, str(cut)]
        codes.append(subprocess.run(run, cwd=Path(__file__).parents[3], timeout=600).returncode)
    assert codes == [2, 2, 2]


def test_something_else_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(StateError, match="damaged"):
        LmdbUserStore(tmp_path, 1)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StateError, match="can't be used"):
        LmdbUserStore(tmp_path / "file", 1)


def test_a_closed_state_says_so(tmp_path: Path) -> None:
    state = LmdbUserStore(tmp_path, 1)
    state.close()
    with pytest.raises(StateError, match="can't be used"):
        state.histories([b"u" * 16])


@pytest.mark.slow
def test_readers_that_were_killed_are_forgotten(tmp_path: Path) -> None:
    """Without that, trimmed pages would never be used again."""
    for at in (0, 20):
        other = recorder(tmp_path)
        print(f"{at} {at + 20}", file=other.stdin, flush=True)
        other.stdout.readline()
        other.kill()
        other.communicate()
    state = LmdbUserStore(tmp_path, 1)
    assert state._file._env.info()["num_readers"] <= 1
    state.close()


def test_nothing_new_is_no_write(tmp_path: Path) -> None:
    state = LmdbUserStore(tmp_path, 1)
    before = state._file._env.info()["last_txnid"]
    assert state.record([]) == []
    state.impressions.append([])
    assert state._file._env.info()["last_txnid"] == before
    state.close()
