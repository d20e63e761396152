"""Everything a crash or a hand can leave is found, explained, repaired, and made again as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from freshet import operations, pipeline
from freshet.core.errors import ArtifactError, Busy
from freshet.core.types import Experiment, ExperimentArm, Serves
from freshet.doctor import check
from freshet.doctor.artifact_checks import KINDS
from freshet.doctor.finding import leftover, size_of
from freshet.inspect import open_release
from freshet.storage.durable import PART, write_json
from freshet.storage.lease import lease
from freshet.storage.release_parts import missing_of, parts_of
from freshet.storage.vector_cache import PLACE, write_part
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace
from tests.pipeline.world import FIRST, NOW, content, copied, same_content


@pytest.fixture(scope="module")
def served(counted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two releases of plain counts."""
    ws = copied(counted, tmp_path_factory.mktemp("served") / "ws")
    pipeline.refresh(ws, FIRST, publish=True)
    pipeline.refresh(ws)
    return ws


@pytest.fixture
def ws(served: Workspace, tmp_path: Path) -> Workspace:
    return copied(served, tmp_path / "ws")


def one(ws: Workspace, pattern: str) -> Path:
    """The last file of a pattern."""
    return sorted(ws.root.glob(pattern))[-1]


def table(ws: Workspace, number: int) -> Path:
    return ws.root / "tables" / ws.releases.get(number).table


def flip(path: Path) -> None:
    """One byte in the middle, as a failing disk would."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def scramble(path: Path) -> None:
    """Every byte of the middle half: a single one may lie where nothing is read."""
    data = bytearray(path.read_bytes())
    part = slice(len(data) // 4, 3 * len(data) // 4)
    data[part] = bytes(byte ^ 0xFF for byte in data[part])
    path.write_bytes(data)


def cut(path: Path) -> None:
    """The second half is gone, as after a power loss."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def tree(root: Path) -> dict[str, bytes]:
    """Every file of a workspace but its ledger, what runs said, and what was set aside."""
    found = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    return {
        name: data for name, data in found.items() if name.split("/")[0] not in ("runs", "logs", "damaged")
    }


def test_a_sound_workspace_is_healthy_and_untouched(ws: Workspace) -> None:
    before = tree(ws.root)
    assert check(ws).findings == check(ws, repair=True).findings == []
    assert tree(ws.root) == before
    assert not (ws.root / "damaged").exists()


def test_what_a_file_manager_leaves_is_no_damage(ws: Workspace) -> None:
    for folder in (ws.root / kind for kind in KINDS if (ws.root / kind).is_dir()):
        (folder / ".DS_Store").write_bytes(b"Bud1")
        (folder / ".DS_Store").chmod(0o600)
    assert check(ws).findings == []


def leave_behind(ws: Workspace) -> None:
    """What a killed run leaves, and more."""
    record = replace(ws.ledger.records()[-1], id="00099", outcome="running")
    (ws.root / "runs" / "00099.json").write_text(json.dumps(asdict(record)))
    with lease(ws.root / "LEASE") as held:
        owner = replace(held.owner, started="1")
    (ws.root / "LEASE").write_text(json.dumps(asdict(owner)))
    (ws.root / ".drafts" / "tables-x").mkdir(parents=True)
    (ws.root / ".drafts" / "tables-x" / "successors.npy").write_bytes(b"half")
    (ws.root / "runs" / ".00099.json.abc.part").write_text("{")
    (ws.root / "work").mkdir()
    (ws.root / "work" / "abc.npz").write_bytes(b"PK half a chunk")
    day = one(ws, "events/date=*/*.parquet")
    shutil.copy(day, day.with_name("0" * 32 + ".parquet"))
    counted = one(ws, "days/transitions/*.parquet")
    shutil.copy(counted, counted.with_name("0" * 32 + ".parquet"))


def test_what_a_dead_run_left_is_cleared_away(ws: Workspace) -> None:
    before = tree(ws.root)
    leave_behind(ws)
    looked = check(ws)
    assert [found.what for found in looked.findings] == [
        "unneeded counted day",
        "unneeded day of events",
        "stale lease",
        "leftover draft",
        "half-written file",
        "damaged chunk",
        "run that never ended",
    ]
    assert not any(found.damage for found in looked.findings)
    assert not looked.healthy
    done = check(ws, repair=True)
    assert done.healthy
    assert len(done.findings) == len(looked.findings)
    assert ws.ledger.get("00099").outcome == "interrupted"
    assert tree(ws.root) == before
    assert check(ws).findings == []


