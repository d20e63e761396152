"""Where backups lie: a folder of this machine, or a bucket."""

from __future__ import annotations

from pathlib import Path

from freshet.backends.object_stores.folder_store import FolderStore
from freshet.backends.object_stores.obstore_store import ObstoreStore
from freshet.core.errors import ConfigError
from freshet.core.ports import ObjectStore
from freshet.storage.workspace import Workspace
from freshet.wiring_buckets import checked_url, is_url


def backup_place(place: str) -> ObjectStore:
    """The store of a folder or a URL.

    Raises:
        ConfigError: it is no URL of a bucket, or no folder.
        MissingExtra: the client of buckets is not installed.
    """
    if is_url(place):
        return ObstoreStore(checked_url(place))
    folder = Path(place).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{place} is no folder", hint="name a folder for backups, or s3://, gs://, az://")
    return FolderStore(folder)


def configured_place(ws: Workspace, named: str) -> str:
    """The place that a command names, else that of `[backup] to`.

    Raises:
        ConfigError: neither names one, or it lies in the workspace.
    """
    place = named or ws.config.backup.to
    if not place:
        raise ConfigError(
            "no place for backups is named", hint="`freshet backup -w shop TO`, or set [backup] to"
        )
    if is_url(place):
        return place
    folder = (Path() if named else ws.root).absolute() / Path(place).expanduser()
    if folder.resolve().is_relative_to(ws.root.resolve()):
        raise ConfigError(f"{place} lies in the workspace", hint="name a place elsewhere, on another disk")
    return str(folder)
