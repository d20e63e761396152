"""Workspaces that released versions made: opened, served, refreshed, upgraded and rolled back by today's code."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from freshet import doctor, operations, pipeline
from freshet.storage import checksums, manifests, workspace_format
from freshet.storage.ledger import Record, StepRecord
from freshet.storage.release_parts import missing_of
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace
from freshet.upgrades import upgrade
from freshet.upgrades.readable import MANIFESTS
from freshet.wiring import open_workspace
from tests.fixtures import make

FIXTURES = Path(make.__file__).parent
VERSIONS = sorted(path.parent.name for path in FIXTURES.glob(f"*/{make.NAME}"))
FORMATS = FIXTURES / "formats.json"
ROOT = Path(__file__).parents[2]


@pytest.fixture(params=VERSIONS)
def released(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    with tarfile.open(FIXTURES / request.param / make.NAME) as archive:
        archive.extractall(tmp_path, filter="data")
    checksums.forget()
    return open_workspace(tmp_path / "shop")


def expected(ws: Workspace) -> dict[str, Any]:
    return dict(json.loads((ws.root.parent / "expected.json").read_text()))


def same(found: dict[str, Any], then: dict[str, Any]) -> None:
    """Interests and items in their order; scores up to rounding on another machine."""
    assert found["answers"].keys() == then["answers"].keys()
    for user, offers in then["answers"].items():
        now = found["answers"][user]
        assert [[one[0], *one[2:]] for one in now] == [[one[0], *one[2:]] for one in offers], user
        assert [one[1] for one in now] == pytest.approx([one[1] for one in offers], abs=2e-5)


@pytest.mark.slow
def test_everything_opens_and_it_answers_as_it_did(released: Workspace) -> None:
    kinds = 0
    for kind, manifest in MANIFESTS.items():
        for version in released.store.versions(kind):
            artifact = released.store.find(kind, version)
            assert artifact is not None
            assert artifact.path.is_dir()
            manifest.of(artifact)
            kinds += 1
    assert kinds > 30
    assert [record.outcome for record in released.ledger.records()]
    assert [one.name for one in released.experiments.running()] == ["try"]
    assert [one for one in doctor.check(released).findings if one.damage] == []
    same(make.answers(released.root), expected(released))


@pytest.mark.slow
def test_it_is_upgraded_and_goes_on(released: Workspace) -> None:
    assert upgrade(released).after == workspace_format.CURRENT
    assert upgrade(released).run == ""
    same(make.answers(released.root), expected(released))
    ws = open_workspace(released.root)
    for number in ws.releases.numbers():
        operations.roll_back(ws, number)
        assert missing_of(ws.store, ws.releases.get(number)) == ()
        make.answers(ws.root)
    operations.roll_back(ws, max(ws.releases.numbers()))
    before = ws.releases.numbers()
    pipeline.refresh(ws, publish=True)
    assert ws.releases.numbers() > before
    assert [one for one in doctor.check(ws).findings if one.damage] == []


STORED = (
    Release,
    Record,
    StepRecord,
    *manifests.Manifest.__subclasses__(),
    *manifests.Trained.__subclasses__(),
)


def formats() -> dict[str, dict[str, Any]]:
    """Format constants by module, and fields that what is stored must have."""
    constants = {}
    for path in sorted((ROOT / "src" / "freshet").rglob("*.py")):
        named = re.findall(
            r"^(?:ABOUT, KEY, )?(_?[A-Z_]*FORMAT[A-Z_]*)\b.*= ", path.read_text(), re.MULTILINE
        )
        if named and path.name != "workspace_format.py":
            module = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
            for name in named:
                value = getattr(importlib.import_module(module), name, None)
                if isinstance(value, int | bytes):
                    constants[f"{module}.{name}"] = value if isinstance(value, int) else value.decode()
    needed = {
        type_.__name__: sorted(
            field.name
            for field in dataclasses.fields(type_)
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        for type_ in STORED
    }
    return {"constants": constants, "needed": needed}


def test_a_format_that_changes_has_a_migration() -> None:
    """What is stored in another way, or has to have a field that it did not have, can't be read any more."""
    stored = json.loads(FORMATS.read_text())
    told = (
        "how something is stored has changed: add a migration (freshet.upgrades), raise "
        "workspace_format.CURRENT, and write formats.json anew with the new format in it"
    )
    now = formats()
    for part, known in stored["formats"].items():
        new = {name: now[part][name] for name in known if name in now[part]}
        assert new == known, told
        assert sorted(set(known) - set(now[part])) == [], told
    assert stored["workspace"] == workspace_format.CURRENT


def test_a_change_without_a_migration_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freshet.backends.local_store.FORMAT", 2)
    with pytest.raises(AssertionError, match="add a migration"):
        test_a_format_that_changes_has_a_migration()
