"""An object store in a folder of this machine, such as a disk that is mounted there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from freshet.core.errors import StoreUnreachable
from freshet.core.ports import Listed, Stored
from freshet.core.safe_names import checked_path
from freshet.storage.durable import PART, locked, written


class FolderStore:
    """Objects as files below a folder (`freshet.core.ports.ObjectStore`); a tag is a hash of the content.

    Args:
        root: made when the first object is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, key: str) -> Stored | None:
        try:
            data = self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unreachable(error) from None
        return Stored(data, self._tag(key, data))

    def tag(self, key: str) -> str | None:
        found = self.get(key)
        return None if found is None else found.tag

    def put_new(self, key: str, data: bytes) -> str | None:
        try:
            with written(self._path(key), exclusive=True) as aside:
                aside.write_bytes(data)
        except OSError as error:
            if self._path(key).is_file():
                return None
            raise self._unreachable(error) from None
        return self._tag(key, data)

    def replace(self, key: str, data: bytes, tag: str) -> str | None:
        if not self._path(key).exists():
            return None
        with locked(self._path(key).parent):
            if self.tag(key) != tag:
                return None
            try:
                with written(self._path(key)) as aside:
                    aside.write_bytes(data)
            except OSError as error:
                raise self._unreachable(error) from None
        return self._tag(key, data)

    def upload(self, path: Path, key: str) -> None:
        try:
            with written(self._path(key)) as aside:
                shutil.copyfile(path, aside)
        except OSError as error:
            raise self._unreachable(error) from None

    def download(self, key: str, path: Path) -> bool:
        try:
            shutil.copyfile(self._path(key), path)
        except FileNotFoundError:
            return False
        return True

    def listed(self, prefix: str) -> Iterator[Listed]:
        for folder, _, names in os.walk(self.root / prefix):
            for name in names:
                file = Path(folder, name)
                if not name.endswith(PART):
                    with suppress(FileNotFoundError):
                        found = file.stat()
                        key = file.relative_to(self.root).as_posix()
                        yield Listed(key, found.st_size, found.st_mtime)

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.root / checked_path(key, "key of an object")

    def _tag(self, key: str, data: bytes) -> str:
        return hashlib.sha256(key.encode() + b"\0" + data).hexdigest()[:32]

    def _unreachable(self, error: OSError) -> StoreUnreachable:
        return StoreUnreachable(
            f"{self.root} can't be used: {error.strerror}", hint="see to the disk and its permissions"
        )
