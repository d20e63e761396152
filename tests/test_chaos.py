"""Disks are really full, and nothing is lost; `benchmarks/chaos.py` kills processes."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet import operations, pipeline
from freshet.backends.user_stores.lmdb_store import LmdbUserStore
from freshet.core.errors import DiskFull, StateError
from freshet.doctor import check
from freshet.inspect import open_release
from freshet.stages.events import EventLog
from freshet.storage import checksums
from freshet.storage.releases import Releases
from freshet.storage.workspace import Workspace
from tests.backends.user_stores.facts import fact
from tests.pipeline.world import (  # fmt: skip
    FAKE,
    FIRST,
    NOW,
    approving,
    content,
    copied,
    make_world,
    same_content,
    settings,
    workspace,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes; mounting one is for root alone."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"can't mount a small disk: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Use the disk up but for so many bytes."""
    left = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    path = disk / "filler"
    path.write_bytes(b"\0" * max(0, left - leave))
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def before(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """One release; a refresh is due."""
    ws = workspace(tmp_path_factory.mktemp("before") / "ws", settings(world, "fake", FAKE))
    operations.import_log(ws, NOW)
    approving(lambda: pipeline.refresh(ws, FIRST, publish=True), ws)
    return ws


@pytest.fixture(scope="module")
def after(before: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The same after an undisturbed refresh."""
    ws = copied(before, tmp_path_factory.mktemp("after") / "ws")
    pipeline.refresh(ws)
    return ws


@pytest.mark.parametrize("leave", [0, 8 << 10, 60 << 10, 150 << 10])
def test_a_full_disk_is_told_nothing_is_published_and_a_repeated_run_goes_on(
    before: Workspace, after: Workspace, disk: Path, leave: int
) -> None:
    ws = copied(before, disk / "ws")
    filler = fill(disk, leave)
    with pytest.raises(DiskFull, match="is full") as told:
        pipeline.refresh(ws)
    assert told.value.retryable
    assert open_release(ws).release.number == 1
    assert not [one for one in check(ws).findings if one.damage]
    filler.unlink()
    pipeline.refresh(ws)
    assert open_release(ws).release.number == 2
    same_content(ws, after)


@pytest.mark.parametrize("leave", [0, 4 << 10, 30 << 10, 100 << 10])
def test_an_import_onto_a_full_disk_changes_nothing_and_can_be_repeated(
    world: Path, before: Workspace, disk: Path, leave: int
) -> None:
    ws = workspace(disk / "ws", settings(world))
    filler = fill(disk, leave)
    with pytest.raises(DiskFull, match="is full"):
        operations.import_log(ws, NOW)
    assert EventLog(ws.root).snapshot().days == ()
    filler.unlink()
    operations.import_log(ws, NOW)
    assert content(ws, ["events"]) == content(before, ["events"])


def test_a_copied_workspace_is_as_good_as_the_original(
    before: Workspace, after: Workspace, tmp_path: Path
) -> None:
    """No path of the machine is in it, and what is there already is found."""
    moved = workspace(tmp_path / "elsewhere", (before.root / "freshet.toml").read_text())
    subprocess.run(["cp", "-r", f"{before.root}/.", str(moved.root)], check=True)  # times are not kept
    pipeline.refresh(moved)
    same_content(moved, after)
    names = {str(before.root), str(after.root), str(tmp_path)}
    for path in moved.root.rglob("*.json"):
        assert not [name for name in names if name in path.read_text()], path
    assert check(moved).findings == []
    again = pipeline.refresh(moved)
    assert [step.name for step in again.steps if step.name == "table" and step.cached]


def test_a_release_can_be_opened_while_it_is_replaced(after: Workspace, tmp_path: Path) -> None:
    ws = copied(after, tmp_path / "ws")

    def replace() -> None:
        for swap in range(60):
            ws.releases.point_to(1 + swap % 2)

    seen = []
    with ThreadPoolExecutor(1) as pool:
        swapping = pool.submit(replace)
        while not swapping.done() or not seen:
            checksums.forget()
            opened = open_release(ws)
            seen.append(opened.release.number)
            assert opened.made.manifest["as_of"] == opened.release.as_of
            assert len(opened.table.look_up((1, 2)).successors)
        swapping.result()
    assert set(seen) == {1, 2}


actions = st.lists(st.sampled_from(["publish", "back"]), min_size=1, max_size=8)


@given(actions)
@hypothesis.settings(deadline=None, max_examples=30)
def test_publish_then_rollback_equals_before(done: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        releases = Releases(Path(folder))
        history = [releases.publish("2024-01-01", "0", "", "i", "00001")]
        for number, action in enumerate(done, start=1):
            before, files = releases.current(), {n: releases.get(n) for n in releases.numbers()}
            assert before == history[-1]
            if action == "publish":
                history.append(releases.publish("2024-01-01", str(number), "", "i", "00001"))
                assert history[-1].previous == before.number
                releases.point_to(before.number)
                assert releases.current() == before  # rolled back: as if never published
                releases.point_to(history[-1].number)
            elif before.previous is not None:
                history.append(releases.point_to(before.previous))
            assert {n: releases.get(n) for n in files} == files  # no release ever changes


def test_a_state_on_a_full_disk_does_nothing_by_halves_and_goes_on_when_there_is_room(disk: Path) -> None:
    state = LmdbUserStore(disk / "state", 1)
    assert sum(state.record([fact(n) for n in range(100)])) == 100
    filler = fill(disk, 100 << 10)
    at = 100
    with pytest.raises(StateError, match="its disk is full") as told:  # noqa: PT012 - it takes some until it is full
        while True:
            state.record([fact(n, body=b"x" * 500) for n in range(at, at + 20)])
            at += 20
    assert told.value.retryable
    assert "free some space" in told.value.hint
    assert len(state.events.read(0, 100_000)) == at, "of a batch that failed something is there"
    filler.unlink()
    assert state.record([fact(n) for n in range(at + 20)]) == [False] * at + [True] * 20
    state.close()
