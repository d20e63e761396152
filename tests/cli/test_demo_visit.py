"""What a demo does where its service does not answer: it says so, and keeps what it has made."""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from types import SimpleNamespace

import pytest

from freshet.cli import demo_command, demo_visit
from freshet.core.errors import MissingExtra, NotServing


class Silent:
    """A service that takes the question and says nothing."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server

    def url(self, until: float) -> str:
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silent]:
    monkeypatch.setattr(demo_visit, "PATIENCE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Silent(server)


def test_no_answer_is_no_bug(silent: Silent) -> None:
    with pytest.raises(NotServing, match="did not answer within"):
        demo_visit.visit(silent, ["i1"], 1)  # type: ignore[arg-type]


def test_the_demo_goes_on(silent: Silent, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("freshet.inspect.busiest_items", lambda *_: {0: ["i1"]})
    explained = SimpleNamespace(provenance=SimpleNamespace(interests=""), asked=[SimpleNamespace(id=0)])
    seen = demo_command._visit(
        SimpleNamespace(say=said.append), SimpleNamespace(root="shop"), explained, 1, silent
    )  # type: ignore[arg-type]
    assert seen is None
    assert "did not answer" in said[-1]


def test_the_newest_release_is_waited_for_and_asked_once(
    silent: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(url: str, _: float, content: dict[str, object] | None = None) -> dict[str, object]:
        asked.append(url.rpartition("/")[2])
        return {"release": min(len(asked), 3)} if content is None else {"release": 3, "interests": []}

    monkeypatch.setattr(demo_visit, "PATIENCE", 60.0)
    monkeypatch.setattr(demo_visit, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(demo_visit, "_asked", answer)
    found = demo_visit.visit(silent, ["i1"], 3)  # type: ignore[arg-type]
    assert found.answer["release"] == 3
    assert asked == ["readyz", "readyz", "readyz", "explore"]


def test_a_release_that_is_never_opened_is_not_answered_for(
    silent: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_visit, "_asked", lambda *_: {"release": 1})
    with pytest.raises(NotServing, match="from release 1, not from 2"):
        demo_visit.visit(silent, ["i1"], 2)  # type: ignore[arg-type]


def _workspace(folder: Path, current: int | None) -> SimpleNamespace:
    return SimpleNamespace(root=folder, releases=SimpleNamespace(pointer=lambda: current))


def test_a_service_that_does_not_come_up_is_no_bug(tmp_path: Path) -> None:
    with (
        demo_visit.Service(_workspace(tmp_path / "nothing", 1), print) as service,  # type: ignore[arg-type]
        pytest.raises(NotServing, match="did not come up"),
    ):
        service.url(monotonic() + 60)


def test_a_process_that_can_not_be_started_is_no_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr(demo_visit.subprocess, "Popen", full)
    with (
        demo_visit.Service(_workspace(tmp_path, 1), print) as service,  # type: ignore[arg-type]
        pytest.raises(NotServing, match="no more processes"),
    ):
        service.url(monotonic() + 60)


def test_leaving_while_it_starts_ends_it(tmp_path: Path) -> None:
    with demo_visit.Service(_workspace(tmp_path, 1), print) as service:  # type: ignore[arg-type]
        while service._process is None:
            sleep(0.01)
    assert service._process.returncode is not None
    assert not service._starting.is_alive()


def test_it_ends_with_whoever_started_it() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", demo_visit.SERVE.replace("\nmain()", "\nimport time; time.sleep(600)")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdin.close()  # as the system does it for a process that is gone
        assert process.wait() == -signal.SIGTERM


def test_without_a_release_nothing_is_started(tmp_path: Path) -> None:
    with demo_visit.Service(_workspace(tmp_path, None), print) as service:  # type: ignore[arg-type]
        pass
    assert service._process is None
    assert not service._starting.is_alive()


def test_without_the_service_the_demo_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_visit, "is_installed", lambda: False)
    with (
        demo_visit.Service(_workspace(tmp_path, 1), print) as service,  # type: ignore[arg-type]
        pytest.raises(MissingExtra, match="not installed"),
    ):
        service.url(0.0)
