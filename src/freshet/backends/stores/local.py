"""Artifacts in a local folder: written aside, checksummed, moved into place by one rename."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from freshet.errors import ArtifactError
from freshet.ports import Artifact, Draft

MANIFEST = "manifest.json"


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class LocalStore:
    """The default store. An artifact is `<root>/<kind>/<version>/` with `manifest.json` inside.

    A draft is written to `<root>/.drafts/` and renamed when complete; a crash leaves a draft behind, which
    nothing reads.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, kind: str, version: str) -> Artifact | None:
        path = self.root / kind / version
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ArtifactError(
                f"{path / MANIFEST} is damaged: {error}", hint="delete the folder; the step will run again"
            ) from None
        return Artifact(kind, version, path, manifest)

    @contextmanager
    def create(self, kind: str, version: str) -> Iterator[Draft]:
        draft = Draft(self.root / ".drafts" / f"{kind}-{version}-{uuid4().hex[:8]}", {})
        draft.path.mkdir(parents=True)
        try:
            yield draft
            files = sorted(path for path in draft.path.rglob("*") if path.is_file())
            manifest = {
                "kind": kind,
                "version": version,
                **draft.manifest,
                "files": {path.relative_to(draft.path).as_posix(): _checksum(path) for path in files},
            }
            (draft.path / MANIFEST).write_text(
                json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
            )
            final = self.root / kind / version
            final.parent.mkdir(parents=True, exist_ok=True)
            if not (final / MANIFEST).exists():
                if final.exists():  # a folder without manifest: never valid, left by hand or by a crash
                    shutil.rmtree(final)
                draft.path.rename(final)
        finally:
            shutil.rmtree(draft.path, ignore_errors=True)

    def versions(self, kind: str) -> list[str]:
        folder = self.root / kind
        if not folder.exists():
            return []
        found = [path for path in folder.iterdir() if (path / MANIFEST).exists()]
        return [path.name for path in sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))]

    def verify(self, artifact: Artifact) -> None:
        """Compare every file with its checksum.

        Raises:
            ArtifactError: a file is missing or differs.
        """
        for name, expected in artifact.manifest["files"].items():
            path = artifact.path / name
            if not path.exists() or _checksum(path) != expected:
                raise ArtifactError(
                    f"{path} is {'damaged' if path.exists() else 'missing'}",
                    hint=f"delete {artifact.path}; the step will run again",
                )
