"""Executors keep what their port promises, and say what stands against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from freshet.backends.executors import ray_cluster
from freshet.backends.executors.local_executor import LocalExecutor
from freshet.backends.executors.ray_cluster import Fit, versions_here
from freshet.backends.executors.ray_executor import RayExecutor
from freshet.checks import check_executor
from freshet.core.config import RayConfig
from freshet.core.errors import ConfigError, ExecutorLost
from freshet.core.ports import Resources
from tests.backends.executors.cluster import executor


@pytest.mark.parametrize("threads", [1, 3])
def test_this_machine(threads: int, tmp_path: Path) -> None:
    check_executor(LocalExecutor(threads), tmp_path)


def test_a_cluster(cluster: Any, tmp_path: Path) -> None:
    ray = executor(cluster, tmp_path)
    assert ray.slots == 2
    check_executor(ray, tmp_path, kills=True)


def _abort(job: int) -> int:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)
    return job


class _Aborting:
    def __call__(self, job: int) -> int:
        return _abort(job)


def test_a_job_that_kills_every_worker_is_given_up(cluster: Any, tmp_path: Path) -> None:
    ray = executor(cluster, tmp_path, retries=1)
    with pytest.raises(ExecutorLost, match="Ray lost job 0"):
        list(ray.map(_abort, [1]))
    with pytest.raises(ExecutorLost, match="the worker of job 0 2 times"):
        list(ray.pool(_Aborting, [1]))


def test_what_no_machine_has_is_waited_for_and_then_said(cluster: Any, tmp_path: Path) -> None:
    ray = executor(cluster, tmp_path, wait_seconds=0.0)
    with pytest.raises(ExecutorLost, match=r"no machine of the Ray cluster has .*'GPU': 1"):
        list(ray.map(abs, [1], Resources(gpus=1)))


def test_machines_with_other_versions_are_named(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "versions_here", lambda: {**versions_here(), "numpy": "1.0"})
    with pytest.raises(ConfigError, match=r"machine \S+ of the Ray cluster has numpy \d.*the driver has 1.0"):
        list(executor(cluster, tmp_path).map(abs, [1]))


def test_a_machine_that_does_not_see_the_workspace_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"machine \S+ of the Ray cluster can't read the workspace"
    ) as found:
        Fit(tmp_path / "nowhere" / "token", "token", versions_here()).check()
    assert "share" in found.value.hint
    (tmp_path / "token").write_text("of another workspace at the same path")
    with pytest.raises(ConfigError, match="can't read the workspace"):
        Fit(tmp_path / "token", "token", versions_here()).check()


def test_rays_client_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Ray's client is not supported"):
        list(RayExecutor(RayConfig(address="ray://somewhere:1"), tmp_path).map(abs, [1]))
