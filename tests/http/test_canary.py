"""A bad release by processes: published, served to some, taken back as their outcomes fall; a good one stays."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from freshet.stages import interests
from freshet.storage.artifacts import committed
from freshet.storage.releases import Releases
from freshet.wiring import open_workspace
from tests.cli.conftest import freshet
from tests.experiments.showing import assigned
from tests.http.running import PATIENCE, Running, running

TRIED = "\n[canary]\nshare = 0.4\nsmallest_harm = 0.5\nmargin = 0.3\n"
USERS = 240


def soon(true: Callable[[], bool]) -> None:
    for _ in range(10 * PATIENCE):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("it never came true")


def live(server: Running, rates: dict[str, float], items: dict[int, list[str]]) -> set[str]:
    """Everybody asks once; outcomes name the answer. SIMULATED: how often people are satisfied is given."""
    rng = np.random.default_rng(1)
    seen = set()
    for n in range(USERS):
        answer = server.explore(user=f"visitor{n}", interests=4)
        seen.add(answer["arm"])
        offered = [item for one in answer["interests"] for item in items[one["id"]]]
        taken = offered[: rng.poisson(rates[answer["arm"]])]
        now = datetime.now(UTC).isoformat()
        events = [
            {"user": f"visitor{n}", "item": item, "value": 9, "time": now, "impression": answer["id"]}
            for item in taken
        ]
        if events:
            assert server.post("/v1/events", events).status_code == 200
    return seen


@pytest.mark.parametrize(("rate", "current", "word"), [(0.4, 1, "taken back"), (4.0, 2, "is current")])
def test_people_decide(copy: Path, rate: float, current: int, word: str) -> None:
    settings = copy / "freshet.toml"
    settings.write_text(settings.read_text() + TRIED)
    ws = open_workspace(copy)
    known = interests.load(committed(ws.store, "interests", ws.releases.get(2).interests).path)
    ws.releases.point_to(1)
    with running(copy, "--no-auth") as server:
        done = freshet("refresh", "-w", copy, "--json")
        assert done.returncode == 0, done.stderr
        state = json.loads(freshet("status", "-w", copy, "--json").stdout)
        tried = state["canary"]["release"]
        assert (state["release"]["number"], state["canary"]["share"]) == (1, 0.4)
        soon(lambda: {server.explore(user=f"u{n}")["arm"] for n in range(30)} == {"control", "canary"})
        rates = {"control": 3.0, "canary": rate}
        assert live(server, rates, assigned(ws, known)[1]) == {"control", "canary"}
        time.sleep(1)  # impressions are written twice a second
        done = freshet("collect", "-w", copy)
        assert done.returncode == 0, done.stderr
        assert word in done.stdout + done.stderr
        serves = 1 if current == 1 else tried
        assert Releases(copy).pointer() == serves
        soon(lambda: server.explore(user="u1")["experiment"] == "")
        assert {server.explore(user=f"u{n}")["release"] for n in range(30)} == {serves}
