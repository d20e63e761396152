"""Files that others read: in a folder, or below a prefix of a bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from freshet.core.errors import ExportError
from freshet.core.ports import FilePlace, ObjectStore
from freshet.storage.durable import PART, move_file, sync, write_text
from freshet.storage.permissions import their_umask

DRAFT = ".export-"
"""How names of folders begin in which files are made."""

_TRIES = 20
"""Times that a pointer is written in a bucket while others write it, too."""


class FolderPlace:
    """A folder of this machine; what is written may be read by all whom the umask lets."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = str(root)
        self.scratch: Path | None = root

    def take(self, file: Path, name: str) -> None:
        """Move a file into place; it must lie on the same disk, as those in `scratch` do."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        file.chmod(0o666 & ~their_umask())
        move_file(file, path)

    def read(self, name: str) -> bytes | None:
        """A small file."""
        try:
            return (self.root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def put(self, name: str, content: bytes) -> None:
        """Write a small file in one step."""
        write_text(self.root / name, content.decode(), private=False)

    def names(self, prefix: str) -> list[str]:
        """Of all files whose names begin so; nothing else of the folder is looked at."""
        found = [path for one in self.root.glob(f"{prefix}*") for path in (one, *one.rglob("*"))]
        return [path.relative_to(self.root).as_posix() for path in found if path.is_file()]

    def remove(self, names: Sequence[str]) -> None:
        """Remove files, and folders that are empty then."""
        for name in names:
            path = self.root / name
            path.unlink(missing_ok=True)
            if path.parent != self.root and path.parent.is_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()


class BucketPlace:
    """Objects of a store."""

    def __init__(self, store: ObjectStore, name: str) -> None:
        self._store = store
        self.name = name
        self.scratch: Path | None = None

    def take(self, file: Path, name: str) -> None:
        """Upload a file; an object appears whole or not at all."""
        self._store.upload(file, name)

    def read(self, name: str) -> bytes | None:
        """A small object."""
        found = self._store.get(name)
        return found.data if found is not None else None

    def put(self, name: str, content: bytes) -> None:
        """Write a small object over what is there."""
        for _ in range(_TRIES):
            found = self._store.get(name)
            if found is None:
                tag = self._store.put_new(name, content)
            elif found.data == content:
                return
            else:
                tag = self._store.replace(name, content, found.tag)
            if tag is not None:
                return
        raise ExportError(f"{self.name}/{name} is written by others all the time", hint="who exports there?")

    def names(self, prefix: str) -> list[str]:
        """Of all objects whose names begin so."""
        return [one.key for one in self._store.listed("") if one.key.startswith(prefix)]

    def remove(self, names: Sequence[str]) -> None:
        """Delete objects."""
        self._store.delete(names)


@contextmanager
def scratch_of(place: FilePlace) -> Iterator[Path]:
    """A folder for files that are being made, which vanishes at the end.

    Raises:
        ExportError: the place can't be written.
    """
    try:
        if place.scratch is not None:
            place.scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=DRAFT, suffix=PART, dir=place.scratch) as folder:
            yield Path(folder)
            if place.scratch is not None:
                sync(place.scratch)
    except OSError as error:
        raise ExportError(
            f"{place.name} can't be written: {error.strerror or error}",
            hint="see to its permissions, and to the disk",
            retryable=True,
        ) from error


def leftovers(place: FilePlace) -> list[str]:
    """Files that exports which died have left."""
    found = place.names(DRAFT) if place.scratch is not None else []
    return [name for name in found if name.partition("/")[0].endswith(PART)]
