"""A folder as an object store."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshet.backends.object_stores.folder_store import FolderStore
from freshet.checks.object_store import check_object_store
from freshet.core.errors import ArtifactError, StoreUnreachable


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    check_object_store(lambda: FolderStore(tmp_path / "made" / "when needed"), rounds=5)


def test_no_key_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    for key in ("../secret", "/etc/passwd", "a/../../secret"):
        with pytest.raises(ArtifactError):
            FolderStore(tmp_path / "store").get(key)


def test_a_place_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreUnreachable, match="can't be used"):
        FolderStore(tmp_path / "file").put_new("x", b"1")
