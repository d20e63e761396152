"""Find or create: made once, found afterwards, and nothing where making failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from freshet.backends.local_store import LocalStore
from freshet.core.config import Config
from freshet.core.errors import ArtifactError
from freshet.storage.artifacts import Artifact, committed, newest
from freshet.storage.build_once import build_once, reuse
from freshet.storage.ledger import StepRecord
from freshet.storage.manifests import (
    FeedbackManifest,
    FromLog,
    FromModel,
    FromTransitions,
    SequenceManifest,
    TableManifest,
)
from freshet.storage.workspace import Workspace

TABLE = TableManifest(
    code=1,
    as_of="2024-03-01",
    k=2,
    rows=7,
    window=["2024-01-01", "2024-02-29"],
    settings={"top": [1, 2]},
    inputs=FromModel(transitions="t", interests="i", model="", previous=""),
    planner="",
)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, Config(), LocalStore(tmp_path), None)


def build(folder: Path, step: StepRecord) -> TableManifest:
    (folder / "rows").write_text("seven")
    step.details = {"rows": 7}
    return TABLE


def test_an_artifact_is_made_once_and_found_afterwards(ws: Workspace) -> None:
    with ws.run("test") as run:
        made = build_once(ws, run, "table", "tables", "v1", build)
        again = build_once(ws, run, "table", "tables", "v1", lambda *_: pytest.fail("made twice"))
    assert (made.path / "rows").read_text() == "seven"
    assert again == made
    first, second = ws.ledger.records()[-1].steps
    assert (first.name, first.artifact, first.cached, first.details) == (
        "table",
        "tables/v1",
        False,
        {"rows": 7},
    )
    assert (second.name, second.artifact, second.cached) == ("table", "tables/v1", True)


def test_what_fails_leaves_no_artifact_and_a_step_in_the_ledger(ws: Workspace) -> None:
    def fail(folder: Path, step: StepRecord) -> TableManifest:
        (folder / "rows").write_text("half")
        raise RuntimeError("no power")

    with pytest.raises(RuntimeError, match="no power"), ws.run("test") as run:
        build_once(ws, run, "table", "tables", "v1", fail)
    assert ws.store.find("tables", "v1") is None
    assert [step.artifact for step in ws.ledger.records()[-1].steps] == ["tables/v1"]
    with pytest.raises(ArtifactError, match="tables/v1 is missing"):
        committed(ws.store, "tables", "v1")


def test_an_artifact_of_before_is_recorded_as_found(ws: Workspace) -> None:
    with ws.run("test") as run:
        made = build_once(ws, run, "table", "tables", "v1", build)
        assert reuse(run, "other", made) is made
    step = ws.ledger.records()[-1].steps[-1]
    assert (step.name, step.artifact, step.cached) == ("other", "tables/v1", True)


def make(ws: Workspace, version: str, **manifest: object) -> None:
    with ws.store.create("interests", version) as draft:
        draft.manifest = manifest


def test_the_newest_that_fits_is_by_moment_then_generation_then_version(ws: Workspace) -> None:
    make(ws, "z", as_of="2024-01-01", generation=1, good=True)
    make(ws, "a", as_of="2024-01-01", generation=2, good=True)
    make(ws, "m", as_of="2024-02-01", generation=1, good=False)

    def version(found: Artifact | None) -> str:
        return found.version if found else ""

    assert version(newest(ws.store, "interests")) == "m"
    assert version(newest(ws.store, "interests", lambda one: one.manifest["good"])) == "a"
    assert version(newest(ws.store, "interests", lambda one: one.manifest["generation"] > 2)) == ""
    assert version(newest(ws.store, "tables")) == ""


def test_a_manifest_comes_back_as_it_was_stored(ws: Workspace) -> None:
    with ws.run("test") as run:
        made = build_once(ws, run, "table", "tables", "v1", build)
    assert TableManifest.of(made) == TABLE
    stored = json.loads((made.folder / "manifest.json").read_text())
    assert set(stored) - {"kind", "version", "format", "files", "seal"} == set(TABLE.as_dict())
    assert stored["inputs"] == {"transitions": "t", "interests": "i", "model": "", "previous": ""}


def test_what_an_artifact_lacks_is_left_out_of_its_manifest() -> None:
    with_sequence = FromModel(transitions="t", interests="i", model="", previous="", sequence="s")
    assert with_sequence.sequence == "s"
    feedback = FeedbackManifest(
        code=1,
        as_of="2024-03-01",
        settings={},
        inputs=FromLog(transitions="t", interests="i", events="e"),
        pays=False,
        why="too few rows",
    )
    assert sorted(feedback.as_dict()) == ["as_of", "code", "inputs", "pays", "settings", "why"]


def test_numbers_are_stored_as_they_are() -> None:
    manifest = SequenceManifest(
        as_of="2024-03-01",
        settings={},
        inputs=FromTransitions(transitions="t", interests="i"),
        trainings={"early": {"steps": 3, "stopped_after": None}},
        trained_before={"early": "2024-02-01"},
        passes=2,
    )
    assert json.dumps(manifest.as_dict()["passes"]) == "2"  # the file of an earlier version has it so


def test_a_manifest_that_lacks_something_is_refused_with_its_name(ws: Workspace) -> None:
    with ws.store.create("tables", "v1") as draft:
        draft.manifest = TABLE.as_dict() | {"inputs": {"transitions": "t"}}
    with pytest.raises(ArtifactError, match=r"tables/v1.*inputs\.interests"):
        TableManifest.of(committed(ws.store, "tables", "v1"))
