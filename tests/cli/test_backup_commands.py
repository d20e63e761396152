"""`freshet backup`, `restore`, `gc` and `upgrade` as people call them, with folders and buckets."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.cli.conftest import answered, called
from tests.fixtures import make
from tests.servers import Bucket


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A workspace of everything, of the first version."""
    with tarfile.open(Path(make.__file__).parent / "0.1" / make.NAME) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "shop"


def test_a_workspace_is_upgraded_tidied_backed_up_and_restored(old: Path, tmp_path: Path) -> None:
    assert answered("upgrade", "-w", old, "--dry-run")["run"] is None
    assert answered("upgrade", "-w", old)["after"] == 2
    assert "up to date" in called("upgrade", "-w", old).stdout
    told = answered("gc", "-w", old, "--releases", "1", "--dry-run")
    assert told["run"] is None
    done = answered("gc", "-w", old, "--releases", "1")
    assert done["releases"] == told["releases"]
    assert {one["what"] for one in told["removed"]} <= {one["what"] for one in done["removed"]}
    assert "freed" in called("gc", "-w", old).stdout
    with (old / "freshet.toml").open("a") as settings:
        settings.write('[backup]\nto = "../safe"\nkeys = "../keys"\nkeep = 2\n')
    made = [answered("backup", "-w", old) for _ in range(3)]
    assert made[2]["tidied"]["backups"] == [made[0]["id"]]
    assert made[0]["kept_apart"] == "../keys"
    shown = called("restore", tmp_path / "safe", tmp_path / "again", "--keys", tmp_path / "keys")
    assert "release 3 serves" in shown.stdout
    assert answered("doctor", "-w", tmp_path / "again", code=0)["findings"] == []
    restored = answered(
        "restore", tmp_path / "safe", tmp_path / "before", "--keys", old, "--backup", made[1]["id"]
    )
    assert restored["release"] == 3
    error = answered("restore", tmp_path / "safe", tmp_path / "more", code=2)["error"]
    assert "--keys" in error["hint"]
    error = answered("backup", "-w", old, old / "safe", code=2)["error"]
    assert "lies in the workspace" in error["message"]


def test_without_a_place_or_a_copy_of_the_keys_it_says_so(old: Path, tmp_path: Path) -> None:
    assert "no place" in answered("backup", "-w", old, code=2)["error"]["message"]
    shown = called("backup", "-w", old, tmp_path / "safe")
    assert "lie in the workspace alone" in shown.stdout


def test_a_bucket_is_backed_up_to_a_bucket(
    old: Path, s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRESHET_CACHE", str(tmp_path / "cache"))
    url, safe = f"{s3.url}/shop", f"{s3.url}/safe"
    answered("copy", old, url)
    made = answered("backup", "-w", url, safe)
    assert made["sent_files"] > 50
    assert answered("backup", "-w", url, safe)["sent_files"] < 3
    again = answered("restore", safe, tmp_path / "again", "--keys", f"{tmp_path}/cache", code=2)
    assert "holds no user-keys.bin" in again["error"]["message"]
    folder = next((tmp_path / "cache" / "workspaces").iterdir())
    assert answered("restore", safe, tmp_path / "again", "--keys", folder)["release"] == 3
    assert answered("gc", "-w", url, "--releases", "1")["releases"] == [
        1,
        2,
        3,
    ]  # the first is an experiment's
    assert called("experiment", "stop", "-w", url, "try", "--reason", "done").returncode == 0
    done = answered("gc", "-w", url, "--releases", "1")
    assert done["deleted_releases"] == [1]
    assert done["bytes"] > 0
    answered("status", "-w", url)
    assert called("doctor", "-w", url).returncode == 0
