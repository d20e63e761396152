"""Executors keep what their port promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from freshet.backends.executors.local_executor import LocalExecutor
from freshet.backends.executors.ray_executor import RayExecutor
from freshet.checks import check_executor
from freshet.core.config import RayConfig
from tests.backends.executors.cluster import cluster

__all__ = ["cluster"]


@pytest.mark.parametrize("threads", [1, 3])
def test_this_machine(threads: int, tmp_path: Path) -> None:
    check_executor(LocalExecutor(threads), tmp_path)


@pytest.mark.slow
def test_a_cluster(cluster: Any, tmp_path: Path) -> None:
    executor = RayExecutor(RayConfig(address=cluster.address), tmp_path)
    assert executor.slots == 2
    check_executor(executor, tmp_path, kills=True)
