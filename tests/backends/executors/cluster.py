"""A cluster of several machines, simulated by as many raylets on this one, for all tests of a session."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from freshet.backends.executors.ray_executor import RayExecutor
from freshet.core.config import RayConfig
from freshet.core.ports import Executor, Progress, Resources, silent

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
"""Ray listens on 127.0.0.1 alone; it reads this when it is imported."""

os.environ.update(RAY_health_check_timeout_ms="60000")
"""A machine that is busy with other tests is not dead; one whose process is gone refuses at once."""

STORE = 100 * 2**20
ROOT = Path(__file__).parents[3]


def patiently(start: Callable[[], Any]) -> Any:
    """Start something of Ray's, which gives up after 30 seconds, as it may have to where a machine is busy."""
    for _ in range(4):
        try:
            return start()
        except SystemExit:  # as Ray ends where a process of its own did not start
            continue
        except Exception as error:  # Ray raises no more specific one
            if "timed out during startup" not in str(error):
                raise
    return start()


def machine(cluster: Any) -> Any:
    """One more machine, of one core."""
    own = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": STORE}
    return patiently(lambda: cluster.add_node(**own))


def started() -> Any:
    """A cluster of one machine, the driver's."""
    from ray.cluster_utils import Cluster

    own = {"num_cpus": 0, "node_ip_address": "127.0.0.1", "object_store_memory": STORE}
    head = {"include_dashboard": False, **own}
    return patiently(lambda: Cluster(initialize_head=True, head_node_args=head))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """Two machines of one core each, beside the driver's, which has none."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("pip install 'freshet[ray]'")
    from freshet.backends.executors.ray_cluster import need_ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
        ray = need_ray()
        made = started()
        machine(made)
        machine(made)
        yield made
        ray.shutdown()
        made.shutdown()


def executor(cluster: Any, root: Path, **settings: Any) -> RayExecutor:
    """The cluster as executor of a workspace in a folder."""
    return RayExecutor(RayConfig(address=cluster.address, **settings), root)


class Meanwhile(Executor):
    """An executor during whose work something happens, as a job is taken.

    Args:
        happens: what.
        after: so many jobs.
    """

    def __init__(self, inner: Executor, happens: Callable[[], Any], after: int) -> None:
        self._inner, self._happens, self._left = inner, happens, after

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def slots(self) -> int:
        return self._inner.slots

    def map(self, work: Any, jobs: Iterable[Any], needs: Resources | None = None) -> Iterator[Any]:
        return self._inner.map(work, self._taken(jobs), needs)

    def pool(
        self, opened: Any, jobs: Iterable[Any], needs: Resources | None = None
    ) -> Iterator[tuple[int, Any]]:
        return self._inner.pool(opened, self._taken(jobs), needs)

    def call(self, work: Any, job: Any, needs: Resources | None = None, progress: Progress = silent) -> Any:
        return self._inner.call(work, job, needs, progress)

    def _taken(self, jobs: Iterable[Any]) -> Iterator[Any]:
        for job in jobs:
            self._left -= 1
            if self._left == 0:
                self._happens()
            yield job
