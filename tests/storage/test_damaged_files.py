"""A file that was cut, changed or replaced is named in the error; nothing but a FreshetError comes of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from freshet.backends.local_store import LocalStore
from freshet.cli import app
from freshet.core.config import Config, load
from freshet.core.errors import FreshetError
from freshet.doctor import check
from freshet.http.api_keys import load_keys
from freshet.storage.checksums import forget
from freshet.storage.durable import read_json, write_text
from freshet.storage.experiment_registry import Experiments
from freshet.storage.release_parts import whole
from freshet.storage.releases import Releases
from freshet.storage.workspace import Workspace

INSTEAD: dict[str, Callable[[Path], object]] = {
    "nothing in it": lambda path: path.write_bytes(b""),
    "half of it": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00" * 50),
    "nested without end": lambda path: path.write_bytes(b"[" * 200_000),
    "a number without end": lambda path: path.write_bytes(b'{"a": ' + b"9" * 6000 + b"}"),
    "null": lambda path: path.write_bytes(b"null"),
    "a list": lambda path: path.write_bytes(b"[1, 2]"),
    "texts for numbers": lambda path: path.write_bytes(b'{"keys": "x", "number": "x", "format": "x"}'),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a link to itself": lambda path: (path.unlink(), path.symlink_to(path)),
}


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    ws = Workspace(tmp_path, Config(), LocalStore(tmp_path), None)
    with ws.store.create("tables", "v1") as draft:
        (draft.path / "a.npy").write_bytes(b"0123456789" * 10)
    ws.releases.publish("2024-01-01", "v1", "", "i", "00001")
    write_text(tmp_path / "freshet.toml", "[serving]\nexplore = 0.1\n")
    assert app.run(["keys", "add", "-w", str(tmp_path)]) == 0
    return ws


@pytest.mark.parametrize("damage", INSTEAD.values(), ids=INSTEAD)
def test_what_is_damaged_is_named(damage: Callable[[Path], object], ws: Workspace) -> None:
    def path_of() -> object:
        return whole(ws.store, "tables", "v1")

    readers: dict[str, Callable[[], object]] = {
        "tables/v1/a.npy": path_of,
        "tables/v1/manifest.json": path_of,
        "releases/1.json": lambda: ws.releases.get(1),
        "CURRENT": Releases(ws.root).current,
        "keys.json": lambda: load_keys(ws.root),
        "freshet.toml": lambda: load(ws.root / "freshet.toml"),
    }
    for name, read in readers.items():
        path = ws.root / name
        before = path.read_bytes()
        read()
        damage(path)
        forget()
        told = ""
        try:
            read()
        except FreshetError as error:
            told = error.message
            gone = {
                "tables/v1/manifest.json": "tables/v1 is missing",
                "releases/1.json": "there is no release 1",
            }
            assert name.removesuffix("/manifest.json") in told or gone.get(name) == told
        left = path.read_bytes() if path.is_file() else None
        harmless = left is not None and (name == "freshet.toml" or (name == "CURRENT" and left == before[:1]))
        first = name == "CURRENT" and path.is_symlink()  # as if nothing had ever served
        assert told or harmless or first, f"{name} was read all the same"
        check(ws)  # raises nothing
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_bytes(before)


def test_the_doctor_names_damaged_keys_and_leaves_them(ws: Workspace) -> None:
    path = ws.root / "keys.json"
    path.write_bytes(path.read_bytes()[:20])
    [finding] = [found for found in check(ws).findings if found.what == "damaged keys"]
    assert finding.repair == ""
    check(ws, repair=True)
    assert path.exists()  # without it a service would ask nobody for a key


def test_json_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for name, damage in INSTEAD.items():
        if name in ("null", "a list", "texts for numbers"):
            continue
        path.write_text('{"a": 1}')
        damage(path)
        with pytest.raises(FreshetError, match=r"x\.json"):
            read_json(path)
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)


def test_the_release_of_an_arm_is_told(tmp_path: Path) -> None:
    from freshet.core.types import Experiment, ExperimentArm, Serves

    arms = (
        ExperimentArm("a", 0.5, Serves(None, "published")),
        ExperimentArm("b", 0.5, Serves(1, "published")),
    )
    one = Experiment("x", "salt", arms, 1.0, ("satisfied",), 5, 1, 7, True)
    experiments = Experiments(tmp_path)
    experiments.start(one)
    experiments.point("x", "a", 3)
    assert experiments.pointer(one, "a") == 3
    for text in (b"\xff", b"", b"3.5", b"-1", b"../1"):
        experiments.pointer_path("x", "a").write_bytes(text)
        with pytest.raises(FreshetError, match="is damaged"):
            experiments.pointer(one, "a")


@pytest.mark.parametrize("said", ["[]", "{}", '{"generation": Infinity}', '{"generation": []}', "{"])
def test_a_damaged_manifest_hides_no_other_version(said: str, ws: Workspace) -> None:
    with ws.store.create("tables", "v2") as draft:
        draft.manifest = {"as_of": "2024-01-02"}
    (ws.root / "tables" / "v1" / "manifest.json").write_text(said)
    assert ws.store.versions("tables") == ["v1", "v2"]


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("seconds", "long", "seconds"),
        ("money", float("nan"), "money"),
        ("started", "yesterday", "yesterday"),
        ("started", "2024-01-01T00:00:00", "no zone"),
        ("steps", [{"name": "table", "details": []}], "details"),
        ("steps", {"a": 1}, "steps"),
        ("window", ["2024-01-01"], "window"),
        ("waiting", "a model", "waiting"),
        ("id", "../00002", "of run"),
        ("added_by_a_newer_one", 1, "added_by_a_newer_one"),
    ],
)
def test_a_record_of_other_types_is_named(ws: Workspace, key: str, value: object, told: str) -> None:
    with ws.run("import") as run:
        pass
    path = ws.root / "runs" / f"{run.record.id}.json"
    path.write_text(json.dumps(read_json(path) | {key: value}))
    with pytest.raises(FreshetError, match=told) as refused:
        ws.ledger.records()
    assert str(path) in refused.value.message
    assert refused.value.hint


def test_the_end_of_a_file_is_not_taken_for_somebody_who_interrupts(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ended(*_: object) -> None:
        raise EOFError("no data left in file")

    monkeypatch.setattr("freshet.inspect.history", ended)
    assert app.run(["history", "-w", str(ws.root)]) == 1
    assert "unexpected EOFError" in capsys.readouterr().err


@pytest.mark.parametrize("files", [None, [], "a", {"a.npy": 1}])
def test_a_sealed_manifest_without_checksums_is_named(ws: Workspace, files: object) -> None:
    path = ws.root / "tables" / "v1" / "manifest.json"
    rest = {**read_json(path), "files": files}
    del rest["seal"]
    seal = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(rest | {"seal": seal}))
    with pytest.raises(FreshetError, match=r"tables/v1/manifest\.json is damaged"):
        whole(ws.store, "tables", "v1")
    assert not check(ws).healthy
