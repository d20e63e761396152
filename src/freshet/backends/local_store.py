"""Artifacts in a local folder: written aside, checksummed, forced to the disk, moved into place at once."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from freshet.core import safe_names as names
from freshet.core.errors import ArtifactError
from freshet.storage.artifacts import Artifact, Draft
from freshet.storage.checksums import MANIFEST, check_format, sha256
from freshet.storage.durable import make_folder, move_folder, read_json

DRAFTS = ".drafts"
FORMAT = 1
"""Raised when what is stored changes its meaning."""


class LocalStore:
    """The default store. An artifact is `<root>/<kind>/<version>/` with `manifest.json` inside.

    A draft is written to `<root>/.drafts/` and renamed when complete; a crash leaves a draft behind, which
    nothing reads.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, kind: str, version: str) -> Artifact | None:
        path = self._place(kind, version)
        if not (path / MANIFEST).exists():
            return None
        manifest = read_json(path / MANIFEST)
        if isinstance(manifest, dict):
            check_format(path, manifest.get("format", 0), FORMAT)
        if not isinstance(manifest, dict) or not _is_sound(manifest):
            raise ArtifactError(
                f"{path / MANIFEST} is damaged: its checksum differs",
                hint="`freshet doctor --repair` moves the artifact aside; the next run makes it again",
            )
        return Artifact(kind, version, path, manifest)

    @contextmanager
    def create(self, kind: str, version: str) -> Iterator[Draft]:
        final = self._place(kind, version)
        draft = Draft(self.root / DRAFTS / f"{kind}-{version}-{uuid4().hex[:8]}", {})
        make_folder(draft.path)
        try:
            yield draft
            write_manifest(kind, version, draft)
            if not (final / MANIFEST).exists():
                if final.exists():  # a folder without manifest: never valid, left by hand or by a crash
                    shutil.rmtree(final)
                move_folder(draft.path, final)
        finally:
            shutil.rmtree(draft.path, ignore_errors=True)

    def versions(self, kind: str) -> list[str]:
        folder = self.root / kind
        if not folder.exists():
            return []
        found = [path for path in folder.iterdir() if (path / MANIFEST).exists() and names.is_name(path.name)]
        return [path.name for path in sorted(found, key=_age)]

    def _place(self, kind: str, version: str) -> Path:
        names.checked(kind, "kind of artifact")
        return self.root / kind / names.checked(version, "version of an artifact")


def _age(artifact: Path) -> tuple[str, int, str]:
    """Orders artifacts from old to new by what their manifests say: times of files are lost in a copy."""
    try:
        manifest = read_json(artifact / MANIFEST)
        return str(manifest.get("as_of", "")), int(manifest.get("generation", 0)), artifact.name
    # whoever opens it gets an error that says what is wrong
    except (ArtifactError, AttributeError, TypeError, ValueError, OverflowError):
        return "", 0, artifact.name


def write_manifest(kind: str, version: str, draft: Draft) -> None:
    """Describe a draft, its files with their checksums, in a manifest that carries its own."""
    files = sorted(path for path in draft.path.rglob("*") if path.is_file())
    content = {
        "kind": kind,
        "version": version,
        "format": FORMAT,
        **draft.manifest,
        "files": {path.relative_to(draft.path).as_posix(): sha256(path) for path in files},
    }
    manifest = json.loads(json.dumps(content))  # as it will be read: no tuples, no keys but text
    manifest["seal"] = _seal(manifest)
    text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    (draft.path / MANIFEST).write_text(text, encoding="utf-8")


def _is_sound(manifest: dict[str, Any]) -> bool:
    """It is as it was sealed, and names files with checksums."""
    files = manifest.get("files")
    named = isinstance(files, dict) and all(isinstance(one, str) for one in files.values())
    return named and manifest.get("seal") == _seal(manifest)


def _seal(manifest: dict[str, Any]) -> str:
    """Checksum of everything else the manifest says."""
    rest = {key: value for key, value in manifest.items() if key != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
