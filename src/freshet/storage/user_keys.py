"""A random key for every user, under which backups hold what is known of that user.

The keys lie in the workspace and, where somebody wants a copy for safekeeping, in a second file; never in a
backup. Dropping a key overwrites it in place: what any backup holds of that user can't be read from then on.

The file is a header and one record for each user, in the order in which they came: number of the user (8
bytes) and key (16 bytes); zeros in place of both where it was dropped. The place of a record is its *slot*,
by which a backup names the key; it never changes, and a user who comes back after a drop is given a new one.
"""

from __future__ import annotations

import hmac
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import ArtifactError
from freshet.core.types import user_key, user_number
from freshet.storage.durable import locked, make_folder, sync, written

PLACE = Path("backup", "user-keys.bin")
"""Where the keys lie in a workspace."""

EVERYBODY = int.from_bytes(b"everyone", "little")
"""Number of the key of what tells of many users and can't be cut between them. It goes with that of any."""

_MAGIC, _ID = b"freshet keys 1\n\0", 16
_HEAD = len(_MAGIC) + _ID
_MARKED = 16
"""Slots by which two copies of one workspace are told apart; each gives its newest users other ones."""
RECORD = np.dtype([("user", "<u8"), ("key", "u1", (16,))])


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of some users, in the order asked for.

    Attributes:
        slots: (n,) places of the records.
        keys: (n, 16) bytes; all zero where the key was dropped.
    """

    slots: NDArray[np.int64]
    keys: NDArray[np.uint8]

    @property
    def dropped(self) -> NDArray[np.bool_]:
        """(n,) whether the user was forgotten."""
        found: NDArray[np.bool_] = np.asarray(~self.keys.any(axis=1), np.bool_)
        return found


def state_number(key: bytes) -> int:
    """Number of a user whom the user store names by a key of 16 bytes."""
    return int.from_bytes(key[:8], "little")


class UserKeys:
    """The keys of a workspace.

    Args:
        root: the workspace.
        copy: a second file that is kept equal, such as one on another disk; None = there is none.
    """

    def __init__(self, root: Path, copy: Path | None = None) -> None:
        self.path = root / PLACE
        self._copy = copy
        self._index = _Index()

    @property
    def id(self) -> str:
        """Names this file of keys, and its copies; '' before any user has a key."""
        return _id_of(self.path).hex() if self.path.exists() else ""

    def __len__(self) -> int:
        """Number of slots."""
        return len(_records(self.path)) if self.path.exists() else 0

    def of(self, users: NDArray[np.uint64]) -> Keys:
        """Keys of n users by their numbers (`freshet.core.user_numbers`); new ones where there are none.

        What is returned is on the disk, in the workspace and in the copy.
        """
        asked, back = np.unique(users, return_inverse=True)
        with locked(self.path.parent), self._copied(make=True):
            records = _records(self.path)
            slots = self._index.slots(records, asked)
            new = slots < 0
            keys = records["key"][slots] if len(records) else np.zeros((len(asked), 16), np.uint8)
            if new.any():
                made = _made(asked[new])
                slots[new] = len(records) + np.arange(len(made))
                keys[new] = made["key"]
                _append(self.path, made)
        return Keys(slots[back], keys[back])

    def at(self, slots: NDArray[np.int64]) -> Keys:
        """Keys by their slots.

        Raises:
            ArtifactError: there is no such slot: the backup is newer than these keys, or not of them.
        """
        records = _records(self.path)
        if len(slots) and int(slots.max()) >= len(records):
            raise ArtifactError(
                f"{self.path} has {len(records):,} keys; number {int(slots.max()):,} is asked for",
                hint="these are older keys than those that the backup was made with: give a newer copy",
            )
        return Keys(slots, records["key"][slots])

    def marks(self) -> dict[int, str]:
        """What tells these keys from others of the same id: of the newest slots, a hash of their keys."""
        records = _records(self.path)
        newest = range(max(0, len(records) - _MARKED), len(records))
        return {slot: _mark(records["key"][slot]) for slot in newest if records["key"][slot].any()}

    def compare(self, marks: Mapping[int, str]) -> None:
        """Compare with `marks` of before.

        Raises:
            ArtifactError: another copy of the workspace made them, which gave these slots keys of its own; or
                they are newer.
        """
        slots = sorted(marks)
        found = self.at(np.array(slots, np.int64))
        for slot, key, dropped in zip(slots, found.keys, found.dropped, strict=True):
            if not dropped and _mark(key) != marks[slot]:
                raise ArtifactError(
                    f"key {slot:,} of {self.path} is not the one that the backup was made with: two "
                    "copies of one workspace have each given keys of their own",
                    hint="each copy needs a place of its own for backups; restore with the keys of the copy "
                    "that made the backup",
                )

    def drop(self, user: str) -> bool:
        """Drop a user's keys for good, and the key of `EVERYBODY`; whether the user had one.

        It is done in the copy, too, when this returns.

        Args:
            user: the id as the log holds it.

        Raises:
            ArtifactError: the copy is missing, can't be reached, or is of other keys; those of the
                workspace are dropped.
        """
        return self.drop_numbers(np.array([user_number(user), state_number(user_key(user))], np.uint64)) > 0

    def drop_numbers(self, users: NDArray[np.uint64]) -> int:
        """The same by numbers of users; how many keys of theirs went."""
        if not self.path.exists():
            return 0
        with locked(self.path.parent):
            records = _records(self.path)
            there = records["key"].any(axis=1)
            found = np.flatnonzero(np.isin(records["user"], users) & there)
            shared = np.flatnonzero((records["user"] == EVERYBODY) & there)  # may tell of them as well
            _overwrite(self.path, [*shared.tolist(), *found.tolist()])
            if self._copy is not None and not self._copy.exists():
                raise ArtifactError(  # a new one would hide that the one elsewhere still has the keys
                    f"{self._copy}, the copy of the keys, is missing: they are dropped in "
                    "the workspace alone",
                    hint="mount its disk, then run the command again; if it is gone for good, or was never "
                    "made, `freshet backup` makes it",
                )
            with self._copied():
                pass
        return len(found)

    def adopt(self, kept: Path) -> None:
        """Make the workspace's keys those of a copy, which has to be of the same ones; drops of either hold.

        Raises:
            ArtifactError: they are of another workspace.
        """
        make_folder(self.path.parent)
        with locked(self.path.parent):
            if not self.path.exists():
                with written(self.path) as aside:
                    _records(kept)  # refuses what is no file of keys
                    shutil.copyfile(kept, aside)
            else:
                _join(kept, self.path)

    @contextmanager
    def _copied(self, make: bool = False) -> Iterator[None]:
        """A block before and after which the copy is as the workspace's keys are.

        Before it, since another copy of this workspace may have given keys there: each takes over what the
        other gave, and no slot is given twice. A drop that only one of the two files knows is done in both.

        Args:
            make: where there is no file yet, one is made.
        """
        if make and not self.path.exists():
            _create(self.path)
        if self._copy is None:
            yield
            return
        with ExitStack() as held:
            with self._reached() as copy:
                make_folder(copy.parent)
                if not copy.parent.samefile(self.path.parent):  # of one folder the lock is held
                    held.enter_context(locked(copy.parent))
                if make and not copy.exists():
                    with written(copy) as aside:
                        shutil.copyfile(self.path, aside)
                _join(copy, self.path)
                _join(self.path, copy)
            yield
            with self._reached() as copy:
                if len(_records(copy)) < len(_records(self.path)):
                    _join(self.path, copy)

    @contextmanager
    def _reached(self) -> Iterator[Path]:
        """The copy; what the system says of it becomes an ArtifactError."""
        assert self._copy is not None
        try:
            yield self._copy
        except OSError as error:
            raise ArtifactError(
                f"the copy of the keys, {self._copy}, can't be written: {error.strerror}",
                hint="see to its disk, then run the command again; [backup] keys names it",
            ) from None


def _mark(key: NDArray[np.uint8]) -> str:
    return hmac.digest(key.tobytes(), b"freshet mark", "sha256")[:8].hex()


def _create(path: Path) -> None:
    with written(path, exclusive=True) as aside:
        aside.write_bytes(_MAGIC + token_bytes(_ID))


def _made(users: NDArray[np.uint64]) -> NDArray[np.void]:
    records = np.zeros(len(users), RECORD)
    records["user"] = users
    records["key"] = np.frombuffer(token_bytes(16 * len(users)), np.uint8).reshape(-1, 16)
    return records


class _Index:
    """Finds slots by users: most records sorted once, those added since each time anew."""

    def __init__(self) -> None:
        self._users = np.zeros(0, np.uint64)
        self._order = np.zeros(0, np.int64)

    def slots(self, records: NDArray[np.void], users: NDArray[np.uint64]) -> NDArray[np.int64]:
        """(n,) slot of each user, of several the last; -1 where there is none, or its key was dropped."""
        added = len(records) - len(self._order)
        if added < 0 or added > max(4096, len(self._order) // 8):
            self._order = np.argsort(records["user"], kind="stable")
            self._users = records["user"][self._order]
            added = 0
        found = _last(self._users, self._order, users)
        if added:
            tail = records["user"][-added:]
            order = np.argsort(tail, kind="stable")
            later = _last(tail[order], order + len(self._order), users)
            found = np.where(later >= 0, later, found)
        known = np.flatnonzero(found >= 0)
        found[known[~records["key"][found[known]].any(axis=1)]] = -1
        return found


def _last(
    known: NDArray[np.uint64], slots: NDArray[np.int64], users: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """(n,) the last slot of each user among sorted ones, -1 where there is none."""
    if not len(known):
        return np.full(len(users), -1, np.int64)
    place = np.searchsorted(known, users, side="right") - 1
    there = (place >= 0) & (known[np.maximum(place, 0)] == users)
    found: NDArray[np.int64] = np.where(there, slots[np.maximum(place, 0)], -1)
    return found


def _id_of(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if len(head) < _HEAD or not head.startswith(_MAGIC):
        raise ArtifactError(
            f"{path} is no file of keys that this Freshet reads",
            hint="restore it from its copy, or update Freshet",
        )
    return head[len(_MAGIC) :]


def _records(path: Path) -> NDArray[np.void]:
    """All whole records; what a crash has cut off at the end was never given to anybody."""
    if not path.is_file():
        raise ArtifactError(f"{path} not found", hint="name the file of keys: see [backup] keys")
    _id_of(path)
    count = (path.stat().st_size - _HEAD) // RECORD.itemsize
    return np.memmap(path, RECORD, "r", _HEAD, (count,)) if count else np.zeros(0, RECORD)


def _append(path: Path, records: NDArray[np.void]) -> None:
    """Add records behind the last whole one."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END) - _HEAD
        file.seek(_HEAD + size - size % RECORD.itemsize)
        file.write(records.tobytes())
        file.flush()
        os.fsync(file.fileno())


