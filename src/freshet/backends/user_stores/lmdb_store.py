"""A user store in one LMDB file: embedded, for all processes of one machine.

A transaction writes pages aside, forces them to the disk, then swaps the root: whoever kills the process or
cuts the power finds the store before or after it. Readers never wait for writers. What a bad disk or a hand
has damaged is refused, when the file is opened and when a record is read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from lmdb import Transaction

from freshet.backends.user_stores import history_bytes
from freshet.backends.user_stores.lmdb_environment import Environment, release, share
from freshet.backends.user_stores.lmdb_file import sealed, unsealed
from freshet.core.errors import StateFull
from freshet.core.ports import Erased
from freshet.core.types import Entry, Fact, History

_POSITION = struct.Struct(">Q")  # big-endian, so that keys are in the order of positions
_TOGETHER = 5000
"""Users merged, or entries trimmed, in one transaction: others may write in between."""


class LmdbUserStore:
    """What serving remembers, in a folder (`freshet.core.ports.UserStore`).

    Args:
        folder: made if it is missing.
        map_gb: GiB that the file may grow to.

    Raises:
        StateError: it can't be opened, or any of it is damaged.
    """

    note = ""

    def __init__(self, folder: Path, map_gb: float = 8.0) -> None:
        self._file = share(folder, int(map_gb * 2**30))
        self.events = LmdbJournal(self._file, "events")
        self.impressions = LmdbJournal(self._file, "impressions")
        self.notes = LmdbNotes(self._file)

    def histories(self, users: Sequence[bytes]) -> list[History]:
        """Of each user; empty for one who is not known."""
        found = self._file.read("users", users)
        return [History.empty() if data is None else history_bytes.decode(data) for data in found]

    def record(self, facts: Sequence[Fact]) -> list[bool]:
        """Remember facts in one transaction; for each whether it was new."""
        if not facts:
            return []
        with self._file.transaction(write=True) as transaction:
            new = self.events.record(transaction, facts)
            self._engage(transaction, [f for f, n in zip(facts, new, strict=True) if n and f.engaged])
        return new

    def merge(self, histories: Iterable[tuple[bytes, History]]) -> None:
        """Join histories to what is remembered, some thousand users at a time."""
        for batch in _batches(histories):
            with self._file.transaction(write=True) as transaction:
                for user, history in batch:
                    known = self._file.get(transaction, "users", user)
                    before = History.empty() if known is None else history_bytes.decode(known)
                    self._file.put(
                        transaction, "users", user, history_bytes.encode(history_bytes.merge(before, history))
                    )

    def erase(self, users: Sequence[bytes], mine: Callable[[bytes], bool]) -> Erased:
        """Remove users, some thousand records in a transaction, then overwrite what that leaves behind."""
        if not users:
            self._file.erase()
            return Erased(0, 0, 0)
        with self._file.transaction(write=True) as transaction:
            histories = [transaction.delete(user, db=self._file.databases["users"]) for user in users]
        identities, impressions = self.events.erase(mine), self.impressions.erase(mine)
        self._file.unname({"users": users, "identities": [one for one in identities if one]})
        self._file.erase()
        return Erased(sum(histories), len(identities), len(impressions))

    def close(self) -> None:
        """Let go of the file; the last one in this process closes it."""
        release(self._file)

    def _engage(self, transaction: Transaction, facts: Sequence[Fact]) -> None:
        by_user = sorted(facts, key=_user)  # neighbours share pages
        for user, of_user in groupby(by_user, key=_user):
            known = self._file.get(transaction, "users", user)
            self._file.put(transaction, "users", user, history_bytes.engage(known, of_user))


class LmdbJournal:
    """Entries by position; those of facts begin with the identity, so that trimming forgets it too."""

    def __init__(self, file: Environment, name: str) -> None:
        self._file = file
        self._name = name

    @property
    def _entries(self) -> Any:
        return self._file.databases[self._name]

    @property
    def _identities(self) -> Any:
        return self._file.databases["identities"]

    def append(self, bodies: Sequence[bytes]) -> None:
        """Add entries in one transaction."""
        if not bodies:
            return
        with self._file.transaction(write=True) as transaction:
            last = self._last(transaction)
            for position, body in enumerate(bodies, last + 1):
                self._append(transaction, position, b"\0" + body)
            self._reached(transaction, last + len(bodies))

    def record(self, transaction: Transaction, facts: Sequence[Fact]) -> list[bool]:
        """Append facts whose identity is not there; for each whether it was new."""
        position, new = self._last(transaction), []
        for fact in facts:
            at = sealed("identities", fact.identity, _POSITION.pack(position + 1))
            is_new = transaction.put(fact.identity, at, overwrite=False, db=self._identities)
            if is_new:
                position += 1
                self._append(transaction, position, bytes([len(fact.identity)]) + fact.identity + fact.body)
            new.append(is_new)
        self._reached(transaction, position)
        return new

    def read(self, after: int, limit: int) -> list[Entry]:
        """The first `limit` entries behind a position."""
        with self._file.transaction() as transaction:
            return list(islice(self._behind(transaction, after), limit))

    def end(self) -> int:
        """Position of the last entry that was added, 0 before any."""
        with self._file.transaction() as transaction:
            return self._last(transaction)

    def trim(self, upto: int) -> None:
        """Forget entries up to a position, oldest first; if it raises, some of the oldest may be gone."""
        try:
            self._trim(upto)
        except StateFull:
            self._file.resize()
            self._trim(upto)

    def erase(self, mine: Callable[[bytes], bool]) -> list[bytes]:
        """Delete the entries whose bodies are `mine`; returns the identity of each, b'' where it has none."""
        gone: list[bytes] = []
        after = 0
        while entries := self.read(after, _TOGETHER):
            after = entries[-1].position
            positions = [entry.position for entry in entries if mine(entry.body)]
            if positions:
                with self._file.transaction(write=True) as transaction:
                    deleted = [self._delete(transaction, position) for position in positions]
                gone += [one for one in deleted if one is not None]
        return gone

    def _delete(self, transaction: Transaction, position: int) -> bytes | None:
        at = _POSITION.pack(position)
        data = transaction.get(at, db=self._entries)
        if data is None:  # trimmed meanwhile
            return None
        entry = unsealed(self._name, at, data)
        identity = entry[1 : 1 + entry[0]]
        if identity:
            transaction.delete(identity, db=self._identities)
        transaction.delete(at, db=self._entries)
        return identity

    def _append(self, transaction: Transaction, position: int, entry: bytes) -> None:
        at = _POSITION.pack(position)
        transaction.put(at, sealed(self._name, at, entry), db=self._entries, append=True)

    def _trim(self, upto: int) -> None:
        more = True
        while more:
            with self._file.transaction(write=True) as transaction:
                more = self._trim_some(transaction, upto)

    def _trim_some(self, transaction: Transaction, upto: int) -> bool:
        """Whether there may be more to forget."""
        cursor = transaction.cursor(self._entries)
        for _ in range(_TOGETHER):
            if not cursor.first() or _position(cursor.key()) > upto:
                return False
            entry = unsealed(self._name, bytes(cursor.key()), cursor.value())
            if entry[0]:
                transaction.delete(entry[1 : 1 + entry[0]], db=self._identities)
            cursor.delete()
        return True

    def _behind(self, transaction: Transaction, after: int) -> Iterator[Entry]:
        cursor = transaction.cursor(self._entries)
        if cursor.set_range(_POSITION.pack(max(after, 0) + 1)):
            for key, data in cursor:
                entry = unsealed(self._name, bytes(key), data)
                yield Entry(_position(key), entry[1 + entry[0] :])

    def _last(self, transaction: Transaction) -> int:
        """The last position that was given, even if its entry is forgotten."""
        data = self._file.get(transaction, "positions", self._name.encode())
        return 0 if data is None else _position(data)

    def _reached(self, transaction: Transaction, position: int) -> None:
        self._file.put(transaction, "positions", self._name.encode(), _POSITION.pack(position))


class LmdbNotes:
    """Small named values in the `notes` database, each replaced as a whole."""

    def __init__(self, file: Environment) -> None:
        self._file = file

    def get(self, name: str) -> bytes | None:
        """The value, None where there is none."""
        with self._file.transaction() as transaction:
            return self._file.get(transaction, "notes", name.encode())

    def put(self, name: str, value: bytes) -> None:
        """Replace the value in one transaction."""
        with self._file.transaction(write=True) as transaction:
            self._file.put(transaction, "notes", name.encode(), value)


def _position(data: bytes | memoryview) -> int:
    position: int = _POSITION.unpack(data)[0]
    return position


def _user(fact: Fact) -> bytes:
    return fact.user


def _batches(histories: Iterable[tuple[bytes, History]]) -> Iterator[list[tuple[bytes, History]]]:
    """Some thousand at a time, sorted: neighbours share pages."""
    rest = iter(histories)
    while batch := list(islice(rest, _TOGETHER)):
        yield sorted(batch, key=lambda one: one[0])
