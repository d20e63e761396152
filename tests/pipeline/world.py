"""A small simulated world, workspaces on it, and what may be compared between two of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freshet import operations, pipeline
from freshet.backends.planners.fake import FakePlanner, FakeTuner
from freshet.core.errors import GateFailed, PlannerError
from freshet.core.types import AsOf, Interests, Prompt, Ranking
from freshet.simulator import World, generate
from freshet.stages.table import Table
from freshet.storage.artifacts import Artifact
from freshet.storage.ledger import Record
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace

WORLD = World(themes=10, items=70, users=160, days=56, change_day=40, sessions=8)
NOW = datetime(2025, 1, 1, tzinfo=UTC)
FIRST, SECOND = AsOf.parse("2024-02-12"), AsOf.parse("2024-02-19")
"""Two moments inside the world, a window apart; the world ends on 2024-02-26."""
ARTIFACTS = (
    "items",
    "interests",
    "assignments",
    "transitions",
    "days",
    "tables",
    "models",
    "gates",
    "overlays",
)
INTERESTS = 9


def make_world(folder: Path) -> Path:
    """Event and item files of the world."""
    generate(WORLD, folder)
    return folder


EVIDENCE = '[evidence]\nlevel = "instance"'
"""Prompts carry evidence whether or not it helps the planner, so that there is something to refresh."""


def settings(world: Path, kind: str = "counts", extra: str = "", k: int = 2, interests: str = "") -> str:
    """A `freshet.toml`; `extra` holds further sections, `interests` further keys of that section."""
    return f"""
[events]
files = [{json.dumps(str(world / "events.parquet"))}]
items = {json.dumps(str(world / "items.parquet"))}
positive = "value >= 7"
[interests]
count = {INTERESTS}
{interests}
[transitions]
k = {k}
[counts]
window_days = 7
fit_windows = 2
{"" if "[evidence]" in extra else EVIDENCE}
[planner]
kind = "{kind}"
{extra}
"""


FAKE = """
[inference]
chunk = 4
calibration_prompts = 120
[gates]
sample = 30
"""


def workspace(root: Path, text: str) -> Workspace:
    """A workspace with this configuration; an existing one is opened with it."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "freshet.toml").write_text(text)
    return open_workspace(root)


def copied(ws: Workspace, root: Path, text: str | None = None) -> Workspace:
    """The same workspace in another folder, maybe with another configuration."""
    shutil.copytree(ws.root, root)
    return workspace(root, text if text is not None else (root / "freshet.toml").read_text())


def approving(action: Callable[[], Record], ws: Workspace) -> Record:
    """Do it; where a gate halts it, approve and do it again."""
    try:
        return action()
    except GateFailed:
        operations.approve(ws, ws.ledger.records()[-1].id, "test")
        return action()


def refreshed(ws: Workspace, *moments: AsOf) -> None:
    """Import and refresh as of each moment."""
    operations.import_log(ws, NOW)
    for moment in moments:
        approving(lambda moment=moment: pipeline.refresh(ws, moment), ws)  # type: ignore[misc]


def content(ws: Workspace, kinds: Sequence[str] = ARTIFACTS) -> dict[str, bytes]:
    """Every file of these artifacts."""
    return {
        path.relative_to(ws.root).as_posix(): path.read_bytes()
        for kind in kinds
        for path in sorted((ws.root / kind).rglob("*"))
        if path.is_file()
    }


def same_content(a: Workspace, b: Workspace) -> None:
    """Fail naming the files that differ."""
    one, other = content(a), content(b)
    assert sorted(one) == sorted(other)
    assert [name for name in one if one[name] != other[name]] == []


def table_of(ws: Workspace, as_of: AsOf) -> Artifact:
    """The only table of a moment."""
    found = [ws.store.find("tables", version) for version in ws.store.versions("tables")]
    (only,) = [a for a in found if a is not None and a.manifest["as_of"] == str(as_of)]
    return only


def current_table(ws: Workspace) -> Table:
    """The table that serves."""
    release = ws.releases.current()
    assert release is not None
    artifact = ws.store.find("tables", release.table)
    assert artifact is not None
    return Table(artifact.path, size_of(artifact))


def size_of(table: Artifact) -> int:
    """How many interests a table speaks of."""
    return int(np.load(table.path / "contexts.npy").max()) + 1


def rewrite(world: Path, into: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    """The world with other events."""
    into.mkdir(parents=True, exist_ok=True)
    shutil.copy(world / "items.parquet", into / "items.parquet")
    pq.write_table(change(pq.read_table(world / "events.parquet")), into / "events.parquet")
    return into


def step(record: Record, name: str) -> dict[str, object]:
    """Details of a step."""
    return next(s.details for s in record.steps if s.name == name)


class Choosy(FakePlanner):
    """A fake planner that can't read prompts of one context, or is interrupted after some calls."""

    def __init__(self, interests: int, refused: tuple[int, ...] | None, calls: list[int]) -> None:
        super().__init__(interests)
        self.refused, self.calls = refused, calls

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        if self.calls[0] == 0:
            raise KeyboardInterrupt
        self.calls[0] -= 1
        if any(prompt.context == self.refused for prompt in prompts):
            raise PlannerError(f"can't read {self.refused}")
        return super().rank(prompts, top)


class ChoosyTuner(FakeTuner):
    """Opens choosy planners; `calls` is how often they may be asked before they are interrupted."""

    def __init__(self, refused: tuple[int, ...] | None = None, calls: int = -1) -> None:
        self.refused, self.calls = refused, [calls]

    def open(self, model: Path, interests: Interests) -> Choosy:
        return Choosy(len(interests), self.refused, self.calls)


def with_tuner(ws: Workspace, tuner: FakeTuner) -> Workspace:
    """The workspace with another tuner."""
    return replace(ws, tuner=tuner)
