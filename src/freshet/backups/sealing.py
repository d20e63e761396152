"""Files of a workspace as objects of a backup, by the kind of file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.backends.user_stores import lmdb_records
from freshet.backups import sealed_file, sealed_rows
from freshet.backups.contents import Kind
from freshet.core import user_numbers
from freshet.core.errors import ArtifactError
from freshet.stages import transitions
from freshet.stages.events.parquet_files import checksum_of
from freshet.storage.user_keys import UserKeys


def sealed(path: Path, kind: Kind, keys: UserKeys, into: Path) -> int:
    """Write a file as an object keeps it; returns the slot of its one key, -1 where it has none or many.

    Raises:
        ArtifactError: the file is damaged.
    """
    if kind is Kind.SHARED:
        return sealed_file.seal_file(path, keys, into)
    try:
        if kind is Kind.STATE:
            table, users = lmdb_records.table(path)
        else:
            table = pq.ParquetFile(path).read(use_threads=False)
            users = _users(table, kind)
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise ArtifactError(
            f"{path} can't be read: {error}", hint="`freshet doctor` tells what can be repaired"
        ) from None
    if not _is_whole(path, kind):
        raise ArtifactError(
            f"{path} is damaged: its checksum differs", hint="`freshet doctor` tells what can be repaired"
        )
    sealed_rows.seal(table, users, keys, into)
    return -1


def _is_whole(path: Path, kind: Kind) -> bool:
    """Whether a file holds what its name says; those of other kinds say nothing."""
    if kind is Kind.EVENTS:
        return checksum_of(path) == path.stem
    return transitions.intact(path) if kind is Kind.COUNTED else True


def _users(table: pa.Table, kind: Kind) -> NDArray[np.uint64]:
    """(n,) numbers of the users of rows."""
    if kind is Kind.COUNTED:
        found: NDArray[np.uint64] = table["user_key"].to_numpy()
        return found
    return user_numbers.keys(table["user"].fill_null(""))
