"""An experiment over HTTP: started by another process, followed within a second, told in answers and measures."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from freshet.core.types import user_number
from freshet.experiments.assignment import arm_of
from freshet.storage.experiment_registry import Experiments
from tests.cli.conftest import freshet
from tests.http.running import PATIENCE, running


def soon(true: Callable[[], bool]) -> None:
    for _ in range(10 * PATIENCE):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("it never came true")


def test_a_running_server_follows_an_experiment(copy: Path) -> None:
    with running(copy, "--no-auth") as server:
        assert server.explore(user="u1")["experiment"] == ""
        started = freshet(
            "experiment", "start", "-w", copy, "--name", "fresh", "--control", "release:1", "--treatment", "follow"
        )  # fmt: skip
        assert started.returncode == 0, started.stderr
        soon(lambda: server.explore(user="u1")["experiment"] == "fresh")
        experiment = Experiments(copy).get("fresh")
        releases = {"control": 1, "treatment": 2}
        for user in (f"u{n}" for n in range(30)):
            answer, arm = server.explore(user=user), arm_of(experiment, user_number(user))
            assert arm is not None
            assert (answer["arm"], answer["release"]) == (arm.name, releases[arm.name])
        assert server.explore()["arm"] == ""
        measured = server.client.get("/metrics").text
        assert 'freshet_exposures_total{arm="control",experiment="fresh"}' in measured
        assert "freshet_release_swaps_total 0.0" in measured
        assert freshet("experiment", "stop", "-w", copy, "fresh").returncode == 0
        soon(lambda: server.explore(user="u1")["experiment"] == "")