Damage = Callable[[Workspace], None]
REMADE: dict[str, tuple[Damage, str]] = {
    "a table's byte": (lambda ws: flip(table(ws, 2) / "successors.npy"), "damaged tables"),
    "a table cut off": (lambda ws: cut(table(ws, 2) / "fused.npy"), "damaged tables"),
    "a table's counts": (lambda ws: (table(ws, 2) / "counts" / "base.npy").unlink(), "damaged tables"),
    "a manifest": (lambda ws: flip(table(ws, 2) / "manifest.json"), "damaged tables"),
    "no manifest": (lambda ws: (table(ws, 2) / "manifest.json").unlink(), "tables without manifest.json"),
    "interests": (lambda ws: flip(one(ws, "interests/*/vectors.npy")), "damaged interests"),
    "the catalogue": (lambda ws: cut(one(ws, "items/*/items.parquet")), "damaged items"),
    "the assignment": (lambda ws: flip(one(ws, "assignments/*/assignment.parquet")), "damaged assignments"),
    "counts": (lambda ws: cut(one(ws, "transitions/*/days.json")), "damaged transitions"),
    "a counted day": (lambda ws: scramble(one(ws, "days/transitions/*.parquet")), "damaged counted day"),
    "no counted day": (
        lambda ws: one(ws, "days/transitions/*.parquet").unlink(),
        "transitions without a day",
    ),
}


@pytest.mark.parametrize("name", REMADE)
def test_a_damaged_artifact_is_set_aside_and_made_again(ws: Workspace, served: Workspace, name: str) -> None:
    damage, what = REMADE[name]
    damage(ws)
    looked = check(ws)
    assert what in [found.what for found in looked.findings]
    assert all(found.means for found in looked.findings)
    done = check(ws, repair=True)
    left = [found.what for found, ok in zip(done.findings, done.repaired, strict=True) if not ok]
    assert what not in left
    assert (ws.root / "damaged").is_dir()
    pipeline.refresh(ws, FIRST)  # the older table first: the newer one builds on it
    pipeline.refresh(ws, publish=True)
    same_content(ws, served)
    assert check(ws).findings == []
    assert open_release(ws).release.number == 2


def test_damaged_vectors_of_texts_are_set_aside_and_their_leftovers_deleted(ws: Workspace) -> None:
    folder = ws.root / PLACE / "wordllama-0"
    sound, hit = (write_part(folder, [bytes([i] * 16)], np.full((1, 4), 0.5, np.float32)) for i in range(2))
    flip(hit)
    (folder / f".aside.0{PART}").touch()
    found = check(ws)
    assert [(one.what, one.where, one.damage) for one in found.findings] == [
        ("damaged vectors of texts", hit.relative_to(ws.root).as_posix(), True),
        ("half-written file", f"{PLACE}/wordllama-0/.aside.0{PART}", False),
    ]
    assert check(ws, repair=True).healthy
    assert sorted(folder.iterdir()) == [sound]
    assert (ws.root / "damaged" / hit.relative_to(ws.root)).exists()


def test_an_encoder_that_is_not_there_is_told(ws: Workspace) -> None:
    settings = ws.root / "freshet.toml"
    settings.write_text(f'{settings.read_text()}\n[content]\nencoder = "transformers"\nmodel = "/nowhere"\n')
    found = check(open_workspace(ws.root)).findings
    assert [(one.what, one.where, one.repair) for one in found] == [
        ("encoder that can't be found", "freshet.toml", "")
    ]
    assert "/nowhere: there is no such folder" in found[0].means
    settings.write_text(settings.read_text().replace('"transformers"', '"wordllama"'))
    assert check(open_workspace(ws.root)).healthy


def test_damage_is_told_before_anything_is_published(ws: Workspace) -> None:
    flip(one(ws, "interests/*/vectors.npy"))
    with pytest.raises(ArtifactError, match=r"vectors\.npy is damaged") as told:
        pipeline.refresh(ws, FIRST.plus(2), publish=True)
    assert "freshet doctor" in told.value.hint
    assert ws.releases.pointer() == 2
    assert ws.releases.numbers() == [1, 2]


