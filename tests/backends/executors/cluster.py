"""A cluster of several machines, simulated by as many raylets on this one, for all tests of a session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

STORE = 100 * 2**20


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """Two machines of one core each, beside the driver's, which has none."""
    pytest.importorskip("ray", reason="pip install 'freshet[ray]'")
    from freshet.backends.executors.ray_cluster import need_ray

    ray = need_ray()
    from ray.cluster_utils import Cluster

    source = str(Path(__file__).parents[3] / "src")
    tests = str(Path(__file__).parents[3])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([source, tests]))
        made = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0,
                "object_store_memory": STORE,
                "include_dashboard": False,
            },
        )
        for _ in range(2):
            made.add_node(num_cpus=1, object_store_memory=STORE)
        yield made
        ray.shutdown()
        made.shutdown()
