"""Workspaces whose dashboards are looked at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from freshet import operations, pipeline
from freshet.core.errors import GateFailed
from freshet.storage.workspace import Workspace
from tests.http.running import HTTP
from tests.pipeline.world import FAKE, FIRST, NOW, SECOND, copied, make_world, settings, workspace

STRICT = FAKE.replace("[gates]", "[gates]\nrecall = 1.0")
CALM = "[table]\nmax_churn = 0.0001\n"


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the world in `world/`."""
    folder = tmp_path_factory.mktemp("dashboards")
    make_world(folder / "world")
    return folder


@pytest.fixture(scope="session")
def shop(place: Path) -> Workspace:
    """Two releases of plain counts; tests that change it take a `copy`."""
    ws = workspace(place / "shop", settings(place / "world", extra=HTTP))
    operations.import_log(ws, NOW)
    for moment in (FIRST, SECOND):
        pipeline.refresh(ws, moment, publish=True)
    return ws


@pytest.fixture
def copy(shop: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the shop that a test may change."""
    return workspace(Path(shutil.copytree(shop.root, tmp_path / "shop")), settings_of(shop))


@pytest.fixture(scope="session")
def stopped(shop: Workspace, place: Path) -> Workspace:
    """A copy whose new model, a fake one, failed its gate in run 00004."""
    ws = copied(shop, place / "stopped", settings(place / "world", "fake", STRICT + HTTP))
    with pytest.raises(GateFailed):
        pipeline.finetune(ws, SECOND)
    return ws


@pytest.fixture
def halted(stopped: Workspace, tmp_path: Path) -> Workspace:
    """A copy of it that a test may change."""
    return workspace(Path(shutil.copytree(stopped.root, tmp_path / "halted")), settings_of(stopped))


def settings_of(ws: Workspace) -> str:
    """The text of its settings."""
    return (ws.root / "freshet.toml").read_text()
