"""Makes a workspace of a backup: in a new folder, every content verified, there as a whole or not at all.

Rows of users whose key was dropped can't be read. What speaks of the others stays, and what is named by its
content is named anew (`lost_rows`): the next run counts those days again.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from freshet.backends.user_stores import lmdb_records
from freshet.backups import backup_index, lost_rows, safekeeping, sealed_file, sealed_rows
from freshet.backups.backup_index import BackupIndex, Kept
from freshet.backups.contents import STATE, Kind
from freshet.core.errors import ArtifactError, ConfigError
from freshet.core.ports import ObjectStore, Progress
from freshet.stages.events.event_days import DayFile, write_days
from freshet.stages.events.parquet_files import as_written
from freshet.stages.transitions import day_files
from freshet.storage.checksums import sha256
from freshet.storage.durable import make_folder, move_folder
from freshet.storage.ledger import Reporter
from freshet.storage.releases import Releases
from freshet.storage.user_keys import UserKeys


@dataclass(frozen=True, slots=True)
class Restored:
    """A workspace that was made of a backup.

    Attributes:
        backup, made: id of the backup, and its moment.
        release: number of the one that serves, None before the first.
        lost_users: keys that were dropped since; one user may have two, of the log and of the user store.
        lost_rows: of theirs by kind of file. lost_files: that told of many users, and of one of them.
    """

    backup: str
    made: str
    files: int
    bytes: int
    release: int | None
    lost_users: int
    lost_rows: dict[str, int]
    lost_files: tuple[str, ...]


def restore(
    store: ObjectStore, place: str, into: Path, kept_apart: Path | None, id: str, reporter: Reporter
) -> Restored:
    """Make a workspace in a folder that isn't there, or is empty.

    Args:
        place: of the store, for messages.
        kept_apart: folder of keys and secrets, or a workspace that has them; None = nothing is encrypted.
        id: of the backup; '' = the latest.

    Raises:
        ConfigError: there is no such backup, something is in the folder, or there are no keys.
        ArtifactError: a content is missing or damaged, or the keys are of another workspace or too old.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise ConfigError(
            f"{into} exists already: nothing was restored", hint="name a folder that isn't there yet"
        )
    ids = backup_index.listed(store)
    if not ids:
        raise ConfigError(f"there is no backup at {place}", hint="`freshet backup` makes one")
    index = backup_index.read(store, id or ids[-1], place)
    make_folder(into.absolute().parent)
    with tempfile.TemporaryDirectory(dir=into.absolute().parent, prefix=".restore-") as made:
        draft, scratch = Path(made, "workspace"), Path(made, "scratch")
        make_folder(draft)
        make_folder(scratch)
        restoring = _Restoring(store, place, draft, scratch, _keys(index, kept_apart, draft))
        restoring.all(index, reporter.progress("restore"))
        lost_rows.settle(draft, restoring.changed)
        if into.exists():
            into.rmdir()
        move_folder(draft, into)
    return Restored(
        index.id,
        index.made,
        len(index.files),
        sum(one.size for one in index.files.values()),
        Releases(into).pointer(),
        len(restoring.slots - {restoring.shared}),
        dict(restoring.lost),
        restoring.changed.lost_files,
    )


def _keys(index: BackupIndex, kept_apart: Path | None, draft: Path) -> UserKeys:
    if kept_apart is None:
        if all(one.kind is Kind.PLAIN for one in index.files.values()):
            return UserKeys(draft)
        raise ConfigError(
            "what the backup holds of users is encrypted, and no keys were given",
            hint="--keys names the folder of [backup] keys, or the workspace that was backed up",
        )
    keys = safekeeping.bring(kept_apart, draft)
    if keys.id != index.keys:
        raise ArtifactError(
            f"the keys in {kept_apart} are not those of this backup, which was made of {index.workspace}",
            hint="name the keys of that workspace: --keys",
        )
    keys.compare(index.marks)
    return keys


@dataclass
class _Restoring:
    """Writes the files of a backup.

    Attributes:
        lost: rows by kind of file, of users whose key was dropped; `slots` of these keys.
        changed: what therefore is not as it was.
    """

    store: ObjectStore
    place: str
    draft: Path
    scratch: Path
    keys: UserKeys
    lost: Counter[str] = field(default_factory=Counter)
    slots: set[int] = field(default_factory=set)
    changed: lost_rows.Changed = field(default_factory=lost_rows.Changed)
    shared: int = -1

    def all(self, index: BackupIndex, progress: Progress) -> None:
        for number, (path, kept) in enumerate(sorted(index.files.items()), 1):
            self._one(path, kept)
            progress(number, len(index.files))

    def _one(self, path: str, kept: Kept) -> None:
        target, aside = self.draft / path, self.scratch / "object"
        if not self.store.download(kept.key, aside):
            raise self._bad(path, kept, "is missing")
        if sha256(aside) != kept.object:
            raise self._bad(path, kept, "is damaged: its checksum differs")
        if kept.kind is not Kind.STATE:
            make_folder(target.parent)
        if kept.kind is Kind.PLAIN:
            shutil.move(aside, target)
        elif kept.kind is Kind.SHARED:
            self.shared = kept.slot
            if not sealed_file.open_file(aside, self.keys, target, path):
                self.changed.files.append(path)
                return
        else:
            self._rows(path, kept, aside)
            return
        if sha256(target) != kept.sha256:
            raise self._bad(path, kept, "does not hold what the index says")

    def _rows(self, path: str, kept: Kept, aside: Path) -> None:
        opened = sealed_rows.open_sealed(aside, self.keys, path)
        self.slots |= opened.slots
        if opened.lost:
            self.lost[kept.kind.value] += opened.lost
        target, table = self.draft / path, opened.table
        if kept.kind is Kind.STATE:
            make_folder(self.draft / STATE)
            lmdb_records.restore(table, self.draft / STATE)
            return
        if kept.kind is Kind.SHOWN:
            if table.num_rows:
                pq.write_table(table, target, compression="zstd")
            return
        if kept.kind is Kind.EVENTS:
            written = self._day(table)
            self.changed.days[path] = written
            same = written is not None and written.path == target
        else:
            name = self._counted(path, table)
            self.changed.counted[path.removeprefix("days/")] = (name, opened.table)
            same = f"days/{name}" == path
        if not opened.lost and not same:
            raise self._bad(path, kept, "does not hold what its name says")

    def _day(self, table: pa.Table) -> DayFile | None:
        """Write a day's events; None where none are left."""
        rows = table.cast(as_written(table.schema)).to_reader()
        written = write_days(rows, self.draft, self.scratch)
        return written[0] if written else None

    def _counted(self, path: str, table: pa.Table) -> str:
        """Write counted days; returns the name within their folder, '' where no row is left."""
        pq.write_table(table, self.scratch / "counted")
        rows = day_files.read(self.scratch / "counted")
        kind, label = path.split("/")[1], Path(path).name.rpartition("-")[0]
        return day_files.write(self.draft / "days", kind, label, rows) if len(rows) else ""

    def _bad(self, path: str, kept: Kept, how: str) -> ArtifactError:
        return ArtifactError(
            f"{self.place}/{kept.key}, the content of {path}, {how}: nothing was restored",
            hint="restore an earlier backup: --backup",
        )
