"""What is said of a cluster that isn't there; the others are in `test_executors`."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshet.backends.executors.ray_address import need_answer
from freshet.core.errors import ExecutorLost
from tests.backends.user_stores.server import free_port


@pytest.mark.parametrize("named", ["here", "by the environment", "as the last one here"])
def test_where_nobody_listens_nobody_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    need_answer("auto")  # no cluster was ever started: Ray knows at once
    if named == "by the environment":
        monkeypatch.setenv("RAY_ADDRESS", address)
    if named == "as the last one here":
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text(address)
    with pytest.raises(ExecutorLost, match=f"no Ray cluster answers at .*{address}"):
        need_answer(address if named == "here" else "auto")
