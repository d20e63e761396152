"""Settings of all tests, and the worlds and workspaces that several of them start from.

How fast a busy machine is fails no test. No power fails during one either: what is written is not forced to
the disk, which it would be 100,000 times. Processes that tests start do force it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck

from freshet.storage.workspace import Workspace
from tests.pipeline.world import FAKE, FIRST, make_world, refreshed, settings, workspace

hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")
# a fixture of a session is one where it is known by one name: a process can have one cluster of Ray's
pytest_plugins = ["tests.marks", "tests.servers", "tests.backends.executors.cluster"]


@pytest.fixture(scope="session", autouse=True)
def _no_power_fails() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


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