def _overwrite(path: Path, slots: Iterable[int]) -> None:
    """Zeros in the place of users and keys: nothing of them stays in the file."""
    with path.open("r+b") as file:
        for slot in slots:
            file.seek(_HEAD + int(slot) * RECORD.itemsize)
            file.write(bytes(RECORD.itemsize))
        file.flush()
        os.fsync(file.fileno())


def _join(source: Path, target: Path) -> None:
    """Give the target the records that it lacks, and the drops."""
    if _id_of(source) != _id_of(target):
        raise ArtifactError(
            f"{target} holds keys of another workspace",
            hint="name another file in [backup] keys: two workspaces don't share one",
        )
    theirs, mine = _records(source), _records(target)
    both = min(len(theirs), len(mine))
    alive = theirs["key"][:both].any(axis=1) & mine["key"][:both].any(axis=1)
    apart = np.flatnonzero((theirs[:both] != mine[:both]) & alive)
    if len(apart):
        raise ArtifactError(
            f"{target} and {source} have gone apart: from number {apart[0]:,} on, two copies of one "
            "workspace have each given keys of their own",
            hint="each copy needs a place of its own for backups, and a folder of its own in [backup] keys",
        )
    gone = ~theirs["key"][:both].any(axis=1) & mine["key"][:both].any(axis=1)
    _overwrite(target, np.flatnonzero(gone).tolist())
    if len(theirs) > both:
        _append(target, theirs[both:])
    sync(target.parent)
