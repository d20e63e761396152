"""The records of a state as a table, as of one moment, and a state made of such a table.

Columns: `name` of the database, `key`, `value` without its checksum. Each record is told whose it is: the
user's `state_number` for a history, `user_number` for what was recorded and shown, 0 for nobody's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.backends.user_stores import lmdb_environment, lmdb_file
from freshet.backends.user_stores.lmdb_file import ABOUT, DATA, LOCK, NAMES
from freshet.core.errors import ArtifactError
from freshet.core.types import TRANSITION, user_number
from freshet.storage.user_keys import state_number

_SCHEMA = pa.schema([("name", pa.string()), ("key", pa.large_binary()), ("value", pa.large_binary())])
_ROOM = 64 << 20
_TOGETHER = 100_000


def exists(folder: Path) -> bool:
    """Whether there is a state."""
    return (folder / DATA).exists()


def table(folder: Path) -> tuple[pa.Table, NDArray[np.uint64]]:
    """All records of one moment, whoever writes meanwhile, and (n,) numbers of the users they are of.

    Raises:
        ArtifactError: a record is damaged.
        StateError: the state can't be opened.
    """
    names: list[str] = []
    keys: list[bytes] = []
    values: list[bytes] = []
    users: list[int] = []
    size = (folder / DATA).stat().st_size + _ROOM
    with lmdb_environment.lenient(folder, size) as state, state.transaction() as moment:
        owners: dict[bytes, int] = {}
        for name in (*(one for one in NAMES if one != "identities"), "identities", ABOUT):
            for found, data in moment.cursor(state.databases[name]):
                key = bytes(found)
                try:
                    value = lmdb_file.unsealed(name, key, data)
                except lmdb_file.DamagedRecord as error:
                    raise ArtifactError(
                        f"the state {folder} is damaged: {error}", hint="`freshet doctor --repair` repairs it"
                    ) from None
                if name == "events":
                    owners[key] = _owner(name, key, value)
                names.append(name)
                keys.append(key)
                values.append(value)
                users.append(owners.get(value, 0) if name == "identities" else _owner(name, key, value))
    return pa.table([names, keys, values], schema=_SCHEMA), np.array(users, np.uint64)


def restore(records: pa.Table, folder: Path) -> None:
    """Make a state of records in a folder that has none."""
    size = 4 * records.nbytes + _ROOM
    with lmdb_environment.lenient(folder, size) as state:
        for batch in _batches(records):
            with state.transaction(write=True) as change:
                for name, key, value in batch:
                    state.put(change, name, key, value)
    (folder / LOCK).unlink(missing_ok=True)  # of a process that is through with it


def _owner(name: str, key: bytes, value: bytes) -> int:
    """Number of the user that a record is of."""
    if name == "users":
        return state_number(key)
    if name == "events":  # length of the identity, identity, transition, document
        start = 1 + value[0]
        return int(np.frombuffer(value, TRANSITION, 1, start)["user"][0])
    if name == "impressions":
        user = json.loads(value[1 + value[0] :]).get("user", "")
        return user_number(user) if user else 0
    return 0


def _batches(records: pa.Table) -> Iterator[list[tuple[str, bytes, bytes]]]:
    for batch in records.to_batches(max_chunksize=_TOGETHER):
        columns = [batch.column(name).to_pylist() for name in _SCHEMA.names]
        yield list(zip(*columns, strict=True))
