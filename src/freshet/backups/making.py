"""Makes a backup: what the last one lacks is sent, then the index is written, by which it is there.

What never changes is sent while others write. Then the lease is held: what has changed since is sent, and the
index is of that moment. Killed before, nothing of the backup is there but objects, which the next one's
tidying deletes.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from freshet import __version__
from freshet.backends.user_stores import lmdb_records
from freshet.backups import backup_index, contents, safekeeping, sealed_file
from freshet.backups.backup_index import BackupIndex, Kept
from freshet.backups.contents import NOTES, STATE, Kind, kind_of
from freshet.backups.sealing import sealed
from freshet.backups.tidying import Tidied, tidy
from freshet.core.errors import ArtifactError, ConfigError
from freshet.core.ports import ObjectStore
from freshet.storage.checksums import MANIFEST, sha256
from freshet.storage.durable import make_folder, read_json
from freshet.storage.lease import lease
from freshet.storage.remote.bucket_index import Entry
from freshet.storage.remote.checkout import Checkout
from freshet.storage.user_keys import UserKeys
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made.

    Attributes:
        files, bytes: of the workspace.
        sent_files, sent_bytes: of objects that the place lacked.
        keys: users that have a key.
        kept_apart: where keys and secrets are copied; '' = nowhere.
        tidied: earlier backups that were deleted.
        left_out: what of the workspace lies elsewhere and is not in the backup, in words.
    """

    id: str
    files: int
    bytes: int
    sent_files: int
    sent_bytes: int
    keys: int
    kept_apart: str
    tidied: Tidied
    left_out: tuple[str, ...] = ()


def make(ws: Workspace, store: ObjectStore, place: str, keep: int, now: datetime, apart: str = "") -> Made:
    """Make a backup of a workspace.

    Args:
        store: where backups lie; `place` names it, for messages.
        keep: so many of the latest backups stay there; 0 = all.
        apart: folder for copies of keys and secrets, from the workspace or absolute; '' = none.

    Raises:
        Busy: a run is writing, and did not end within `ws.wait` seconds; or another backup is being made.
        ArtifactError: a file of the workspace is damaged, or another copy of the workspace made the last
            backup there: no backup was made.
        ConfigError: the place holds backups of another workspace.
        StoreUnreachable: the place can't be reached.
    """
    notes = ws.root / NOTES
    make_folder(notes)
    keys = safekeeping.keys_of(ws.root, apart)
    with lease(notes / "LEASE", "backup", wait=ws.wait), tempfile.TemporaryDirectory(dir=notes) as scratch:
        sender = _Sender(ws, store, keys, Path(scratch), {})
        if ws.bucket is None:
            sender.known = _last(store, place, keys)
            sender.send(early=True)
        with ws.hold("backup", tell=False):
            if ws.bucket is not None:  # only under the lease are keys that are made here written back
                ws.bucket.fetch_all()
                sender.known = _last(store, place, keys)
            files = sender.send(early=False)
            moment = now.astimezone(UTC)
            id = f"{moment:%Y%m%dT%H%M%S.%fZ}-{token_hex(3)}"  # two of one second are in order too
            made = moment.isoformat(timespec="seconds")
            index = BackupIndex(id, made, ws.place, keys.id, __version__, files, keys.marks())
            if apart:
                safekeeping.keep_apart(ws.root, safekeeping.copy_in(ws.root, apart).parent)
        if store.put_new(f"{backup_index.FOLDER}/{id}.json", index.encode()) is None:
            raise ConfigError(f"{place} has a backup {id} already", hint="run the command again")
        tidied = tidy(store, place, keep)
    size = sum(one.size for one in files.values())
    sent = sender.files, sender.bytes
    return Made(id, len(files), size, *sent, len(keys), apart, tidied, _left_out(ws))


def _left_out(ws: Workspace) -> tuple[str, ...]:
    if ws.config.serving.state == "lmdb":
        return ()
    return (
        "what serving remembers of users lies in a Redis server: back that up by its own means, and drop the "
        "copies that hold somebody who was forgotten",
    )


