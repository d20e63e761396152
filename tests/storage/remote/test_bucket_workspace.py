"""A workspace in a bucket in memory: cut off at every request, failed at every request, two writers, a fence."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from freshet.backends.local_store import LocalStore
from freshet.core.config import Config
from freshet.core.errors import ArtifactError, Busy, ConfigError, FreshetError, LeaseLost, StoreUnreachable
from freshet.storage import lease_owner
from freshet.storage.durable import write_text
from freshet.storage.remote import bucket_lease as leases
from freshet.storage.remote.bucket_index import INDEX, read_index
from freshet.storage.remote.bucket_store import BucketStore
from freshet.storage.remote.bucket_workspace import BucketWorkspace
from freshet.storage.remote.checkout import Checkout
from freshet.storage.workspace import Workspace
from tests.storage.remote.memory_store import MemoryStore, Objects

URL = "s3://shop"


class Killed(BaseException):
    """What ends a process at once, as far as a test in one process can tell."""


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(leases.VARIABLE, "1")
    monkeypatch.setattr(leases, "POLL", 0.02)
    monkeypatch.setattr("freshet.storage.remote.swapping.time.sleep", lambda _: None)


def machine(root: Path, store: MemoryStore, wait: float = 30.0) -> Workspace:
    """A machine of its own with the workspace."""
    root.mkdir(parents=True, exist_ok=True)
    bucket = BucketWorkspace(URL, store, Checkout(root))
    (root / ".bucket").mkdir(exist_ok=True)
    return Workspace(root, Config(), BucketStore(LocalStore(root), bucket), None, wait=wait, bucket=bucket)


@pytest.fixture
def bucket(tmp_path: Path) -> Objects:
    """With a workspace that has settings and no release."""
    objects = Objects()
    ws = machine(tmp_path / "first", MemoryStore(objects))
    (ws.root / "freshet.toml").write_text("")
    assert ws.bucket is not None
    ws.bucket.create()
    return objects


def release(ws: Workspace, content: str = "1") -> None:
    """What a run does: artifacts, a release, the pointer."""
    with ws.run("refresh") as run:
        for kind in ("interests", "tables"):
            with run.step(kind) as step, ws.store.create(kind, f"v{content}") as draft:
                (draft.path / "small").write_text(content)
                (draft.path / "large").write_bytes(content.encode() * 100_000)
                step.artifact = f"{kind}/v{content}"
        with run.fenced():
            made = ws.releases.publish("2024-05-01", f"v{content}", "", f"v{content}", run.record.id)
            run.record.release = made.number


def check_state(ws: Workspace) -> int:
    """All that the index names is there and whole; the number of the release that serves, 0 before the first."""
    assert ws.bucket is not None
    ws.bucket.pull()
    ws.bucket.fetch_all()
    for kind in ("interests", "tables"):
        for version in ws.store.versions(kind):
            found = ws.store.find(kind, version)
            assert found is not None
            assert (found.path / "large").stat().st_size >= 100_000
    current = ws.releases.current()
    if current is None:
        return 0
    assert ws.store.find("tables", current.table) is not None
    return current.number


def test_what_one_machine_made_is_on_another_one(bucket: Objects, tmp_path: Path) -> None:
    release(machine(tmp_path / "a", MemoryStore(bucket)))
    other = machine(tmp_path / "b", MemoryStore(bucket))
    assert check_state(other) == 1
    assert [record.outcome for record in other.ledger.records()] == ["done"]
    release(other, "2")
    again = machine(tmp_path / "a", MemoryStore(bucket))
    assert check_state(again) == 2
    assert [record.id for record in again.ledger.records()] == ["00001", "00002"]


def test_large_files_come_when_they_are_opened(bucket: Objects, tmp_path: Path) -> None:
    release(machine(tmp_path / "a", MemoryStore(bucket)))
    asked: list[str] = []
    other = machine(tmp_path / "b", MemoryStore(bucket, lambda what, key: asked.append(f"{what} {key}")))
    assert other.bucket is not None
    other.bucket.pull()
    found = other.store.find("tables", "v1")
    assert found is not None
    assert not (found.folder / "large").exists()
    assert (found.folder / "small").read_text() == "1"
    assert (found.path / "large").stat().st_size == 100_000
    before = len(asked)
    assert (found.path / "large").exists()
    assert len(asked) == before, "an artifact that is there was asked for again"


def run_cut_off(bucket: Objects, root: Path, number: int, when: str, error: BaseException) -> bool:
    """Run with an error at a request; whether there were so many requests."""
    seen = [0]
    turn = threading.Lock()

    def hook(what: str, key: str) -> None:
        if threading.current_thread().name in ("bucket-lease", "bucket-save"):
            return
        with turn:
            seen[0] += 1
            if seen[0] == number or (isinstance(error, Killed) and seen[0] > number):
                raise error

    store = MemoryStore(bucket, **{when: hook})
    with pytest.MonkeyPatch.context() as patch:
        if isinstance(error, Killed):  # nothing is cleaned up
            patch.setattr(leases.BucketLease, "give_back", lambda _: None)
        try:
            release(machine(root, store), "9")
        except (Killed, FreshetError):
            return True
    return seen[0] >= number


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_is_killed_at_any_request_leaves_a_valid_state(
    tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = set()
    for number in range(1, 100):
        folder = tmp_path / str(number)
        objects = Objects()
        first = machine(folder / "first", MemoryStore(objects))
        (first.root / "freshet.toml").write_text("")
        assert first.bucket is not None
        first.bucket.create()
        release(first)
        if not run_cut_off(objects, folder / "killed", number, when, Killed()):
            break
        states.add(check_state(machine(folder / "reader", MemoryStore(objects))))
        with monkeypatch.context() as patch:  # the process is known to be dead, as on its own machine
            patch.setattr(leases, "started", lambda _: "another")
            next_one = machine(folder / "next", MemoryStore(objects))
            release(next_one, "9")
        assert check_state(machine(folder / "last", MemoryStore(objects))) in (2, 3)
    else:
        pytest.fail("it never got through")
    assert number > 15
    assert states == {1, 2}


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_one_request_that_fails_does_no_harm(tmp_path: Path, when: str) -> None:
    """A server that answers an error, or drops the connection, before or after it did what it was asked to."""
    for number in range(1, 100):
        folder = tmp_path / str(number)
        objects = Objects()
        first = machine(folder / "first", MemoryStore(objects))
        (first.root / "freshet.toml").write_text("")
        assert first.bucket is not None
        first.bucket.create()
        release(first)
        if not run_cut_off(objects, folder / "failed", number, when, StoreUnreachable("500")):
            break
        state = check_state(machine(folder / "reader", MemoryStore(objects)))
        assert state in (1, 2)
        release(machine(folder / "failed", MemoryStore(objects)), "9")
        assert check_state(machine(folder / "last", MemoryStore(objects))) in (2, 3)
    else:
        pytest.fail("it never got through")


def test_a_second_writer_is_told_of_the_first(bucket: Objects, tmp_path: Path) -> None:
    a = machine(tmp_path / "a", MemoryStore(bucket))
    with a.hold("refresh"), pytest.raises(Busy, match="`freshet refresh`"):
        release(machine(tmp_path / "b", MemoryStore(bucket), wait=0.0))
    release(machine(tmp_path / "b", MemoryStore(bucket), wait=0.0))


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process of another owner can be looked at."""
    places = count()
    monkeypatch.setattr(leases, "place", lambda: str(next(places)))


