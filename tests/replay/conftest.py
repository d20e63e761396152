"""The world that replays start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.world import make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Event and item files."""
    return make_world(tmp_path_factory.mktemp("world"))
