"""One writer at a time, a dead one does not block the living, and no clock decides it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from freshet.core.errors import Busy, LeaseLost
from freshet.storage import lease as module
from freshet.storage.lease import Owner, is_held, lease, read

CONTENDER = """
import sys, time
from pathlib import Path
from freshet.core.errors import Busy
from freshet.storage.lease import lease
path, log, start = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
time.sleep(max(0, start - time.time()))
try:
    with lease(path):
        with log.open("a") as file:
            file.write("in\\n")
        time.sleep(0.3)
        with log.open("a") as file:
            file.write("out\\n")
except Busy:
    pass
"""

HOLDER = """
import sys, time
from pathlib import Path
from freshet.storage.lease import lease
with lease(Path(sys.argv[1]), "run", seconds=float(sys.argv[2])):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def holding(path: Path, seconds: float = 60.0) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lease; killed at the end at the latest."""
    args = [sys.executable, "-c", HOLDER, str(path), str(seconds)]
    with subprocess.Popen(args, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def taken(path: Path, **changes: object) -> Owner:
    """A lease file as this process would leave it, with changes."""
    with lease(path) as held:
        owner = held.owner
    path.write_text("")
    owner = replace(owner, **{"file": path.stat().st_ino, **changes})  # type: ignore[arg-type]
    path.write_text(json.dumps(asdict(owner)))
    return owner


@pytest.mark.slow
def test_a_second_writer_is_told_who_holds_the_lease_since_when_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "LEASE"
    with holding(path) as process:
        assert is_held(path)
        owner = read(path)
        assert owner is not None
        with pytest.raises(Busy) as told, lease(path):
            pass
        for part in ("freshet run", str(process.pid), owner.host, owner.since):
            assert part in told.value.message
        assert "--wait" in told.value.hint
        assert told.value.retryable
        assert read(path) == owner  # the refused one took nothing away


@pytest.mark.slow
def test_a_killed_owner_is_followed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "LEASE"
    with holding(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert path.exists()
        assert not is_held(path)
        with lease(path) as held:
            assert held.took_over
            assert is_held(path)
        assert not path.exists()
        with lease(path) as held:
            assert not held.took_over


@pytest.mark.slow
def test_a_zombie_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "LEASE"
    with holding(path) as process:
        process.kill()
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:  # nobody asks for its exit status
            time.sleep(0.02)
        with lease(path) as held:
            assert held.took_over
        process.wait()


@pytest.mark.slow
def test_a_second_writer_may_wait(tmp_path: Path) -> None:
    path = tmp_path / "LEASE"
    with holding(path) as process:
        said: list[str] = []

        def say(text: str) -> None:
            said.append(text)
            process.kill()

        with lease(path, wait=120, say=say):
            assert is_held(path)
        assert len(said) == 1
        assert said[0].startswith("waiting for `freshet run`")
        process.wait()


def test_an_error_gives_the_lease_back(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), lease(tmp_path / "LEASE"):
        raise KeyboardInterrupt
    assert not (tmp_path / "LEASE").exists()


def test_a_process_number_given_to_another_process_since_is_not_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "LEASE"
    taken(path, started="1")
    assert not is_held(path)
    with lease(path) as held:
        assert held.took_over


@pytest.mark.parametrize("damaged", ["", "{", "[1]"])
def test_a_damaged_lease_is_taken_over(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "LEASE").write_text(damaged)
    with lease(tmp_path / "LEASE") as held:
        assert held.took_over
        assert is_held(tmp_path / "LEASE")


@pytest.mark.slow
def test_a_lease_that_says_more_than_is_known_holds(tmp_path: Path) -> None:
    path = tmp_path / "LEASE"
    with holding(path) as process:
        path.write_text(json.dumps({**json.loads(path.read_text()), "colour": "blue"}))
        assert is_held(path)
        with pytest.raises(Busy, match=str(process.pid)), lease(path):
            pass


@pytest.mark.parametrize(
    "said", [{"pid": 1}, {"place": module.place(), "pid": "?"}, {"place": module.place(), "started": 1}]
)
def test_a_lease_that_is_not_understood_is_watched(tmp_path: Path, said: dict[str, object]) -> None:
    path = tmp_path / "LEASE"
    path.write_text(json.dumps({**said, "seconds": 1.2}))
    with pytest.raises(Busy), lease(path):
        pass
    start = time.monotonic()
    with lease(path, wait=120) as held:
        assert held.took_over
    assert time.monotonic() - start >= 1.2


@pytest.mark.parametrize("days", [-400, -1, 1, 400])
@pytest.mark.slow
def test_a_clock_that_jumps_takes_no_lease_from_a_living_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    path = tmp_path / "LEASE"
    with holding(path) as process:
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + days * 86_400)
        os.utime(path, (now - days * 86_400, now - days * 86_400))  # and as the owner's clock may have it
        with pytest.raises(Busy), lease(path):
            pass
        process.kill()
        process.wait()
        with lease(path):
            pass


@pytest.mark.parametrize("days", [-400, 0, 400])
@pytest.mark.slow
def test_a_run_elsewhere_keeps_its_lease_while_it_gives_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """The owner beats; the other machine, whose clock is off, watches before it believes in a death."""
    path = tmp_path / "LEASE"
    with holding(path, seconds=3.0) as process:
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + days * 86_400)
        monkeypatch.setattr(module, "place", lambda: "another machine")
        said: list[str] = []
        with pytest.raises(Busy), lease(path, say=said.append):
            pass
        assert len(said) == (days != 0)
        process.kill()
        process.wait()
        os.utime(path)  # its last sign of life
        start = time.monotonic()
        with lease(path, wait=120, say=said.append) as held:
            assert held.took_over
        assert time.monotonic() - start >= 3.0
        assert "sign of life" in said[-1]


@pytest.mark.slow
def test_a_copied_workspace_does_not_honour_the_lease_of_the_original(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    with holding(one / "LEASE", seconds=0.5) as process:
        shutil.copytree(one, other)
        with lease(other / "LEASE") as held:  # after its length without a sign of life
            assert held.took_over
            with pytest.raises(Busy), lease(one / "LEASE"):
                pass
        process.kill()
        process.wait()


def test_a_run_that_lost_its_lease_notices_before_it_publishes(tmp_path: Path) -> None:
    path = tmp_path / "LEASE"
    with lease(path) as held:
        with held.fenced():
            pass
        other = taken(tmp_path / "other" / "LEASE")
        path.write_text(json.dumps(asdict(other)))
        with pytest.raises(LeaseLost, match="lost its lease, now held by"), held.fenced():
            pass
    assert read(path) == other  # and does not delete what is another's
    path.unlink()
    with lease(path) as held:
        path.unlink()
        with pytest.raises(LeaseLost, match="deleted"), held.fenced():
            pass


@pytest.mark.slow
def test_nobody_takes_a_lease_over_within_a_fence(tmp_path: Path) -> None:
    path, log = tmp_path / "LEASE", tmp_path / "log"
    with lease(path) as held:
        with held.fenced():
            stale = replace(held.owner, started="1")  # as if this process had died
            path.write_text(json.dumps(asdict(stale)))
            args = [sys.executable, "-c", CONTENDER, str(path), str(log), "0"]
            process = subprocess.Popen(args)
            time.sleep(1.0)
            assert not log.exists()
            path.write_text(json.dumps(asdict(held.owner)))
        assert process.wait() == 0
    assert not log.exists()


@pytest.mark.slow
def test_of_many_that_find_a_stale_lease_one_at_a_time_holds_it(tmp_path: Path) -> None:
    path, log = tmp_path / "LEASE", tmp_path / "log"
    taken(path, started="1")
    start = str(time.time() + 1.5)
    args = [sys.executable, "-c", CONTENDER, str(path), str(log), start]
    for process in [subprocess.Popen(args) for _ in range(4)]:
        assert process.wait() == 0
    said = log.read_text().split()
    assert said == ["in", "out"] * (len(said) // 2)  # never two at once
    assert said
