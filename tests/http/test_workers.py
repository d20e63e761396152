"""Several processes answer at one port: as one server, whatever becomes of one of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from freshet.core.errors import ConfigError
from freshet.http.listening import bind, reserve
from freshet.http.worker_folder import WorkerFolder, release_of
from freshet.storage.workspace import Workspace
from tests.http.running import PATIENCE, Running, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ports are shared on Linux alone")


def soon(true: Callable[[], bool]) -> None:
    """Wait until it is true."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.1)


def anew(server: Running, method: str, path: str, **more: object) -> httpx.Response:
    """A request on a connection of its own, which any of the workers may get."""
    return httpx.request(method, server.url + path, timeout=PATIENCE, **more)  # type: ignore[arg-type]


def answer(server: Running, **query: object) -> dict[str, object]:
    """An answer by any of the workers."""
    reply = anew(server, "POST", "/v1/explore", json=query)
    assert reply.status_code == 200, reply.text
    found: dict[str, object] = reply.json()
    return found


def children_of(parents: list[psutil.Process], word: str) -> list[psutil.Process]:
    """Those that run, and were started with a word."""
    found = []
    for child in (child for parent in parents for child in parent.children()):
        with suppress(psutil.Error):  # it has ended
            found += [child] if word in child.cmdline() else []
    return found


def workers_of(server: Running) -> list[psutil.Process]:
    """Its workers that run."""
    return children_of([psutil.Process(server.process.pid)], "--as-worker")


def who_answers(server: Running) -> set[object]:
    """Which of two workers answered; each has ids of its own."""
    return {str(answer(server, user="u1", items=1)["id"])[:12] for _ in range(30)}


@pytest.fixture(scope="module")
def two(shop: Workspace, place: Path) -> Iterator[Running]:
    """A server of two workers, which tests leave as it was."""
    root = Path(shutil.copytree(shop.root, place / "two_workers"))
    with running(root, "--workers", "2") as server:
        yield server


def test_all_answer_and_their_measures_are_one(two: Running) -> None:
    assert len(workers_of(two)) == 2
    soon(lambda: len(who_answers(two)) == 2)

    def counted() -> float:
        lines = anew(two, "GET", "/metrics").text.splitlines()
        [line] = [one for one in lines if 'requests_total{path="/v1/explore",status="200"}' in one]
        return float(line.rpartition(" ")[2])

    before = counted()
    for _ in range(20):
        answer(two, user="u2", items=1)
    assert [counted() for _ in range(6)] == [before + 20] * 6  # whichever of them is asked
    text = anew(two, "GET", "/metrics").text
    assert "freshet_release 2.0" in text
    assert "freshet_evidence_age_seconds NaN" in text  # the first one looks, and has not yet


def test_what_one_records_the_others_know(two: Running, items: list[str]) -> None:
    soon(lambda: len(who_answers(two)) == 2)
    told = [{"user": "told", "item": item, "value": 9.0, "id": item} for item in items[:6]]
    assert anew(two, "POST", "/v1/events", json=told).json()["recorded"] == 6
    contexts = {str(answer(two, user="told", items=0)["context"]) for _ in range(20)}
    assert len(contexts) == 1
    assert contexts != {"[]"}


def test_a_release_that_one_is_told_to_serve_all_serve(two: Running) -> None:
    soon(lambda: len(who_answers(two)) == 2)

    def served() -> set[object]:
        return {answer(two, user="u3", items=0)["release"] for _ in range(20)}

    for number in (1, None):
        assert anew(two, "POST", "/v1/releases", json={"release": number}).status_code == 200
        soon(lambda number=number: served() == {number or 2})  # type: ignore[misc]
    assert anew(two, "POST", "/v1/releases", json={"release": 99}).status_code == 404
    assert served() == {2}


