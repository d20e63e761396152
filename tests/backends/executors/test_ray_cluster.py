"""What is said of a cluster that isn't there; the others are in `test_executors`."""

from __future__ import annotations

import pytest

from freshet.backends.executors.ray_cluster import need_answer
from freshet.core.errors import ExecutorLost
from tests.backends.user_stores.server import free_port


def test_where_nobody_listens_nobody_is_waited_for() -> None:
    with pytest.raises(ExecutorLost, match="no Ray cluster answers at"):
        need_answer(f"127.0.0.1:{free_port()}")
    need_answer("auto")  # which Ray knows at once
