"""The small checkpoint, and a server of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .checkpoint import make
from .embeddings_server import Server, serving


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence encoder with random weights; copy it before changing it."""
    return make(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def served(checkpoint: Path) -> Iterator[Server]:
    """A server of it that wants no key."""
    with serving(checkpoint) as server:
        yield server