@pytest.mark.parametrize("text", [None, "", "two", "7\n"])
def test_a_lost_pointer_is_set_to_what_served_last(ws: Workspace, text: str | None) -> None:
    operations.roll_back(ws, 1)
    if text is None:
        (ws.root / "CURRENT").unlink()
    else:
        (ws.root / "CURRENT").write_text(text)
    with pytest.raises(ArtifactError):
        open_release(ws)
    assert [found.what for found in check(ws).findings] == ["nothing serves"]
    assert check(ws, repair=True).healthy
    assert open_release(ws).release.number == 1


def test_a_current_release_that_is_damaged_gives_way_to_the_one_before(ws: Workspace) -> None:
    flip(table(ws, 2) / "count.npy")
    assert [found.what for found in check(ws).findings] == ["damaged tables", "nothing serves"]
    assert ws.releases.pointer() == 2  # nothing was asked for
    check(ws, repair=True)
    assert open_release(ws).release.number == 1


def test_a_damaged_day_of_events_is_never_touched_and_can_be_imported_again(
    ws: Workspace, served: Workspace
) -> None:
    day = one(ws, "events/date=*/*.parquet")
    flip(day)
    done = check(ws, repair=True)
    assert [(found.what, found.repair) for found in done.findings] == [("damaged day of events", "")]
    assert "--replace" in done.findings[0].means
    assert day.exists()
    with pytest.raises(ArtifactError, match="damaged"):
        operations.import_log(ws, NOW)
    operations.import_log(ws, NOW, replace=True)
    assert check(ws).findings == []
    same_content(ws, served)


def test_a_damaged_snapshot_falls_back_and_its_days_are_kept(ws: Workspace) -> None:
    before = content(ws, ["events"])
    cut(one(ws, "events/log/*.json"))
    with pytest.raises(ArtifactError, match="damaged"):
        pipeline.refresh(ws)
    check(ws, repair=True)
    assert check(ws, repair=True).healthy  # again: what the lost snapshot named is no garbage
    operations.import_log(ws, NOW)
    assert content(ws, ["events"]) == before


def test_a_workspace_of_a_newer_freshet_is_left_alone(ws: Workspace) -> None:
    path = one(ws, "events/log/*.json")
    path.write_text(path.read_text().replace('"format":2', '"format":4'))
    done = check(ws, repair=True)
    assert [found.what for found in done.findings] == ["log of another Freshet"]
    assert "update this Freshet" in done.findings[0].means
    assert path.exists()


def test_damaged_ledger_entries_and_releases_are_set_aside(ws: Workspace) -> None:
    cut(ws.root / "runs" / "00001.json")
    cut(ws.root / "releases" / "1.json")
    with pytest.raises(ArtifactError, match=r"00001\.json is damaged"):
        ws.ledger.records()
    assert check(ws, repair=True).healthy
    assert (ws.root / "damaged" / "runs" / "00001.json").exists()
    assert ws.releases.numbers() == [2]
    pipeline.refresh(ws)


def test_a_damaged_decision_is_set_aside_and_read_from_the_ledger(ws: Workspace) -> None:
    operations.roll_back(ws, 1)
    [(rollback, _)] = ws.decisions.rollbacks()
    [path] = ws.decisions.paths()
    path.write_text("{")
    assert [(found.what, found.where) for found in check(ws).findings] == [
        ("damaged decision", f"decisions/{path.name}")
    ]
    assert check(ws, repair=True).healthy
    [(again, _)] = ws.decisions.rollbacks()
    assert (again.run, again.subject) == (rollback.run, rollback.subject)


def test_the_doctor_leaves_a_living_run_alone(ws: Workspace) -> None:
    leave_behind(ws)
    (ws.root / "LEASE").unlink()
    with lease(ws.root / "LEASE", "run"):
        looked = check(ws)
        assert "freshet run" in looked.writing
        assert looked.findings == []
        (ws.root / "CURRENT").write_text("?")
        with pytest.raises(Busy):
            check(ws, repair=True)