def _last(store: ObjectStore, place: str, keys: UserKeys) -> dict[str, Kept]:
    """Files of the latest backup, which has to be of this workspace."""
    sealed_file.slot_of(keys)  # there are keys from now on, and their copy
    ids = backup_index.listed(store)
    last = backup_index.read(store, ids[-1], place) if ids else None
    if last is not None and last.keys != keys.id:
        raise ConfigError(
            f"{place} holds backups of {last.workspace}, encrypted with other keys",
            hint="name another place: each workspace has its own",
        )
    if last is None:
        return {}
    keys.compare(last.marks)
    return dict(last.files)


@dataclass
class _Sender:
    """Sends what the place lacks.

    Attributes:
        known: what is there by path, as far as it is of use.
        files, bytes: of objects that were sent.
    """

    ws: Workspace
    store: ObjectStore
    keys: UserKeys
    scratch: Path
    known: dict[str, Kept]
    files: int = 0
    bytes: int = 0
    _sums: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def send(self, *, early: bool) -> dict[str, Kept]:
        """Send every file; returns all of them.

        Args:
            early: what vanishes or changes meanwhile is left for the second time, under the lease.
        """
        root = self.ws.root
        self._sums.clear()  # a manifest may have been written anew since the early pass
        checkout = Checkout(root, root / NOTES, contents.LEFT_OUT)
        checkout.load()
        names = contents.tops(root, self.ws.config)
        paths = (
            list(contents.needed(checkout, self.ws.store, self.ws.config))
            if not early
            else _early(checkout, names)
        )
        entries = checkout.contents(*names)
        checkout.save()
        shared = sealed_file.slot_of(self.keys)
        progress = self.ws.reporter.progress("backup")
        found: dict[str, Kept] = {}
        for number, path in enumerate(paths, 1):
            if path in entries:
                with suppress(*((FileNotFoundError,) if early else ())):
                    found[path] = self._file(path, entries[path], checkout.source(path), shared)
            progress(number, len(paths))
        if not early and lmdb_records.exists(root / STATE) and self.ws.config.serving.state == "lmdb":
            found[STATE] = self._sealed(Entry(0, _NO_SUM), root / STATE, Kind.STATE)
        self.known |= found
        return found

    def _file(self, path: str, entry: Entry, source: Path, shared: int) -> Kept:
        kind = kind_of(path)
        before = self.known.get(path)
        is_same = before is not None and (before.kind, before.sha256) == (kind, entry.sha256)
        if before is not None and is_same and (kind is not Kind.SHARED or before.slot == shared):
            return before
        self._check(path, entry)
        if kind is not Kind.PLAIN:
            return self._sealed(entry, source, kind)
        kept = Kept(kind, entry.size, entry.sha256, entry.size, entry.sha256)
        self._send(kept, source)
        return kept

    def _sealed(self, entry: Entry, source: Path, kind: Kind) -> Kept:
        aside = self.scratch / "sealed"
        slot = sealed(source, kind, self.keys, aside)
        kept = Kept(kind, entry.size, entry.sha256, aside.stat().st_size, sha256(aside), slot)
        self._send(kept, aside)
        aside.unlink()
        return kept

    def _send(self, kept: Kept, source: Path) -> None:
        self.store.upload(source, kept.key)
        self.files += 1
        self.bytes += kept.stored

    def _check(self, path: str, entry: Entry) -> None:
        """Raises ArtifactError where a file is not what its artifact says."""
        parts = path.split("/", 2)
        if len(parts) < 3 or parts[2] == MANIFEST:
            return
        artifact = "/".join(parts[:2])
        if artifact not in self._sums:
            manifest = self.ws.root / artifact / MANIFEST
            self._sums[artifact] = read_json(manifest)["files"] if manifest.exists() else {}
        expected = self._sums[artifact].get(parts[2], entry.sha256)
        if expected != entry.sha256:
            raise ArtifactError(
                f"{self.ws.root / path} is damaged: its checksum differs; no backup was made",
                hint="`freshet doctor` tells what can be repaired",
            )


_NO_SUM = hashlib.sha256(b"").hexdigest()
_STAYING = {"days", "impressions", "runs", *contents.FOLDERS[: contents.FOLDERS.index("runs")]}


def _early(checkout: Checkout, names: Iterable[str]) -> list[str]:
    """Paths of files that never change: what is sent of them is of use whatever happens meanwhile."""
    found = checkout.contents(*[name for name in names if name in _STAYING | {"events"}])
    return [path for path in found if not path.startswith(("events/log/", "runs/"))]
