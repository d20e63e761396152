"""What a backup consists of: `backups/<id>.json` beside the objects, written last and once.

objects/ab/abcdef...   contents under the SHA-256 of what is stored; several backups share them
backups/<id>.json      which file of the workspace is in which object
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from freshet.backups.contents import Kind
from freshet.core import safe_names as names
from freshet.core.errors import ArtifactError, ConfigError, WrongFormat
from freshet.core.ports import ObjectStore

FOLDER = "backups"
OBJECTS = "objects"
FORMAT = 1
_SHA = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of the workspace and the object that keeps it.

    Attributes:
        size, sha256: of the file.
        stored, object: of the object: bytes and SHA-256.
        slot: of the key where all of it is under one; -1 = it is not.
    """

    kind: Kind
    size: int
    sha256: str
    stored: int
    object: str
    slot: int = -1

    @property
    def key(self) -> str:
        """Of the object."""
        return f"{OBJECTS}/{self.object[:2]}/{self.object}"


@dataclass(frozen=True)
class BackupIndex:
    """A backup.

    Attributes:
        id: by which backups are in order of time.
        made: moment (ISO, UTC).
        workspace: where it lay.
        keys: `UserKeys.id` of what is encrypted in it; '' where nothing is.
        version: of Freshet.
        files: by path.
        marks: `UserKeys.marks` of the keys; none in those of earlier versions.
    """

    id: str
    made: str
    workspace: str
    keys: str
    version: str
    files: Mapping[str, Kept]
    marks: Mapping[int, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        files = {
            path: [one.kind.value, one.size, one.sha256, one.stored, one.object, one.slot]
            for path, one in sorted(self.files.items())
        }
        about = {name: getattr(self, name) for name in ("id", "made", "workspace", "keys", "version")}
        content = {"format": FORMAT, **about, "marks": dict(self.marks), "files": files}
        return json.dumps(content, separators=(",", ":")).encode()


def listed(store: ObjectStore) -> list[str]:
    """Ids of all backups, oldest first."""
    keys = (one.key for one in store.listed(FOLDER))
    found = (key.removeprefix(f"{FOLDER}/") for key in keys)
    return sorted(name.removesuffix(".json") for name in found if name.endswith(".json") and "/" not in name)


def read(store: ObjectStore, id: str, where: str) -> BackupIndex:
    """A backup.

    Args:
        where: the place, for messages.

    Raises:
        ConfigError: there is none of this id.
        ArtifactError: its index is damaged.
        WrongFormat: another version of Freshet wrote it in another way.
    """
    found = store.get(f"{FOLDER}/{names.checked(id, 'id of a backup')}.json")
    if found is None:
        known = listed(store)
        raise ConfigError(
            f"there is no backup {id} at {where}", hint=f"backups: {', '.join(known[-5:]) or 'none'}"
        )
    try:
        content: dict[str, Any] = json.loads(found.data)
        if content["format"] != FORMAT:
            raise WrongFormat(
                f"backup {id} at {where} has format {names.shortened(content['format'])}, this Freshet "
                f"reads {FORMAT}",
                hint="update this Freshet",
            )
        files = {
            names.checked_path(path, "path of a workspace"): _kept(*kept)
            for path, kept in content["files"].items()
        }
        about = {name: str(content[name]) for name in ("id", "made", "workspace", "keys", "version")}
        marks = {int(slot): str(mark) for slot, mark in content.get("marks", {}).items()}
        return BackupIndex(**about, files=files, marks=marks)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(
            f"backup {id} at {where} is damaged: {type(error).__name__}: {error}",
            hint="restore an earlier one: --backup",
        ) from None


def _kept(kind: str, size: int, sha256: str, stored: int, object: str, slot: int) -> Kept:
    numbers_fit = all(type(number) is int for number in (size, stored, slot))
    if not numbers_fit or not _SHA.fullmatch(object) or not _SHA.fullmatch(sha256):
        raise ValueError("an entry names no content")
    return Kept(Kind(kind), size, sha256, stored, object, slot)
