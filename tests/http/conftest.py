"""A small workspace with two releases, copies of it, and a server on one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from freshet import operations, pipeline
from freshet.http.api_keys import make_key, save_keys
from freshet.storage.workspace import Workspace
from tests.http.running import HTTP, SMALL, Running, running
from tests.pipeline.world import FIRST, NOW, SECOND, make_world, settings, workspace


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the world in `world/`."""
    folder = tmp_path_factory.mktemp("service")
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
def copy(shop: Workspace, place: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of the shop that a test may change."""
    return Path(shutil.copytree(shop.root, place / request.node.name))


@pytest.fixture(scope="session")
def items(place: Path) -> list[str]:
    """Ids of the world's items."""
    found: list[str] = pq.read_table(place / "world" / "items.parquet")["item_id"].to_pylist()
    return found


@pytest.fixture(scope="session")
def server(shop: Workspace, place: Path) -> Iterator[Running]:
    """A server that is asked with an admin's key, for tests that leave it as it was."""
    root = Path(shutil.copytree(shop.root, place / "served"))
    key, text = make_key("admin", "tests", "2026-01-05")
    save_keys(root, {key.id: key})
    with running(root, key=text) as found:
        yield found


@pytest.fixture(scope="session")
def alone(shop: Workspace, place: Path) -> Iterator[Running]:
    """A server without keys, with small limits of connections, behind a prefix; tests leave it as it was."""
    root = Path(shutil.copytree(shop.root, place / "alone"))
    (root / "freshet.toml").write_text(settings(place / "world", extra=SMALL))
    with running(root, "--root-path", "/rec/") as found:
        yield found
