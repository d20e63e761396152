"""`freshet alerts`: what fires, for people and programs; telling, and being killed while it tells."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from freshet import pipeline
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace
from tests.cli.conftest import answered, called
from tests.exports.receiver import Receiver
from tests.pipeline.world import FIRST


@pytest.fixture
def shop(counted: Workspace, tmp_path: Path) -> Path:
    """A workspace whose log ended long ago."""
    root = tmp_path / "shop"
    shutil.copytree(counted.root, root)
    pipeline.refresh(open_workspace(root), FIRST, publish=True)
    return root


def told(root: Path, receiver: Receiver) -> None:
    with (root / "freshet.toml").open("a") as file:
        file.write(f'[alerts]\nwebhook = "{receiver.url}"\nwebhook_secret_env = ""\n')


def document(*arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = answered("alerts", *arguments)
    return found


def test_what_fires_is_told_with_what_to_do(shop: Path) -> None:
    found = document("-w", shop)
    assert set(found) == {
        *("command", "schema", "firing", "told", "troubles", "state", "levels", "freshness"),
    }
    [events] = [one for one in found["firing"] if one["name"] == "FreshetEventsStopped"]
    assert set(events) == {
        *("name", "severity", "level", "summary", "value", "objective", "unit", "since", "first", "runbook"),
    }
    assert found["state"] == "breach"
    shown = called("alerts", "-w", shop)
    assert shown.returncode == 0
    assert "FreshetEventsStopped" in shown.stdout
    assert "ask whoever delivers them" in " ".join(shown.stdout.split())


def test_sending_needs_somebody_to_tell(shop: Path) -> None:
    for option in ("--send", "--test"):
        refused = called("alerts", "-w", shop, option)
        assert refused.returncode == 2
        assert "names nobody" in refused.stderr


def test_a_test_says_what_came_of_it(shop: Path) -> None:
    with Receiver(200, 500) as receiver:
        told(shop, receiver)
        assert [one["failed"] for one in document("-w", shop, "--test")["test"]] == [""]
        [bad] = document("-w", shop, "--test")["test"]
    assert "HTTP 500" in bad["failed"]
    assert json.loads(receiver.taken[0][2])["name"] == "FreshetTest"


def test_killed_while_it_tells_it_tells_the_same_once_more(shop: Path) -> None:
    running: list[subprocess.Popen[bytes]] = []

    def kill(_: BaseHTTPRequestHandler) -> None:
        running[0].kill()
        running[0].wait()

    with Receiver(kill) as receiver:
        told(shop, receiver)
        command = [sys.executable, "-m", "freshet", "alerts", "-w", str(shop), "--send"]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        assert running[0].wait(120) == -9
        heard = len(receiver.taken)
        assert heard == 1  # it had told, and died before it could remember that
        again = document("-w", shop, "--send")
        assert [one["failed"] for one in again["told"]] == [""]
        assert receiver.ids[0] in receiver.ids[1:]
        assert document("-w", shop, "--send")["told"] == []
    names = [json.loads(body)["name"] for _, _, body in receiver.taken[1:]]
    assert sorted(names) == sorted(one["name"] for one in again["firing"])
