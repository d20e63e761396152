"""A campaign of fake users that moves a row is held back, or halts the refresh; a person may let it pass."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet import operations, pipeline
from freshet.core.errors import ConfigError, GateFailed
from freshet.core.time import DAY
from freshet.core.types import AsOf
from freshet.simulator import World, generate
from freshet.stages.interests import load, load_assignment
from freshet.storage.artifacts import committed
from freshet.storage.workspace import Workspace
from tests.pipeline.world import NOW, current_table, step, workspace

WORLD = World(themes=24, items=144, users=900, days=70, change_day=40, sessions=8)
FIRST, SECOND = AsOf.parse("2024-02-28"), AsOf.parse("2024-03-06")
OFF = '[screen]\nuse = false\ngate = "off"\n'
CONFIG = f"""[events]
files = ["{{world}}/events.parquet"]
items = "{{world}}/items.parquet"
positive = "value >= 7"
[interests]
count = 24
[counts]
window_days = 7
fit_windows = 2
[planner]
kind = "counts"
[table]
max_churn = 1.0
{OFF}"""
FAKE_USERS = 600


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, int, str]:
    """A workspace whose log a campaign is in, after the first release; what is pushed: interest and name."""
    folder = tmp_path_factory.mktemp("campaign")
    world = folder / "world"
    generate(WORLD, world)
    ws = workspace(folder / "ws", CONFIG.format(world=world))
    operations.import_log(ws, NOW)
    pipeline.refresh(ws, FIRST, publish=True)
    shutil.copytree(ws.root, folder / "honest")
    honest = workspace(folder / "honest", CONFIG.format(world=world))
    pipeline.refresh(honest, SECOND, publish=True)
    rows = [current_table(one).successors[0].tolist() for one in (ws, honest)]
    pushed = int(max(rows[1], key=lambda interest: min(row.index(interest) for row in rows)))
    release = ws.releases.current()
    assert release is not None
    interests = committed(ws.store, "interests", release.interests)
    [version] = ws.store.versions("assignments")
    assigned = load_assignment(committed(ws.store, "assignments", version).path)
    item = assigned.items[int(np.flatnonzero(assigned.interest == pushed)[0])]
    rng, end = np.random.default_rng(0), SECOND.microseconds
    fake = {
        "user_id": [f"fake{number}" for number in range(FAKE_USERS)],
        "item_id": [item] * FAKE_USERS,
        "timestamp": pa.array(end - 1 - rng.integers(0, 5 * DAY, FAKE_USERS), pa.timestamp("us", tz="UTC")),
        "value": [9.0] * FAKE_USERS,
    }
    real = pq.read_table(world / "events.parquet")
    log = pa.concat_tables([real, pa.table(fake).cast(real.schema)])
    pq.write_table(log, world / "events.parquet")
    operations.import_log(ws, NOW)
    return ws, pushed, load(interests.path).descriptions[pushed]


def first(ws: Workspace) -> int:
    """What users without an interest are offered first."""
    return int(current_table(ws).successors[0, 0])


def again(ws: Workspace, root: Path, screen: str) -> Workspace:
    """The workspace in another folder, with other settings of the screen."""
    shutil.copytree(ws.root, root)
    text = (root / "freshet.toml").read_text().replace(OFF, screen)
    return workspace(root, text)


def test_without_defences_the_campaign_gets_what_it_wants(
    attacked: tuple[Workspace, int, str], tmp_path: Path
) -> None:
    ws, pushed, _ = attacked
    ws = again(ws, tmp_path / "ws", OFF)
    pipeline.refresh(ws, SECOND, publish=True)
    assert first(ws) == pushed


def test_the_screen_holds_it_back_and_says_what_it_saw(
    attacked: tuple[Workspace, int, str], tmp_path: Path
) -> None:
    ws, pushed, name = attacked
    ws = again(ws, tmp_path / "ws", '[screen]\ngate = "off"\nage_days = 7\n')
    record = pipeline.refresh(ws, SECOND, publish=True)
    seen = step(record, "screen")
    assert int(str(seen["held_back"])) > 0.9 * FAKE_USERS
    assert first(ws) != pushed
    assert seen["latest"][0]["description"] == name  # type: ignore[index]
    again_made = pipeline.refresh(ws, SECOND, publish=True)
    assert again_made.release == record.release


def test_trusted_interests_come_back_as_if_nothing_was_held_back(
    attacked: tuple[Workspace, int, str], tmp_path: Path
) -> None:
    ws, pushed, name = attacked
    trusting = again(ws, tmp_path / "ws", f'[screen]\ngate = "off"\ntrusted = ["{name}"]\n')
    pipeline.refresh(trusting, SECOND, publish=True)
    assert first(trusting) == pushed
    wrong = again(ws, tmp_path / "wrong", '[screen]\ntrusted = ["no such interest"]\n')
    with pytest.raises(ConfigError, match="no such interest"):
        pipeline.refresh(wrong, SECOND, publish=True)


def test_the_gate_halts_it_and_a_person_may_let_it_pass(
    attacked: tuple[Workspace, int, str], tmp_path: Path
) -> None:
    ws, pushed, name = attacked
    ws = again(ws, tmp_path / "ws", "[screen]\nuse = false\nage_days = 7\n")
    before = first(ws)
    with pytest.raises(GateFailed, match="rest on new users alone") as halted:
        pipeline.refresh(ws, SECOND, publish=True)
    assert name in str(halted.value)
    assert first(ws) == before
    waiting = ws.ledger.records()[-1]
    assert waiting.waiting is not None
    evidence = waiting.waiting["crowd"][0]
    assert (evidence["after"], evidence["description"]) == ("", name)
    assert evidence["no_past"] >= FAKE_USERS
    assert evidence["new_users"] > 10 * evidence["established"]
    operations.approve(ws, waiting.id, "somebody")
    assert first(ws) == pushed
    pipeline.refresh(ws, SECOND, publish=True)  # approved once is approved


def test_a_gate_that_reports_lets_it_pass(attacked: tuple[Workspace, int, str], tmp_path: Path) -> None:
    ws, pushed, _ = attacked
    ws = again(ws, tmp_path / "ws", '[screen]\nuse = false\nage_days = 7\ngate = "report"\n')
    record = pipeline.refresh(ws, SECOND, publish=True)
    assert int(str(step(record, "crowd")["found"])) >= 1
    assert first(ws) == pushed