def test_they_have_one_dashboard_which_the_next_starts_when_it_is_gone(two: Running) -> None:
    def page() -> int:
        return anew(two, "GET", "/dashboard/").status_code

    def dashboards() -> list[psutil.Process]:
        return children_of(workers_of(two), "freshet.dashboard.dashboard_process")

    soon(lambda: page() == 200)
    assert [page() for _ in range(12)] == [200] * 12
    [one] = dashboards()
    one.kill()
    soon(lambda: page() == 200)
    assert len(dashboards()) == 1
    with httpx.Client(base_url=two.url, timeout=PATIENCE) as client:  # always the same worker
        for _ in range(2):  # whoever of them started it
            [one] = dashboards()
            one.kill()
            soon(lambda: client.get("/dashboard/").status_code == 200)


def test_one_that_dies_is_replaced_while_the_others_answer(copy: Path) -> None:
    with running(copy, "--workers", "2") as server:
        soon(lambda: len(who_answers(server)) == 2)
        first, second = workers_of(server)
        first.kill()
        # what waits for a process that dies is lost with it; its parent has seen its end when nothing waits there
        soon(lambda: not psutil.pid_exists(first.pid))
        answer(server, user="u1", items=1)  # a new connection goes to the one that listens
        soon(lambda: server.client.get("/readyz").json()["detail"] == "1 of 2 workers run")
        assert server.client.get("/readyz").status_code == 200
        ended = server.logged(lambda line: line["event"] == "worker_ended")
        assert (ended["worker"], ended["exit_code"]) == (0, -signal.SIGKILL)
        soon(lambda: len(workers_of(server)) == 2 and len(who_answers(server)) == 2)
        soon(lambda: server.client.get("/readyz").json()["detail"] == "")
        assert second.is_running()
        assert server.stop() == 0
    assert {line.get("worker") for line in server.lines() if line["event"] == "request"} == {0, 1}


def test_a_signal_that_every_process_gets_is_one(copy: Path) -> None:
    """A service manager tells all processes of a service; the parent passes on what it is told, too."""
    with running(copy, "--workers", "2") as server:
        soon(lambda: len(who_answers(server)) == 2)
        for one in (*workers_of(server), server.process):
            one.send_signal(signal.SIGTERM)
        drained = set()
        with suppress(httpx.HTTPError):  # until the port is closed
            while server.process.poll() is None:
                drained.add(anew(server, "GET", "/readyz").status_code)
        assert 503 in drained  # a balancer could see it
        assert server.process.wait(PATIENCE) == 0


def test_they_end_with_the_process_that_started_them(copy: Path) -> None:
    with running(copy, "--workers", "2") as server:
        workers = workers_of(server)
        server.process.kill()
        _, alive = psutil.wait_procs(workers, PATIENCE)
        assert not alive


@pytest.mark.slow
def test_what_keeps_one_from_starting_ends_all(tmp_path: Path) -> None:
    (tmp_path / "freshet.toml").write_text("")
    found = subprocess.run(
        [
            sys.executable,
            "-m",
            "freshet",
            "serve",
            "-w",
            str(tmp_path),
            "--port",
            "0",
            "--workers",
            "2",
            "--json",
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "FRESHET_DEBUG": ""},
        check=False,
    )
    assert found.returncode > 0
    assert found.stderr.count("no release is published yet") == 1
    assert json.loads(found.stdout)["error"]["exit_code"] == found.returncode


def test_what_was_told_last_is_done_last(tmp_path: Path) -> None:
    mine, other = WorkerFolder(tmp_path, 0), WorkerFolder(tmp_path, 1)
    assert mine.new_pin() is None
    other.pin(1)
    told = mine.new_pin()
    assert told == "1"
    other.pin(None)  # while this one opens release 1
    mine.pin_done(told)
    assert mine.new_pin() == ""
    assert release_of("") is None
    mine.pin_done("")
    assert (mine.new_pin(), other.new_pin()) == (None, None)
    other.pin(2)
    mine.pin(1)  # both at once: the file holds one of them, and whoever serves another is told
    assert [one.new_pin() for one in (mine, other)] == [None, "1"]


def test_a_port_is_shared_by_one_servers_workers_only() -> None:
    with reserve("127.0.0.1", 0) as reserved:
        port = reserved.getsockname()[1]
        with bind("127.0.0.1", port, shared=True) as worker:
            worker.listen()
            for take in (bind, reserve):
                with pytest.raises(ConfigError, match=f"cannot listen at 127.0.0.1:{port}"):
                    take("127.0.0.1", port)
