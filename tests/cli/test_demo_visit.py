"""What a demo does where its service does not answer: it says so, and keeps what it has made."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from freshet.cli import demo_command, demo_visit
from freshet.core.errors import NotServing


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that takes the question and says nothing."""

    @contextmanager
    def service(_: object) -> Iterator[str]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"

    monkeypatch.setattr(demo_visit, "_service", service)
    monkeypatch.setattr(demo_visit, "PATIENCE", 0.1)


@pytest.mark.usefixtures("silent")
def test_no_answer_is_no_bug(tmp_path: object) -> None:
    with pytest.raises(NotServing, match="did not answer within"):
        demo_visit.visit(tmp_path, ["i1"])  # type: ignore[arg-type]


@pytest.mark.usefixtures("silent")
def test_the_demo_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("freshet.inspect.busiest_items", lambda *_: {0: ["i1"]})
    explained = SimpleNamespace(provenance=SimpleNamespace(interests=""), asked=[SimpleNamespace(id=0)])
    seen = demo_command._visit(SimpleNamespace(say=said.append), SimpleNamespace(root="shop"), explained)  # type: ignore[arg-type]
    assert seen is None
    assert "did not answer" in said[-1]
