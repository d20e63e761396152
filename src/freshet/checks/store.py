"""What every store promises."""

from __future__ import annotations

from typing import Any

from freshet.core.errors import ArtifactError
from freshet.storage.artifacts import Store

_KIND = "checks"


class _Interrupted(Exception):
    """Stands for whatever may go wrong while an artifact is written."""


def check_store(store: Store) -> None:
    """Run an empty store through its port's contract; leaves artifacts of the kind `checks` behind.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    assert store.find(_KIND, "a") is None, "an artifact was found in an empty store"
    assert store.versions(_KIND) == [], "an empty store lists versions"
    _check_round_trip(store)
    _check_failed_draft(store)
    _check_immutable(store)
    _check_versions(store)
    _check_damage(store)


def _check_round_trip(store: Store) -> None:
    """Files and manifest come back as written, and only after the block has ended."""
    written = {"inputs": {"events": "é🎬 'quoted'"}, "rows": 3, "share": 0.1, "none": None, "list": [1]}
    with store.create(_KIND, "a") as draft:
        draft.manifest.update(written)
        (draft.path / "deep" / "er").mkdir(parents=True)
        (draft.path / "deep" / "er" / "data.bin").write_bytes(bytes(range(256)))
        (draft.path / "empty").write_bytes(b"")
        assert store.find(_KIND, "a") is None, "a draft was visible before it was committed"
        assert store.versions(_KIND) == [], "a draft was listed before it was committed"
    found = store.find(_KIND, "a")
    assert found is not None, "a committed artifact was not found"
    assert (found.kind, found.version) == (_KIND, "a"), f"found {found.kind}/{found.version}"
    for key, value in written.items():
        assert found.manifest.get(key) == value, f"manifest[{key!r}] did not survive"
    data = (found.path / "deep" / "er" / "data.bin").read_bytes()
    assert data == bytes(range(256)), "a file's bytes did not survive"
    assert (found.path / "empty").read_bytes() == b"", "an empty file did not survive"
    files = found.manifest.get("files", {})
    assert set(files) == {"deep/er/data.bin", "empty"}, f"manifest lists files {sorted(files)}"


def _check_failed_draft(store: Store) -> None:
    """A draft whose block raises leaves nothing, and the error reaches the caller."""
    raised = False
    try:
        with store.create(_KIND, "broken") as draft:
            (draft.path / "half").write_text("written before the error")
            path = draft.path
            raise _Interrupted
    except _Interrupted:
        raised = True
    assert raised, "the store swallowed the error of a draft's block"
    assert store.find(_KIND, "broken") is None, "a failed draft became an artifact"
    assert "broken" not in store.versions(_KIND), "a failed draft is listed"
    assert not path.exists(), f"a failed draft left {path} behind"


def _check_immutable(store: Store) -> None:
    """Creating an existing version again changes nothing."""
    before = store.find(_KIND, "a")
    with store.create(_KIND, "a") as draft:
        draft.manifest["rows"] = 4
        (draft.path / "empty").write_text("not empty any more")
    after = store.find(_KIND, "a")
    assert before is not None, "an artifact vanished"
    assert after is not None, "an artifact vanished when its version was created again"
    assert after.manifest == before.manifest, "an existing version's manifest was overwritten"
    assert (after.path / "empty").read_bytes() == b"", "an existing version's file was overwritten"


def _check_versions(store: Store) -> None:
    """Versions of a kind are listed by what their manifests say, kinds apart from each other."""
    written: dict[str, dict[str, Any]] = {
        "d": {"as_of": "2024-01-02"},
        "c": {"as_of": "2024-01-01", "generation": 2},
        "e": {"as_of": "2024-01-01", "generation": 1},
        "b": {"as_of": "2024-01-02"},
    }
    for version, manifest in written.items():
        with store.create(_KIND, version) as draft:
            draft.manifest.update(manifest)
            (draft.path / "name").write_text(version)
    with store.create(f"{_KIND}-other", "z"):
        pass
    listed = store.versions(_KIND)
    expected = ["a", "e", "c", "b", "d"]
    assert listed == expected, f"versions {listed}: expected {expected}, oldest first"
    other = store.find(f"{_KIND}-other", "z")
    assert other is not None, "an artifact without files was not found"
    assert store.find(_KIND, "z") is None, "an artifact was found under another kind"


def _check_damage(store: Store) -> None:
    """Whoever asks for an artifact's files gets whole ones or an error."""
    with store.create(_KIND, "damaged") as draft:
        (draft.path / "data").write_bytes(b"as written")
    found = store.find(_KIND, "damaged")
    assert found is not None, "a committed artifact was not found"
    (found.folder / "data").write_bytes(b"as the disk has it now")
    again = store.find(_KIND, "damaged")
    assert again is not None, "a damaged artifact vanished"
    try:
        path = again.path
    except ArtifactError:
        return
    raise AssertionError(f"a damaged file in {path} was given out")
