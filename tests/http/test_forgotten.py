"""A server goes on while somebody is forgotten: nobody waits long, nobody else loses anything, they are gone."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from freshet.privacy.forgetting import look
from freshet.wiring import open_user_store, open_workspace
from tests.http.running import PATIENCE, Running, running

GONE = "marked-4711"


class Crowd(threading.Thread):
    """People who send events and ask for recommendations, one after another, until told to stop."""

    def __init__(self, server: Running, users: list[str], items: list[str]) -> None:
        super().__init__()
        self.server, self.users, self.items = server, users, items
        self.ended = threading.Event()
        self.recorded: dict[str, int] = dict.fromkeys(users, 0)
        self.refused: dict[str, int] = dict.fromkeys(users, 0)
        self.problems: list[str] = []

    def run(self) -> None:
        for at in itertools.count():
            if self.ended.is_set() or self.problems:
                return
            user, item = self.users[at % len(self.users)], self.items[at % len(self.items)]
            sent = self.server.post(
                "/v1/events", [{"user": user, "item": item, "value": 9.0, "id": f"e{at}"}]
            )
            asked = self.server.post("/v1/explore", {"user": user})
            if sent.status_code == 200 and sent.json()["recorded"] == 1:
                self.recorded[user] += 1
            elif sent.status_code == 422 and "user was forgotten" in sent.text:
                self.refused[user] += 1
            else:
                self.problems.append(f"{at}: {sent.text}")
            if asked.status_code != 200:
                self.problems.append(f"{at}: {asked.text}")


def eventually(crowd: Crowd, true: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not true():
        assert crowd.is_alive()
        assert time.monotonic() < until, crowd.problems
        time.sleep(0.05)


def test_a_server_goes_on(copy: Path, items: list[str]) -> None:
    others = ["another", "marked-47110", "xmarked-4711"]
    with running(copy) as server:
        crowd = Crowd(server, [GONE, *others], items)
        crowd.start()
        eventually(crowd, lambda: crowd.recorded[GONE] >= 20)
        done = subprocess.run(
            [sys.executable, "-m", "freshet", "forget", "-w", str(copy), "--user", GONE, "--block"],
            capture_output=True, text=True,
        )  # fmt: skip
        after = crowd.recorded[GONE]
        asked = crowd.refused[GONE]
        eventually(crowd, lambda: crowd.refused[GONE] >= asked + 10)
        crowd.ended.set()
        crowd.join()
        assert done.returncode == 0, done.stdout + done.stderr
        assert "receipt: " in done.stdout
        assert crowd.problems == []
        assert crowd.recorded[GONE] == after
        assert {crowd.refused[one] for one in others} == {0}
    ws = open_workspace(copy)
    assert look(ws, [GONE]).searched.traces == ()
    store = open_user_store(ws.root, ws.config)
    bodies = [entry.body for entry in store.events.read(0, 100_000)]
    for one in others:
        assert sum(f'"user":"{one}"'.encode() in body for body in bodies) == crowd.recorded[one]
    store.close()
