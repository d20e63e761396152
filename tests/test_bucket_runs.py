"""Runs over a real S3 server: killed at every request, answered with errors, stopped for longer than a lease."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import Queue

import pytest

from freshet.backends.object_stores.obstore_store import ObstoreStore
from freshet.storage.remote import bucket_lease as leases
from freshet.storage.remote.bucket_workspace import BucketWorkspace
from freshet.storage.remote.checkout import Checkout
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace
from freshet.wiring_buckets import check_out
from tests.bucket_proxy import Proxy, proxied
from tests.servers import Bucket

pytestmark = pytest.mark.slow

JOB = """
import sys
from dataclasses import replace
from freshet.wiring import open_workspace
from freshet.wiring_buckets import check_out
url, name = sys.argv[1:]
ws = replace(open_workspace(check_out(url)), wait=60.0)
with ws.run("refresh") as run:
    print("held", flush=True)
    if name == "paused":
        sys.stdin.readline()
    for kind in ("interests", "tables"):
        with run.step(kind), ws.store.create(kind, name) as draft:
            (draft.path / "large").write_bytes(name.encode() * 50_000)
    with run.fenced():
        run.record.release = ws.releases.publish("2024-05-01", name, "", name, run.record.id).number
"""
"""What a run does: it commits artifacts, and moves the pointer."""


STRIDE = 2
"""Requests from one at which a process is killed to the next; `tests/storage/remote` takes every one."""


def environment(bucket: Bucket, cache: Path, proxy: Proxy | None = None) -> dict[str, str]:
    """That of a machine."""
    found = {**os.environ, **bucket.env, "FRESHET_CACHE": str(cache), leases.VARIABLE: "3"}
    return found if proxy is None else {**found, "AWS_ENDPOINT_URL": proxy.endpoint}


def started(url: str, name: str, env: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", JOB, url, name], env=env, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run_here(url: str, name: str, env: Mapping[str, str]) -> None:
    """The run, in the process that calls it."""
    os.environ.update(env)
    sys.argv = ["job", url, name]
    exec(JOB, {})


def forked(url: str, name: str, env: Mapping[str, str]) -> BaseProcess:
    """A process that begins the run at once: a server that has imported everything makes it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["freshet.wiring", "obstore.store", "pytest"])
    child = context.Process(target=run_here, args=(url, name, dict(env)))
    child.start()
    return child


def ran(url: str, name: str, env: Mapping[str, str]) -> tuple[int, str]:
    """Exit code and errors of a run that is let end."""
    done = subprocess.run(
        [sys.executable, "-c", JOB, url, name], env=env, text=True, capture_output=True, timeout=300,
        input="\n", check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def made(url: str, folder: Path) -> None:
    """A new workspace."""
    folder.mkdir(parents=True)
    (folder / "freshet.toml").write_text("")
    BucketWorkspace(url, ObstoreStore(url), Checkout(folder)).create()


def state(url: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The workspace as a machine sees it that has never seen it before, every file of it compared."""
    monkeypatch.setenv("FRESHET_CACHE", str(cache))
    ws = open_workspace(check_out(url))
    assert ws.bucket is not None
    ws.bucket.fetch_all()
    for kind in ("interests", "tables"):
        for version in ws.store.versions(kind):
            found = ws.store.find(kind, version)
            assert found is not None
            assert (found.path / "large").exists()
    current = ws.releases.current()
    assert current is None or ws.store.find("tables", current.table) is not None
    return ws


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_is_killed_at_every_request(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    served = set()
    with proxied(s3.env["AWS_ENDPOINT_URL"]) as proxy:
        for number in range(1, 120, STRIDE):
            url, folder = f"{s3.url}/{when}-{number}", tmp_path / str(number)
            made(url, folder / "first")
            proxy.requests.clear()
            started_one: Queue[BaseProcess] = Queue()

            def kill(at: int, number: int = number, child: Queue[BaseProcess] = started_one) -> str:
                if at == number:
                    child.get(timeout=60).kill()
                return "drop" if at >= number else "pass"

            setattr(proxy, when, kill)
            slow_beats = {leases.VARIABLE: "60"}  # or a slow machine sees ever more requests
            child = forked(url, "killed", environment(s3, folder / "killed", proxy) | slow_beats)
            started_one.put(child)
            child.join(120)
            setattr(proxy, when, lambda _: "pass")
            assert child.exitcode in (0, -signal.SIGKILL)
            if child.exitcode == 0:
                break
            seen = state(url, folder / "reader", monkeypatch)
            served.add(seen.releases.pointer())
            with monkeypatch.context() as patch:
                patch.setattr(sys, "argv", [])
                for variable, value in environment(s3, folder / "next").items():
                    patch.setenv(variable, value)
                run_here(url, "next", {})
            after = state(url, folder / "last", monkeypatch)
            assert after.releases.pointer() == (2 if seen.releases.pointer() == 1 else 1)
            assert after.ledger.records()[-1].outcome == "done"
        else:
            pytest.fail("it never got through")
    assert number > 15
    assert served == {None, 1}


@pytest.mark.parametrize("action", ["fail", "drop"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_server_that_fails_every_third_request(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, action: str
) -> None:
    made(s3.url, tmp_path / "first")
    with proxied(s3.env["AWS_ENDPOINT_URL"]) as proxy:
        setattr(proxy, when, lambda number: action if number % 3 == 0 else "pass")
        for name in ("a", "b"):
            code, errors = ran(s3.url, name, environment(s3, tmp_path / name, proxy))
            assert (code, errors) == (0, "")
    seen = state(s3.url, tmp_path / "reader", monkeypatch)
    assert seen.releases.pointer() == 2
    assert seen.store.versions("tables") == ["a", "b"]
    assert [record.outcome for record in seen.ledger.records()] == ["done", "done"]


def test_a_stopped_owner_publishes_nothing(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(s3.url, tmp_path / "first")
    paused = started(s3.url, "paused", environment(s3, tmp_path / "paused"))
    assert paused.stdout is not None
    assert paused.stdout.readline() == "held\n"
    paused.send_signal(signal.SIGSTOP)
    try:
        # another machine, which can't look at the process
        elsewhere = environment(s3, tmp_path / "other")
        code = "import freshet.storage.remote.bucket_lease as l; l.place = lambda: 'elsewhere'\n" + JOB
        done = subprocess.run(
            [sys.executable, "-c", code, s3.url, "other"], env=elsewhere, text=True, capture_output=True,
            timeout=300, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
    finally:
        paused.send_signal(signal.SIGCONT)
    _, errors = paused.communicate("\n", timeout=300)
    assert paused.returncode == 1
    assert "LeaseLost" in errors
    seen = state(s3.url, tmp_path / "reader", monkeypatch)
    assert seen.store.versions("tables") == ["other"]
    assert seen.releases.pointer() == 1
    assert [record.outcome for record in seen.ledger.records()] == ["done"]


def test_two_writers_at_once_take_turns(s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(s3.url, tmp_path / "first")
    runs = [started(s3.url, name, environment(s3, tmp_path / name)) for name in "abc"]
    assert [(run.communicate(timeout=300)[1], run.returncode) for run in runs] == [("", 0)] * 3
    seen = state(s3.url, tmp_path / "reader", monkeypatch)
    assert seen.store.versions("tables") == ["a", "b", "c"]
    assert seen.releases.numbers() == [1, 2, 3]
    assert seen.releases.pointer() == 3
    assert [record.outcome for record in seen.ledger.records()] == ["done"] * 3
