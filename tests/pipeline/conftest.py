"""Worlds and workspaces that several tests start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshet.storage.workspace import Workspace
from tests.pipeline.world import FAKE, FIRST, make_world, refreshed, settings, workspace


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Event and item files."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def counted(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace of plain counts, refreshed once; copy it before changing it."""
    ws = workspace(tmp_path_factory.mktemp("counted"), settings(world))
    refreshed(ws, FIRST)
    return ws


@pytest.fixture(scope="session")
def planned(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a fake planner, refreshed once; copy it before changing it."""
    ws = workspace(tmp_path_factory.mktemp("planned"), settings(world, "fake", FAKE))
    refreshed(ws, FIRST)
    return ws
