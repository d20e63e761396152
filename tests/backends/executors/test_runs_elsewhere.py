"""A run on a cluster makes the workspace that a run on this machine makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from freshet.backends.executors.remote_training import RemoteTuner
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FAKE, FIRST, refreshed, same_content, settings, workspace


def test_the_same_workspace(cluster: Any, world: Path, planned: Workspace, tmp_path: Path) -> None:
    there = (
        f"[ray]\naddress = {json.dumps(cluster.address)}\nresources = {{ inference = {{ cpus = 0.5 }} }}\n"
    )
    ws = workspace(tmp_path / "ws", 'executor = "ray"\n' + settings(world, "fake", FAKE + there))
    assert ws.executor is not None
    assert ws.executor.name == "ray"
    assert isinstance(ws.tuner, RemoteTuner)
    refreshed(ws, FIRST)
    same_content(ws, planned)
