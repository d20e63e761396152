"""The folder of this machine in which a workspace of a bucket is worked on.

It is a workspace like any other; `.bucket/` in it says where it comes from, and what its files were when they
were last compared with the index. All of it can be deleted while nothing runs.

Not every file goes into the bucket: what serving remembers, caches, drafts and the results of replays stay
here (`LOCAL`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from freshet.core.errors import ArtifactError
from freshet.storage.checksums import MANIFEST, sha256
from freshet.storage.durable import PART, read_json, write_text
from freshet.storage.remote.bucket_index import Entry
from freshet.storage.remote.database_copies import DATABASE, SIDES, copy_of, stamp_of

FOLDER = ".bucket"
STATE, SHARED = "checkout.json", "artifacts.json"
LEASE = "LEASE"
LOCAL = frozenset(
    {
        LEASE,
        "SCHEDULER",
        "state",
        "cache",
        "replay",
        "cadence",
        "drift",
        "trainings",
        "damaged",
        "logs",
        "alerts",
    }
)
"""Names in a workspace that don't go into the bucket; nor does what begins with a dot."""
STAYING = frozenset({"work", "days"})
"""Folders whose files are named by, or hold, a checksum of what they were made of: those that the index
doesn't have yet are of use."""

Stamp = tuple[int, ...]
"""Of a file that has not changed: size, times, inode."""


class Checkout:
    """The files of this machine, and their contents by path.

    Args:
        root: of the workspace.
        folder: for what is known of its files; `.bucket` in it by default.
        local: names in the workspace that are not looked at.
    """

    def __init__(self, root: Path, folder: Path | None = None, local: frozenset[str] = LOCAL) -> None:
        self.root = root
        self._local = local
        self.folder = folder or root / FOLDER
        self._known: dict[str, tuple[Stamp, Entry]] = {}
        self._shared: frozenset[str] = frozenset()  # artifacts that the index had when it was last compared

    @property
    def _copies(self) -> Path:
        return self.folder / "copies"

    def load(self) -> None:
        """What the files were, as the last process left it; nothing where that can't be read."""
        self._known, self._shared = {}, frozenset()
        with suppress(ArtifactError, TypeError):
            self._shared = frozenset(read_json(self.folder / SHARED))
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            content = json.loads((self.folder / STATE).read_text(encoding="utf-8"))
            self._known = {
                path: (tuple(stamp), Entry(int(size), str(checksum)))
                for path, (stamp, size, checksum) in content.items()
            }

    def save(self, shared: Iterable[str] = ()) -> None:
        """Let the next process know what the files are, and which artifacts the index has."""
        if frozenset(shared) != self._shared:
            self._shared = frozenset(shared)
            write_text(self.folder / SHARED, json.dumps(sorted(self._shared)))
        content = {path: [stamp, entry.size, entry.sha256] for path, (stamp, entry) in self._known.items()}
        write_text(self.folder / STATE, json.dumps(content, separators=(",", ":")))

    def contents(self, *within: str) -> dict[str, Entry]:
        """What is in every file that belongs into the bucket; only changed ones are read.

        Args:
            within: names of folders in the workspace that alone are looked at; none = all.
        """
        found: dict[str, Entry] = {}
        for path, stamp in self._walk(within):
            known = self._known.get(path)
            if known is None or known[0] != stamp:
                file = self.root / path
                if path.endswith(DATABASE):
                    file = copy_of(file, self._copies)
                known = (stamp, Entry(file.stat().st_size, sha256(file)))
                self._known[path] = known
            found[path] = known[1]
        return found

    def source(self, path: str) -> Path:
        """The file that holds what `contents` found: the copy of a database that may be written to."""
        return self._copies / Path(path).name if path.endswith(DATABASE) else self.root / path

    def has(self, path: str, entry: Entry) -> bool:
        """Whether the file of a path has this content, by what is known of it."""
        known = self._known.get(path)
        return known is not None and known[1] == entry and known[0] == self._stamp(path)

    def note(self, path: str, entry: Entry) -> None:
        """The file of a path has this content now."""
        stamp = self._stamp(path)
        if stamp is not None:
            self._known[path] = (stamp, entry)

    def was_here(self, path: str) -> bool:
        """Whether a path had a file when the folder was last compared, or has been given one since."""
        return path in self._known

    def expect(self, path: str, entry: Entry) -> None:
        """A path had this file: where there is none now, it was deleted."""
        self._known.setdefault(path, ((), entry))

    def forget(self, path: str) -> None:
        """A path has no file."""
        self._known.pop(path, None)

    def forget_all_but(self, paths: Container[str]) -> None:
        """No other path has a file."""
        self._known = {path: known for path, known in self._known.items() if path in paths}

    def remove(self, path: str) -> None:
        """Delete a file, and the folders that are empty then."""
        self._known.pop(path, None)
        file = self.root / path
        file.unlink(missing_ok=True)
        if path.endswith(DATABASE):
            for side in SIDES:
                file.with_name(file.name + side).unlink(missing_ok=True)
        folder = file.parent
        with suppress(OSError):  # it isn't empty, or isn't there
            while folder != self.root:
                folder.rmdir()
                folder = folder.parent

    def sealed(self, path: str, known: Mapping[str, Entry]) -> bool:
        """Whether a file that the index doesn't have is of use: of a whole artifact, committed here.

        One that the index had before is none: it was deleted elsewhere.
        """
        top, *rest = path.split("/")
        if top in STAYING:
            return True
        if len(rest) < 2 or f"{top}/{rest[0]}/{MANIFEST}" in known or f"{top}/{rest[0]}" in self._shared:
            return False
        return _is_whole(self.root / top / rest[0])

    def _stamp(self, path: str) -> Stamp | None:
        try:
            return stamp_of(self.root / path)
        except FileNotFoundError:
            return None

    def _walk(self, within: tuple[str, ...]) -> Iterator[tuple[str, Stamp]]:
        tops = [self.root / name for name in within] if within else sorted(self.root.iterdir())
        for top in tops:
            if top.name in self._local or top.name.startswith("."):
                continue
            for folder, names, files in os.walk(top) if top.is_dir() else [(str(self.root), [], [top.name])]:
                names.sort()
                for name in sorted(files):
                    if name == LEASE or name.endswith((PART, *(DATABASE + side for side in SIDES))):
                        continue
                    file = Path(folder, name)
                    with suppress(FileNotFoundError):  # deleted meanwhile, such as a chunk of inference
                        yield file.relative_to(self.root).as_posix(), stamp_of(file)


def _is_whole(artifact: Path) -> bool:
    """Whether all files are there that its manifest names; what is in them is compared when it is opened."""
    try:
        names = read_json(artifact / MANIFEST)["files"]
        return all((artifact / name).is_file() for name in names)
    except (ArtifactError, OSError, KeyError, TypeError):
        return False
