"""The SIMULATED chat server lies beside the benchmarks, which use it too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[4] / "benchmarks"
if str(BENCHMARKS) not in sys.path:
    sys.path.append(str(BENCHMARKS))

from simulated_chat import Simulated, serving  # noqa: E402


@pytest.fixture
def simulated() -> Iterator[Simulated]:
    """A SIMULATED server that can do all, and has no faults."""
    with serving() as server:
        yield server
