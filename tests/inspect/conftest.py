"""Workspaces in which something serves."""

from __future__ import annotations

import pytest

from freshet.storage.workspace import Workspace
from tests.pipeline.world import FIRST, copied
from tests.serving.world import published


@pytest.fixture(scope="session")
def counts_serve(counted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Plain counts; tests leave it as it is."""
    ws = copied(counted, tmp_path_factory.mktemp("inspected") / "counts")
    published(ws, FIRST)
    return ws


@pytest.fixture(scope="session")
def planner_serves(planned: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Those of a fake planner; tests leave it as it is."""
    ws = copied(planned, tmp_path_factory.mktemp("inspected") / "planner")
    published(ws, FIRST)
    return ws
