"""Deletes backups that are too many, and objects that none needs."""

from __future__ import annotations

from dataclasses import dataclass

from freshet.backups import backup_index
from freshet.core.ports import ObjectStore

SAFE_SECONDS = 24 * 3600.0
"""An object that no backup names may be of one that is being made elsewhere; after so long it is not."""


@dataclass(frozen=True, slots=True)
class Tidied:
    """What was deleted.

    Attributes:
        backups: their ids.
        objects, bytes: of theirs, and of backups that were never finished.
    """

    backups: tuple[str, ...] = ()
    objects: int = 0
    bytes: int = 0


def tidy(store: ObjectStore, place: str, keep: int) -> Tidied:
    """Keep so many of the latest backups, all where it is 0; the index of one goes before its objects.

    Raises:
        ArtifactError: a backup that stays can't be read: nothing was deleted.
    """
    ids = backup_index.listed(store)
    old = ids[:-keep] if keep else []  # ids are in order of time
    named, theirs = _objects(store, place, ids[len(old) :]), _objects(store, place, old)
    store.delete([f"{backup_index.FOLDER}/{id}.json" for id in old])
    there = list(store.listed(backup_index.OBJECTS))
    newest = max((one.modified for one in there), default=0.0)  # by the place's own clock
    gone = [
        one
        for one in there
        if one.key not in named and (one.key in theirs or newest - one.modified > SAFE_SECONDS)
    ]
    store.delete([one.key for one in gone])
    return Tidied(tuple(old), len(gone), sum(one.size for one in gone))


def _objects(store: ObjectStore, place: str, ids: list[str]) -> set[str]:
    """Keys of the objects of some backups."""
    return {kept.key for id in ids for kept in backup_index.read(store, id, place).files.values()}