def test_what_vanishes_while_it_is_looked_at_is_no_error(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = ws.root / "work" / "gone.npz"
    assert size_of(gone) == 0
    found = leftover("draft", ws.root, gone, "")
    assert found.bytes == 0
    assert found.fix is not None
    found.fix()
    leave_behind(ws)
    chunks = [ws.root / "work" / "abc.npz", gone]
    real = Path.glob

    def listed(path: Path, pattern: str) -> list[Path]:
        return chunks if path == gone.parent else list(real(path, pattern))

    monkeypatch.setattr(Path, "glob", listed)
    assert [one.what for one in check(ws).findings].count("damaged chunk") == 1


@pytest.mark.parametrize("number", [None, 1])
@pytest.mark.parametrize("kind", ["table", "interests", "assignment"])
def test_there_is_no_way_back_to_a_release_that_can_not_be_opened(
    ws: Workspace, kind: str, number: int | None
) -> None:
    folder = getattr(parts_of(ws.store, ws.releases.get(1)), kind).folder
    flip(next(path for path in folder.iterdir() if path.suffix in (".npy", ".parquet")))
    runs = ws.ledger.paths()
    with pytest.raises(ArtifactError, match=r"release 1 can't serve: .*damaged") as told:
        operations.roll_back(ws, number)
    assert "freshet doctor" in told.value.hint
    shutil.rmtree(folder)
    with pytest.raises(ArtifactError, match=r"release 1 can't serve: .*is missing"):
        operations.roll_back(ws, number)
    assert ws.releases.pointer() == 2
    assert ws.ledger.paths() == runs


def test_a_chunk_that_a_run_will_continue_from_is_kept(ws: Workspace) -> None:
    (ws.root / "work").mkdir()
    whole = {
        "fingerprints": np.zeros((1, 16), np.uint8),
        "successors": np.zeros((1, 2)),
        "logp": np.zeros((1, 2)),
    }
    np.savez(ws.root / "work" / "abc.npz", **whole)
    assert check(ws).findings == []
    later = table(ws, 2) / "manifest.json"
    later.touch()
    assert [found.what for found in check(ws).findings] == ["stale chunk"]


@pytest.mark.parametrize("kind", ["transitions", "assignments"])
def test_a_release_that_lost_what_says_its_items_interests_can_not_be_opened(
    ws: Workspace, kind: str
) -> None:
    shutil.rmtree(ws.root / kind)
    assert "nothing serves" in [found.what for found in check(ws).findings]
    with pytest.raises(ArtifactError, match=f"can't serve: {kind}/.* is missing"):
        operations.roll_back(ws, 1)


def test_what_a_release_can_go_without_is_told_and_nothing_is_moved(ws: Workspace) -> None:
    release = replace(ws.releases.get(2), ranker="gone")
    write_json(ws.root / "releases" / "2.json", release.as_dict())
    shutil.rmtree(ws.root / "overlays" / release.overlay)
    assert missing_of(ws.store, release) == (f"overlays/{release.overlay}", "rankers/gone")
    assert [found.where for found in check(ws).findings] == list(missing_of(ws.store, release))
    check(ws, repair=True)
    assert ws.releases.pointer() == 2


def test_damaged_experiments_and_impressions_are_found_and_moved(served: Workspace, tmp_path: Path) -> None:
    ws = copied(served, tmp_path / "ws")
    arms = tuple(ExperimentArm(name, 0.5, Serves()) for name in ("a", "b"))
    whole = Experiment("whole", "salt", arms, 1.0, ("satisfied",), 0, 1)
    for name in ("whole", "broken"):
        ws.experiments.start(replace(whole, name=name))
    assert check(ws).healthy
    (ws.root / "experiments" / "broken" / "started.json").write_text('{"name": "broken"')
    ws.experiments.point("whole", "b", 1)
    ws.experiments.pointer_path("whole", "b").write_text("one")
    impressions = ws.root / "impressions" / "date=2024-02-11" / "x-1.parquet"
    impressions.parent.mkdir(parents=True)
    impressions.write_bytes(b"PAR1 and no end")
    found = check(ws)
    assert {(one.what, one.where) for one in found.findings} == {
        ("damaged experiment", "experiments/broken"),
        ("damaged release of an arm", "experiments/whole/b.release"),
        ("damaged file of impressions", "impressions/date=2024-02-11/x-1.parquet"),
    }
    assert check(ws, repair=True).healthy
    assert [one.name for one in ws.experiments.all()] == ["whole"]
    assert ws.experiments.pointer(whole, "b") == 1
