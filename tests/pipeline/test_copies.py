"""The same inputs give the same bytes: wherever a workspace lies, whatever the machine is set to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from freshet import operations, pipeline
from freshet.core.errors import GateFailed
from freshet.stages import interests
from freshet.storage.workspace import Workspace
from tests.pipeline.world import (
    ARTIFACTS,
    FAKE,
    FIRST,
    INTERESTS,
    SECOND,
    content,
    copied,
    settings,
    workspace,
)

MAKE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from freshet import operations, pipeline
from freshet.core.errors import GateFailed
from freshet.report import write_report
from freshet.core.types import AsOf
from freshet.wiring import open_workspace

folder, reported, page, *moments = sys.argv[1:]
ws = open_workspace(Path(folder))
operations.import_log(ws, datetime(2025, 1, 1, tzinfo=UTC))
for moment in moments:
    try:
        pipeline.refresh(ws, AsOf.parse(moment), publish=True)
    except GateFailed:
        operations.approve(ws, ws.ledger.records()[-1].id, "test")
        pipeline.refresh(ws, AsOf.parse(moment), publish=True)
write_report(open_workspace(Path(reported)), Path(page))
"""
HERE = {"TZ": "UTC", "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}
ELSEWHERE = {
    "TZ": "Asia/Tokyo",
    "PYTHONHASHSEED": "77",
    "LC_ALL": "C",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONUTF8": "0",
}


def written_out(world: Path, into: Path) -> None:
    """The world as CSV, with times in every way that text may tell them, and names beyond ASCII."""
    events = pq.read_table(world / "events.parquet")
    zones = (None, UTC, timezone(timedelta(hours=9)), timezone(timedelta(hours=-8)))
    told = []
    for row, time in enumerate(events["timestamp"].to_pylist()):
        zone = zones[row % len(zones)]
        told.append(
            time.replace(tzinfo=None).isoformat() if zone is None else time.astimezone(zone).isoformat()
        )
    place = events.column_names.index("timestamp")
    pc.write_csv(events.set_column(place, "timestamp", pa.array(told)), into / "events.csv")
    items = pq.read_table(world / "items.parquet")
    titles = pa.array([f"{title} – été" for title in items["title"].to_pylist()])
    place = items.column_names.index("title")
    pc.write_csv(items.set_column(place, "title", titles), into / "items.csv")


def python(code: str, *arguments: str, env: dict[str, str], cwd: Path) -> None:
    """Run code in a process of its own; raises if it fails."""
    source = Path(pipeline.__file__).parents[1]
    subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(source), **env},
        cwd=cwd,
        check=True,
    )


@pytest.mark.slow
def test_zone_hash_seed_locale_and_folder_make_no_difference(world: Path, tmp_path: Path) -> None:
    written_out(world, tmp_path)
    text = (
        settings(tmp_path, "fake", FAKE + "[feedback]\nuse = true\n[ranker]\nmax_steps = 1\n")
        .replace(json.dumps(str(tmp_path / "events.parquet")), '"../events.csv"')
        .replace(json.dumps(str(tmp_path / "items.parquet")), '"../items.csv"')
        .replace("[interests]", 'timezone = "Europe/Berlin"\n[interests]')
    )
    one, other = (workspace(tmp_path / name, text) for name in ("one", "other"))
    pages = tmp_path / "here.html", tmp_path / "elsewhere.html"
    days = str(FIRST), str(SECOND)
    python(MAKE, str(one.root), str(one.root), str(pages[0]), *days, env=HERE, cwd=tmp_path)
    python(MAKE, "../other", ".", str(pages[1]), *days, env=ELSEWHERE, cwd=one.root)
    kinds = (*ARTIFACTS, "events", "feedback", "releases")
    found, again = content(one, kinds), content(other, kinds)
    assert {name.split("/")[0] for name in found} >= {*ARTIFACTS, "events", "feedback"}
    assert sorted(found) == sorted(again)
    assert [name for name in found if found[name] != again[name]] == []
    assert pages[0].read_bytes() == pages[1].read_bytes()


def aged_backwards(ws: Workspace) -> None:
    """Give what was made first the latest times, as a copy may by chance."""
    manifests = sorted(ws.root.glob("*/*/manifest.json"), key=lambda path: path.stat().st_mtime_ns)
    for age, path in enumerate(reversed(manifests)):
        for each in (path, path.parent):
            os.utime(each, ns=(age * 10**9, age * 10**9))


def test_a_copy_without_times_goes_on_as_the_workspace_does(
    world: Path, counted: Workspace, tmp_path: Path
) -> None:
    """Two tables of one moment, neither of which served: one of them steadies what comes next."""
    ws = copied(counted, tmp_path / "ws")
    for level in ("global", "none", "instance"):
        for width in (4, 5):
            text = settings(world, extra=f'[evidence]\nlevel = "{level}"\n[table]\nwidth = {width}\n')
            pipeline.refresh(workspace(ws.root, text), FIRST)
    copy = copied(ws, tmp_path / "copy")
    aged_backwards(copy)
    text = (ws.root / "freshet.toml").read_text()
    made = [pipeline.refresh(workspace(each.root, text), SECOND) for each in (ws, copy)]
    assert content(copy) == content(ws)
    one, other = ([step.artifact for step in record.steps] for record in made)
    assert one == other
    (previous,) = {
        found.manifest["inputs"]["previous"]
        for version in ws.store.versions("tables")
        if (found := ws.store.find("tables", version)) and found.manifest["as_of"] == str(SECOND)
    }
    steady = ws.store.find("tables", previous)
    assert steady is not None
    assert steady.manifest["settings"]["table"]["width"] == 5  # the one of these settings


def test_what_a_person_approves_is_what_was_halted(world: Path, counted: Workspace, tmp_path: Path) -> None:
    """The table's overlay may have been made again since, with other settings."""
    ws = copied(counted, tmp_path / "ws")
    pipeline.refresh(ws, FIRST, publish=True)
    known = interests.load(ws.root / "interests" / ws.releases.get(1).interests)
    blocked = json.dumps([str(id_) for id_ in known.ids[: INTERESTS - 4]])
    halted = []
    for cap in (20, 7, 3):
        extra = f"[table]\nmax_churn = 0.01\nblocked = {blocked}\n[live]\nuser_cap = {cap}\n"
        text = settings(world, extra=extra)
        with pytest.raises(GateFailed):
            pipeline.refresh(workspace(ws.root, text))
        halted.append(ws.ledger.records()[-1])
    overlays = [step.artifact for record in halted for step in record.steps if step.name == "overlay"]
    assert len(set(overlays)) == 3
    operations.approve(ws, halted[1].id, "Ada")
    release = ws.releases.current()
    assert release is not None
    assert f"overlays/{release.overlay}" == overlays[1]
