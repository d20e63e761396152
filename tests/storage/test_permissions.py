"""What is written is its owner's alone, whatever the umask; a setting shares it, and a person's pages follow it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from freshet.backends.local_store import LocalStore
from freshet.backends.user_stores.lmdb_store import LmdbUserStore
from freshet.cli import app
from freshet.core.config import Config, PricesConfig
from freshet.core.errors import ConfigError
from freshet.doctor import Finding, check
from freshet.http.api_keys import change_keys, make_key
from freshet.report import write_report
from freshet.storage.durable import make_folder, write_text
from freshet.storage.lease import lease
from freshet.storage.ledger import Ledger, Quiet
from freshet.storage.permissions import narrow, their_umask
from freshet.storage.releases import Releases
from freshet.storage.workspace import Workspace


@pytest.fixture(params=[0o000, 0o022, 0o277])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def fill(root: Path) -> Workspace:
    """Write one of each kind of file."""
    make_folder(root)
    write_text(root / "freshet.toml", "")
    ws = Workspace(root, Config(), LocalStore(root), None)
    with lease(root / "LEASE", "run") as held:
        Ledger(root).start("run", "", PricesConfig(), Quiet(), held)
        assert mode(root / "LEASE") & 0o077 == mode(root / "freshet.toml") & 0o077
    with ws.store.create("tables", "v1") as draft:
        (draft.path / "deep").mkdir(0o755)
        (draft.path / "deep" / "x.npy").write_bytes(b"1")
    Releases(root).publish("2024-01-01", "v1", "", "i", "00001")
    key, _ = make_key("read", "", "2024-01-01")
    change_keys(root, lambda known: {**known, key.id: key})
    state = LmdbUserStore(root / "state", 1)
    state.impressions.append([b"x"])
    state.close()
    return ws


def modes(root: Path) -> tuple[set[int], set[int]]:
    paths = [root, *root.rglob("*")]
    return {mode(p) for p in paths if p.is_dir()}, {mode(p) for p in paths if p.is_file()}


def test_a_workspace_is_its_owners(umask: int, tmp_path: Path) -> None:
    fill(tmp_path / "shop")
    assert modes(tmp_path / "shop") == ({0o700}, {0o600})


def wide(ws: Workspace) -> list[Finding]:
    return [found for found in check(ws).findings if found.what == "open to others"]


@pytest.mark.parametrize(
    ("setting", "folders", "files"), [("group", 0o770, 0o660), ("group-read", 0o750, 0o640)]
)
def test_a_setting_shares_it_with_the_group(
    umask: int, setting: str, folders: int, files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRESHET_ACCESS", setting)
    assert wide(fill(tmp_path / "shop")) == []
    assert modes(tmp_path / "shop") == ({folders}, {files})
    monkeypatch.setenv("FRESHET_ACCESS", "everybody")
    with pytest.raises(ConfigError, match="FRESHET_ACCESS is 'everybody'"):
        write_text(tmp_path / "x", "")
    assert app.run(["status", "-w", str(tmp_path / "shop")]) == 2


def test_commands_make_private_what_libraries_write(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        lines = [
            "user_id,item_id,timestamp",
            *(f"u{n % 5},i{n % 7},2024-01-{n % 28 + 1:02d}" for n in range(80)),
            "u,,x",
        ]
        (tmp_path / "events.csv").write_text("\n".join(lines))
        assert app.run(["init", str(tmp_path / "shop"), "--events", str(tmp_path / "events.csv")]) == 0
        assert app.run(["import", "-w", str(tmp_path / "shop")]) == 0
        assert their_umask() == 0o022
    finally:
        os.umask(before)
    assert (tmp_path / "shop" / "quarantine").is_dir()
    assert modes(tmp_path / "shop") == ({0o700}, {0o600})


def test_a_page_that_a_person_asked_for_elsewhere_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        ws = fill(tmp_path / "shop")
        (ws.root / "CURRENT").unlink()
        (ws.root / "releases" / "1.json").unlink()
        assert mode(write_report(ws, ws.root / "report.html")) == 0o600
        assert mode(write_report(ws, tmp_path / "out.html")) == 0o640
        assert app.run(["report", "-w", str(ws.root), "--into", str(tmp_path / "told.html")]) == 0
        assert mode(tmp_path / "told.html") == 0o640
    finally:
        os.umask(before)


def test_the_doctor_names_and_closes_what_is_open_to_others(tmp_path: Path) -> None:
    ws = fill(tmp_path / "shop")
    for path in [ws.root, *ws.root.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    [finding] = wide(ws)
    assert {"keys.json", "state", "runs", "tables"} <= set(finding.where.split(", "))
    check(ws, repair=True)
    assert wide(ws) == []
    inside = [path for path in ws.root.rglob("*") if path.name != "freshet.toml"]
    assert {mode(path) for path in inside} == {0o700, 0o600}
    assert mode(ws.root / "freshet.toml") == 0o644  # that is a person's


def test_links_are_neither_followed_nor_changed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    victim.chmod(0o644)
    (tmp_path / "CURRENT").symlink_to(victim)
    write_text(tmp_path / "CURRENT", "1")  # takes the place of the link
    (tmp_path / "link").symlink_to(victim)
    narrow(tmp_path / "link")
    assert (victim.read_text(), mode(victim)) == ("precious", 0o644)


def test_a_folder_of_a_group_stays_one(tmp_path: Path) -> None:
    (tmp_path / "g").mkdir()
    (tmp_path / "g").chmod(0o2755)
    narrow(tmp_path / "g")
    assert mode(tmp_path / "g") == 0o2700


READ_ONLY = """
import sys
from freshet.cli import app
codes = [app.run([*command.split(), "-w", sys.argv[1]]) for command in ("history", "run", "keys add", "report")]
assert codes == [0, 2, 2, 2], codes
"""


@pytest.mark.slow
def test_a_disk_that_can_not_be_written_to_is_told(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    fill(root)
    mounted = f"mount --bind {root} {root} && mount -o remount,ro,bind {root}"
    run = f"{mounted} || exit 77; exec {sys.executable} -c '{READ_ONLY}' {root}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", run], capture_output=True, text=True, timeout=120)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("nothing can be mounted here")
    assert done.returncode == 0, done.stderr
    assert "keys.json" in done.stderr
    assert done.stderr.count("Read-only file system") == 2
    assert "Traceback" not in done.stderr