@pytest.mark.usefixtures("elsewhere")
def test_an_owner_that_was_out_of_reach_publishes_nothing(
    bucket: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(machine(tmp_path / "first", MemoryStore(bucket)))
    monkeypatch.setattr(leases.BucketLease, "beat", lambda _: None)  # paused: it rewrites nothing
    paused = machine(tmp_path / "paused", MemoryStore(bucket))

    def overtaken() -> None:
        with paused.run("refresh") as run:
            release(machine(tmp_path / "other", MemoryStore(bucket)), "2")
            with paused.store.create("tables", "late"), run.fenced():
                paused.releases.publish("2024-06-01", "late", "", "late", run.record.id)

    with pytest.raises(LeaseLost, match="taken over"):
        overtaken()
    reader = machine(tmp_path / "reader", MemoryStore(bucket))
    assert check_state(reader) == 2
    assert reader.store.versions("tables") == ["v1", "v2"]
    assert [record.outcome for record in reader.ledger.records()] == ["done", "done"]
    release(machine(tmp_path / "paused", MemoryStore(bucket)), "3")
    assert check_state(reader) == 3


def test_a_look_at_the_index_does_not_lead_past_the_fence(bucket: Objects, tmp_path: Path) -> None:
    """A server in the process of a run reads what the run that took over has written."""
    ws, other = (machine(tmp_path / name, MemoryStore(bucket)).bucket for name in ("paused", "other"))
    assert ws is not None
    assert other is not None

    def overtaken() -> None:
        with ws.held("refresh", 0.0):
            other.pull("of another run")
            ws.pull()
            write_text(ws.checkout.root / "runs" / "x.json", "{}")

    with pytest.raises(LeaseLost):
        overtaken()
    assert "runs/x.json" not in other.pull().files


@pytest.mark.usefixtures("elsewhere")
def test_a_living_owner_is_waited_for_whatever_its_clock_says(
    bucket: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = lease_owner.this_process
    monkeypatch.setattr(
        leases, "this_process", lambda *given: replace(real(*given), since="1970-01-01 00:00:00 UTC")
    )
    a = machine(tmp_path / "a", MemoryStore(bucket))
    with a.hold("refresh"), pytest.raises(Busy):
        release(machine(tmp_path / "b", MemoryStore(bucket), wait=3.0))


def test_keys_may_be_changed_while_a_run_goes_on(bucket: Objects, tmp_path: Path) -> None:
    a, b = (machine(tmp_path / name, MemoryStore(bucket)) for name in "ab")
    assert a.bucket is not None
    assert b.bucket is not None
    with a.run("refresh"):
        with b.bucket.changed("keys.json"):
            write_text(b.root / "keys.json", "{}")
        with a.store.create("tables", "v1") as draft:
            (draft.path / "x").write_text("1")
    reader = machine(tmp_path / "reader", MemoryStore(bucket))
    assert reader.bucket is not None
    reader.bucket.pull()
    assert (reader.root / "keys.json").read_text() == "{}"
    assert reader.store.versions("tables") == ["v1"]
    assert (a.root / "keys.json").read_text() == "{}"


def test_two_changes_of_one_file_at_once_are_told(bucket: Objects, tmp_path: Path) -> None:
    a, b = (machine(tmp_path / name, MemoryStore(bucket)) for name in "ab")
    assert a.bucket is not None
    assert b.bucket is not None

    def change(ws: BucketWorkspace, text: str, meanwhile: Callable[[], None]) -> None:
        with ws.changed("keys.json"):
            meanwhile()
            write_text(ws.checkout.root / "keys.json", text)

    first, second = a.bucket, b.bucket
    with pytest.raises(Busy, match=r"keys.json was changed"):
        change(first, "a", lambda: change(second, "b", lambda: None))
    assert (a.root / "keys.json").read_text() == "b"


def test_what_a_dead_run_left_in_the_folder_is_no_state(bucket: Objects, tmp_path: Path) -> None:
    release(machine(tmp_path / "a", MemoryStore(bucket)))
    a = machine(tmp_path / "a", MemoryStore(bucket))
    write_text(a.root / "CURRENT", "7\n")
    write_text(a.root / "runs" / "00002.json", "{}")
    with LocalStore(a.root).create("tables", "sealed") as draft:
        (draft.path / "large").write_bytes(b"1" * 100_000)
    assert check_state(a) == 1
    assert len(a.ledger.records()) == 1
    assert a.store.versions("tables") == ["sealed", "v1"]


def test_damage_here_is_mended_and_damage_there_is_told(bucket: Objects, tmp_path: Path) -> None:
    release(machine(tmp_path / "a", MemoryStore(bucket)))
    a = machine(tmp_path / "a", MemoryStore(bucket))
    large = a.root / "tables" / "v1" / "large"
    large.write_bytes(b"other")
    assert check_state(a) == 1
    assert large.stat().st_size == 100_000
    assert a.bucket is not None
    key = a.bucket.base.files["tables/v1/small"].key
    bucket.write(key, b"damaged")
    with pytest.raises(ArtifactError, match="its checksum differs"):
        machine(tmp_path / "b", MemoryStore(bucket)).bucket.pull()  # type: ignore[union-attr]


@pytest.mark.parametrize("path", ["../x", "/x", ".bucket/origin", "a//b", "a/../b", ""])
def test_an_index_leads_out_of_no_folder(bucket: Objects, path: str) -> None:
    content = json.loads(bucket.objects[INDEX].data)
    content["files"][path] = [1, "0" * 64]
    bucket.write(INDEX, json.dumps(content).encode())
    with pytest.raises(ArtifactError):
        read_index(MemoryStore(bucket), URL)


def test_a_url_without_a_workspace_is_told(tmp_path: Path) -> None:
    ws = machine(tmp_path, MemoryStore(Objects()))
    assert ws.bucket is not None
    with pytest.raises(ConfigError, match="there is no workspace"):
        ws.bucket.pull()


def test_a_workspace_is_made_once(bucket: Objects, tmp_path: Path) -> None:
    ws = machine(tmp_path / "b", MemoryStore(bucket))
    assert ws.bucket is not None
    with pytest.raises(ConfigError, match="already"):
        ws.bucket.create()


def test_a_reader_beside_a_change_does_not_set_it_back(bucket: Objects, tmp_path: Path) -> None:
    """A server that follows the bucket from the folder in which keys are changed."""
    a, b = (machine(tmp_path / name, MemoryStore(bucket)) for name in "ab")
    follower = BucketWorkspace(URL, MemoryStore(bucket), Checkout(a.root))
    assert a.bucket is not None
    assert b.bucket is not None
    with b.bucket.changed("keys.json"):
        write_text(b.root / "keys.json", "old")
    follower.pull()
    pulling = threading.Thread(target=follower.pull)
    with a.bucket.changed("keys.json"):
        write_text(a.root / "keys.json", "new")
        pulling.start()
        pulling.join(0.5)
    pulling.join()
    b.bucket.pull()
    assert (b.root / "keys.json").read_text() == "new"


def test_an_artifact_that_was_removed_does_not_come_back_in_part(bucket: Objects, tmp_path: Path) -> None:
    release(machine(tmp_path / "a", MemoryStore(bucket)))
    other = machine(tmp_path / "b", MemoryStore(bucket))
    assert other.bucket is not None
    other.bucket.pull()  # its large file is not there
    with machine(tmp_path / "a", MemoryStore(bucket)).run("doctor"):
        shutil.rmtree(tmp_path / "a" / "tables" / "v1")
    with machine(tmp_path / "b", MemoryStore(bucket)).run("refresh"):
        pass
    reader = machine(tmp_path / "reader", MemoryStore(bucket))
    assert reader.bucket is not None
    reader.bucket.pull()
    assert reader.store.versions("tables") == []


def test_an_artifact_goes_with_those_of_its_files_that_were_never_fetched(
    bucket: Objects, tmp_path: Path
) -> None:
    here, there = (machine(tmp_path / name, MemoryStore(bucket)) for name in ("here", "there"))
    with here.hold("make"):
        for version in ("old", "new"):
            with here.store.create("tables", version) as draft:
                (draft.path / "large").write_bytes(b"x" * 200_000)
                (draft.path / "small").write_bytes(b"x")
    assert there.bucket is not None
    with there.hold("gc"):
        assert not (there.root / "tables" / "old" / "large").exists()
        there.bucket.let_go("tables", "old")
        shutil.rmtree(there.root / "tables" / "old")
    index = read_index(MemoryStore(bucket), URL)
    assert index is not None
    assert {path for path in index.files if path.startswith("tables/")} == {
        f"tables/new/{name}" for name in ("large", "manifest.json", "small")
    }
    assert here.bucket is not None
    here.bucket.pull()
    assert here.store.versions("tables") == ["new"]
