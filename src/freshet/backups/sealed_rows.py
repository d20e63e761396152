"""Tables of which each user's rows are encrypted with that user's key (AES-128-GCM), as Parquet.

A row of the sealed table is one user: slot of the key, number of rows, sizes of the pieces, ciphertext. The
nonce is the file's own: no user occurs twice in it, so no key meets a nonce twice. Of a user whose key was
dropped it still tells that somebody had so many rows of such a size, and nothing else.
"""

from __future__ import annotations

import base64
import json
import os
import zlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from freshet.backups.row_pieces import column_of, pieces_of
from freshet.core.errors import ArtifactError
from freshet.storage.sound_reading import OTHERWISE
from freshet.storage.user_keys import UserKeys

FORMAT = 1
_ABOUT = b"freshet"
_WORTHWHILE = 200
"""Bytes of a user's rows from which on they are compressed."""
_PLACE = "freshet place"
"""A column with the place of each row, where users do not stand together in the table."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What could be read.

    Attributes:
        table: rows of all users whose key is there, in the order that they had.
        lost: rows of users whose key was dropped.
        slots: of those users.
    """

    table: pa.Table
    lost: int
    slots: frozenset[int]


def seal(table: pa.Table, users: NDArray[np.uint64], keys: UserKeys, into: Path) -> None:
    """Write n rows, of users with these (n,) numbers, into a file."""
    schema = table.schema
    bounds = np.flatnonzero(np.diff(users, prepend=users[:1] + 1)) if len(users) else np.zeros(0, np.int64)
    together = len(np.unique(users)) == len(bounds)
    if not together:
        order = np.argsort(users, kind="stable")
        users = users[order]
        table = table.take(order).append_column(_PLACE, pa.array(order.astype(np.int32)))
        bounds = np.flatnonzero(np.diff(users, prepend=users[:1] + 1))
    ends = np.append(bounds, len(users)).astype(np.int64)
    columns = table.combine_chunks().columns
    pieces = [piece for column in columns for piece in pieces_of(_whole(column))]
    cuts = np.array([piece.places[ends] for piece in pieces]).T  # (users + 1, pieces)
    key = keys.of(users[bounds])
    nonce = os.urandom(12)
    data = [
        AESGCM(secret.tobytes()).encrypt(
            nonce,
            _packed(b"".join([piece.data[a:b] for piece, a, b in zip(pieces, start, end, strict=True)])),
            None,
        )
        for secret, (start, end) in zip(key.keys, pairwise(cuts.tolist()), strict=True)
    ]
    sizes = np.diff(cuts, axis=0).astype(np.uint32)
    sealed = pa.table(
        {
            "slot": pa.array(key.slots),
            "rows": pa.array(np.diff(ends).astype(np.uint32)),
            "sizes": pa.FixedSizeListArray.from_arrays(pa.array(sizes.ravel()), len(pieces)),
            "data": pa.array(data, pa.large_binary()),
        }
    )
    about = {
        "format": FORMAT,
        "nonce": nonce.hex(),
        "schema": base64.b64encode(schema.serialize()).decode(),
        "placed": not together,
    }
    sealed = sealed.replace_schema_metadata({_ABOUT: json.dumps(about)})
    columns_of_bytes = {"slot": "zstd", "rows": "zstd", "sizes.list.element": "zstd", "data": "none"}
    pq.write_table(sealed, into, compression=columns_of_bytes, use_dictionary=False, write_statistics=False)


def open_sealed(path: Path, keys: UserKeys, named: str) -> Opened:
    """The rows of a file that `seal` wrote.

    Args:
        named: what the file is, for messages.

    Raises:
        ArtifactError: it is damaged, or sealed with other keys.
    """
    try:
        sealed = pq.read_table(path)
        about: dict[str, Any] = json.loads(sealed.schema.metadata[_ABOUT])
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(about["schema"])))
    except OTHERWISE as error:
        raise ArtifactError(f"{named} in the backup is damaged: {error}", hint="use another backup") from None
    if about["format"] != FORMAT:
        raise ArtifactError(
            f"{named} in the backup has format {about['format']}, this Freshet reads {FORMAT}",
            hint="update this Freshet",
        )
    slots, rows = sealed["slot"].to_numpy(), sealed["rows"].to_numpy()
    key = keys.at(slots)
    there = np.flatnonzero(~key.dropped)
    placed = bool(about["placed"])
    wanted = schema.append(pa.field(_PLACE, pa.int32())) if placed else schema
    sizes = sealed["sizes"].combine_chunks()
    sizes = np.asarray(_whole(sizes).flatten()).reshape(len(slots), sizes.type.list_size)
    parts: list[list[bytes]] = [[] for _ in range(sizes.shape[1])]
    nonce, (data, places) = bytes.fromhex(about["nonce"]), _bytes_of(sealed["data"])
    for user, secret in zip(there.tolist(), key.keys[there], strict=True):
        hidden = bytes(data[places[user] : places[user + 1]])
        try:
            plain = _unpacked(AESGCM(secret.tobytes()).decrypt(nonce, hidden, None))
        except InvalidTag:
            raise ArtifactError(
                f"{named} in the backup can't be decrypted: it is damaged, or these are other keys",
                hint="give the keys of the workspace that was backed up: --keys",
            ) from None
        at = 0  # slices are copies: as views they are many objects for the garbage collector to look at
        for part, size in zip(parts, sizes[user].tolist(), strict=True):
            part.append(plain[at : at + size])
            at += size
    whole = iter([b"".join(part) for part in parts])
    count = int(rows[there].sum())
    table = pa.table([column_of(field.type, count, whole) for field in wanted], schema=wanted)
    if placed:
        table = table.take(np.argsort(table[_PLACE].to_numpy(), kind="stable")).drop_columns([_PLACE])
    gone = np.flatnonzero(key.dropped)
    return Opened(table, int(rows[gone].sum()), frozenset(slots[gone].tolist()))


def _packed(rows: bytes) -> bytes:
    """Rows of one user, compressed where that makes them smaller; the first byte says which."""
    if len(rows) >= _WORTHWHILE:
        small = zlib.compress(rows, 1)
        if len(small) < len(rows):
            return b"z" + small
    return b"-" + rows


def _unpacked(packed: bytes) -> bytes:
    return zlib.decompress(packed[1:]) if packed[:1] == b"z" else packed[1:]


def _bytes_of(column: pa.ChunkedArray) -> tuple[memoryview, list[int]]:
    """The bytes of all rows, and the n + 1 places between which each lies."""
    piece = pieces_of(_whole(column))[-1]
    return piece.data, piece.places.tolist()


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column
