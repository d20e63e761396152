"""What anything needs stays, whatever happened before; the rest goes."""

from __future__ import annotations

import os
import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet import doctor, operations, pipeline
from freshet.cleanup import collect_garbage, collect_when_due, keep
from freshet.core.errors import ArtifactError
from freshet.core.types import Experiment, ExperimentArm, Serves
from freshet.inspect import open_release
from freshet.storage import checksums
from freshet.storage.release_parts import missing_of, parts_of
from freshet.storage.workspace import Workspace
from tests.cleanup.histories import History
from tests.pipeline.world import FIRST, NOW, copied


@pytest.fixture(scope="module")
def busy(planned: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Four releases, the third rolled back to."""
    ws = copied(planned, tmp_path_factory.mktemp("busy") / "shop")
    for day in range(0, 8, 2):
        pipeline.refresh(ws, FIRST.plus(day), publish=True)
    return ws


@pytest.mark.slow
def test_after_it_all_releases_that_stay_open_and_a_refresh_makes_nothing(
    busy: Workspace, tmp_path: Path
) -> None:
    ws = copied(busy, tmp_path / "shop")
    told = collect_garbage(ws, 1, 30, NOW, dry_run=True)
    assert ws.releases.numbers() == [1, 2, 3, 4]
    found = collect_garbage(ws, 1, 30, NOW)
    assert (found.releases, found.deleted_releases) == ((3, 4), (1, 2))
    assert found.deleted_releases == told.deleted_releases
    assert found.counts["tables"] == told.counts["tables"] > 0
    assert found.bytes >= told.bytes > 0
    checksums.forget()
    assert doctor.check(ws).findings == []
    again = pipeline.refresh(ws, FIRST.plus(6), publish=True)
    assert [step.name for step in again.steps if step.artifact and not step.cached] == []
    assert ws.releases.numbers() == [3, 4]
    for number in (3, 4):
        operations.roll_back(ws, number)
        assert open_release(ws).release.number == number
    with pytest.raises(ArtifactError, match="deleted by `freshet gc`"):
        operations.roll_back(ws, 1)
    assert collect_garbage(ws, 1, 30, NOW).counts == {}


@pytest.mark.slow
def test_a_refresh_goes_on_after_it_as_if_nothing_had_been_deleted(busy: Workspace, tmp_path: Path) -> None:
    one, other = copied(busy, tmp_path / "one"), copied(busy, tmp_path / "other")
    collect_garbage(one, 1, 30, NOW)
    tables = [pipeline.refresh(ws, FIRST.plus(8), publish=True) for ws in (one, other)]
    made = [{step.name: (step.artifact, step.cached) for step in record.steps} for record in tables]
    assert made[0] == made[1]


@pytest.mark.slow
def test_what_an_experiment_serves_stays_while_it_runs(busy: Workspace, tmp_path: Path) -> None:
    ws = copied(busy, tmp_path / "shop")
    arms = (ExperimentArm("a", 0.5, Serves(1)), ExperimentArm("b", 0.5, Serves()))
    ws.experiments.start(Experiment("try", "salt", arms, 1.0, ("satisfied",), 1, 4))
    assert collect_garbage(ws, 1, 30, NOW).deleted_releases == (2,)
    parts_of(ws.store, ws.releases.get(1))
    ws.experiments.stop("try", 2, "enough")
    assert collect_garbage(ws, 1, 30, NOW).deleted_releases == (1,)


@pytest.mark.slow
def test_studies_and_caches_go_when_nobody_has_touched_them_for_long(busy: Workspace, tmp_path: Path) -> None:
    ws = copied(busy, tmp_path / "shop")
    for name in ("replay/rooms/2024-01-01/tables/x", "cadence/x", "cache/vectors/other", "trainings/x"):
        (ws.root / name).mkdir(parents=True)
        (ws.root / name / "file").write_bytes(b"x" * 100)
    assert "replays" not in collect_garbage(ws, 9, 30, NOW).counts
    for path in [*ws.root.rglob("*")]:
        if path.parts[len(ws.root.parts)] in ("replay", "cadence", "cache", "trainings"):
            os.utime(path, (time.time() - 40 * 86400,) * 2)
    found = collect_garbage(ws, 9, 30, NOW).counts
    assert [found[what] for what in ("replays", "studies", "caches of vectors", "trainings")] == [1, 1, 1, 1]


@given(seed=st.integers(0, 2**32), keeping=st.integers(1, 3))
@settings(max_examples=20)
def test_nothing_goes_that_what_stays_needs_whatever_happened(seed: int, keeping: int) -> None:
    with TemporaryDirectory() as folder:
        history = History(Path(folder), random.Random(seed))
        for _ in range(random.Random(seed).randint(1, 25)):
            history.go_on()
        needed = history.needed(keeping)
        kept = keep(history.ws, keeping)
        assert needed - kept.artifacts == set()
        assert history.releases(keeping) <= set(kept.releases)
        collect_garbage(history.ws, keeping, 30, NOW)
        for number in history.ws.releases.numbers():
            release = history.ws.releases.get(number)
            parts_of(history.ws.store, release)
            assert missing_of(history.ws.store, release) == ()
        assert history.ws.releases.numbers() == sorted(kept.releases)
        assert collect_garbage(history.ws, keeping, 30, NOW).counts == {}


@pytest.mark.slow
def test_the_scheduler_collects_every_so_many_days(busy: Workspace, tmp_path: Path) -> None:
    text = (busy.root / "freshet.toml").read_text()
    never = copied(busy, tmp_path / "never")
    assert collect_when_due(never, datetime.now(UTC)) is None
    ws = copied(busy, tmp_path / "shop", text + "[schedule]\ngc_days = 7\n")
    now = datetime.now(UTC)
    assert collect_when_due(ws, now) is not None
    assert collect_when_due(ws, now + timedelta(days=6)) is None
    assert collect_when_due(ws, now + timedelta(days=8)) is not None
    later = now + timedelta(days=20)
    with ws.hold("run"):
        assert collect_when_due(ws, later) is None
    with pytest.raises(ZeroDivisionError), replace(ws, clock=lambda: later).run("gc"):
        raise ZeroDivisionError
    assert collect_when_due(ws, later + timedelta(hours=5)) is None
    assert collect_when_due(ws, later + timedelta(hours=7)) is not None


@pytest.mark.slow
def test_what_a_canary_tries_stays(busy: Workspace, tmp_path: Path) -> None:
    ws = copied(busy, tmp_path / "shop")
    arms = (ExperimentArm("control", 0.9, Serves()), ExperimentArm("canary", 0.1, Serves(4)))
    ws.releases.point_to(3)
    ws.experiments.start(Experiment("canary-4", "s", arms, 1.0, ("satisfied",), 0, 3, canary=True))
    collect_garbage(ws, 1, 30, NOW)
    assert ws.releases.numbers() == [2, 3, 4]
    parts_of(ws.store, ws.releases.get(4))
