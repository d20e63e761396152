"""Backup, restore, gc and upgrade are killed anywhere: what was whole stays whole, and they go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from freshet import backups
from freshet.backends.object_stores.folder_store import FolderStore
from freshet.wiring import open_workspace
from tests.fixtures import make

KILLS = int(os.environ.get("FRESHET_KILLS", "12"))


@pytest.mark.slow
def test_kills_leave_everything_whole(tmp_path: Path) -> None:
    with tarfile.open(Path(make.__file__).parent / "0.1" / make.NAME) as archive:
        archive.extractall(tmp_path, filter="data")
    ws = open_workspace(tmp_path / "shop")
    backups.make(ws, FolderStore(tmp_path / "safe"), "safe", 0, datetime(2026, 1, 1, tzinfo=UTC))
    (tmp_path / "shop" / "runs" / "error-1.txt").write_text("something for a second backup to send")
    done = subprocess.run(
        [sys.executable, "-m", "tests.upkeep_killer", str(tmp_path), str(KILLS)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert min(found["killed"].values()) > 0
