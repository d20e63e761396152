"""What is said of a cluster that isn't there; the others are in `test_executors`."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshet.backends.executors.ray_cluster import Cluster
from freshet.core.config import RayConfig
from freshet.core.errors import ExecutorLost
from tests.backends.user_stores.server import free_port


@pytest.mark.slow
def test_where_nobody_listens_nobody_is_waited_for(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="pip install 'freshet[ray]'")
    with pytest.raises(ExecutorLost, match="no Ray cluster answers at"):
        _ = Cluster(RayConfig(address=f"127.0.0.1:{free_port()}"), tmp_path).fit
