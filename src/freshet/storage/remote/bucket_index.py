"""The index of a workspace in a bucket: which files it consists of, and what is in them.

The bucket holds three kinds of objects:

- `objects/ab/abcdef...`: the content of files, under its SHA-256. Never changed.
- `INDEX.json`: which path has which content. It is the whole state of the workspace, `CURRENT` and the
  releases included, and is swapped by one conditional write. So any change of many files happens at once.
- `LEASE.json`: who may write (`bucket_lease`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from uuid import uuid4

from freshet.core import safe_names as names
from freshet.core.errors import ArtifactError, WrongFormat
from freshet.core.ports import ObjectStore
from freshet.storage.checksums import MANIFEST

INDEX = "INDEX.json"
OBJECTS = "objects"
FORMAT = 1
_SHA = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """The content of a file: its bytes by number and by checksum."""

    size: int
    sha256: str

    @property
    def key(self) -> str:
        """Of the object that holds it."""
        return f"{OBJECTS}/{self.sha256[:2]}/{self.sha256}"


@dataclass(frozen=True)
class Index:
    """The files of a workspace.

    Attributes:
        files: by path.
        writer: token of the lease under which alone it may be swapped; '' before the first one.
        change: unlike that of any other index.
        tag: of the object that it was read from.
    """

    files: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    writer: str = ""
    change: str = field(default_factory=lambda: uuid4().hex)
    tag: str | None = None

    @cached_property
    def artifacts(self) -> dict[str, dict[str, Entry]]:
        """Files of every artifact by path, by `kind/version`."""
        found = {self.artifact_of(path): dict[str, Entry]() for path in self.files if _is_manifest(path)}
        for path, entry in self.files.items():
            if (name := self.artifact_of(path)) in found:
                found[name][path] = entry
        return found

    @staticmethod
    def artifact_of(path: str) -> str:
        """`kind/version`, if the path is of an artifact's file."""
        return "/".join(path.split("/")[:2])

    def is_fixed(self, path: str) -> bool:
        """Whether a path is of an artifact that is there, of which nothing ever changes."""
        return self.artifact_of(path) in self.artifacts

    def encode(self) -> bytes:
        files = {path: [entry.size, entry.sha256] for path, entry in sorted(self.files.items())}
        content = {"format": FORMAT, "writer": self.writer, "change": self.change, "files": files}
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def read_index(store: ObjectStore, where: str) -> Index | None:
    """The index as it is now; None where there is none.

    Args:
        where: of the workspace, for messages.

    Raises:
        ArtifactError: it is damaged.
        WrongFormat: another version of Freshet wrote it in another way.
    """
    found = store.get(INDEX)
    if found is None:
        return None
    try:
        content = json.loads(found.data)
        if content["format"] != FORMAT:
            theirs = names.shortened(content["format"])
            raise WrongFormat(
                f"{where}/{INDEX} has format {theirs}, this Freshet reads {FORMAT}",
                hint="update Freshet on this machine",
            )
        files = {_path(path): _entry(*entry) for path, entry in content["files"].items()}
        return Index(files, str(content["writer"]), str(content["change"]), found.tag)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(
            f"{where}/{INDEX} is damaged: {type(error).__name__}: {error}",
            hint="restore an earlier version of this object, where the bucket keeps them",
        ) from None


def _is_manifest(path: str) -> bool:
    return path.count("/") == 2 and path.endswith(f"/{MANIFEST}")


def _path(path: str) -> str:
    if path.startswith("."):  # what a folder of a workspace hides is its own
        raise ValueError(f"{names.shortened(path)} is no path of a workspace")
    return names.checked_path(path, "path of a workspace")


def _entry(size: object, sha256: object) -> Entry:
    if type(size) is not int or size < 0 or not isinstance(sha256, str) or not _SHA.fullmatch(sha256):
        raise ValueError(f"{names.shortened([size, sha256])} is no content")
    return Entry(size, sha256)
