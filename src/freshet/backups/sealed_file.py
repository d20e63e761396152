"""Files that tell of many users and can't be cut between them, encrypted as a whole (AES-128-GCM).

All of them are under one key, which is dropped with that of any user: what an old backup has of them is lost
then. The next backup has them again, as they are without that user.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from freshet.core.errors import ArtifactError
from freshet.storage.user_keys import EVERYBODY, UserKeys

_MAGIC = b"freshet sealed 1"
_SLOT = struct.Struct("<q")
_PART = 64 << 20
_NONCE, _TAG = 12, 16


def slot_of(keys: UserKeys) -> int:
    """Slot of the key that such files are encrypted with now."""
    return int(keys.of(np.array([EVERYBODY], np.uint64)).slots[0])


def seal_file(path: Path, keys: UserKeys, into: Path) -> int:
    """Encrypt a file; returns the slot of the key."""
    key = keys.of(np.array([EVERYBODY], np.uint64))
    cipher, slot = AESGCM(key.keys[0].tobytes()), int(key.slots[0])
    with path.open("rb") as source, into.open("wb") as target:
        target.write(_MAGIC + _SLOT.pack(slot))
        number = 0
        while part := source.read(_PART):
            nonce = os.urandom(_NONCE)
            target.write(nonce + cipher.encrypt(nonce, part, _about(number)))
            number += 1
    return slot


def open_file(path: Path, keys: UserKeys, into: Path, named: str) -> bool:
    """Decrypt a file that `seal_file` wrote; False where its key was dropped: then nothing is written.

    Args:
        named: what the file is, for messages.

    Raises:
        ArtifactError: it is damaged, or sealed with other keys.
    """
    with path.open("rb") as source:
        head = source.read(len(_MAGIC) + _SLOT.size)
        if len(head) < len(_MAGIC) + _SLOT.size or not head.startswith(_MAGIC):
            raise _damaged(named)
        key = keys.at(np.array(_SLOT.unpack(head[len(_MAGIC) :]), np.int64))
        if key.dropped[0]:
            return False
        cipher = AESGCM(key.keys[0].tobytes())
        with into.open("wb") as target:
            number = 0
            while part := source.read(_NONCE + _PART + _TAG):
                try:
                    target.write(cipher.decrypt(part[:_NONCE], part[_NONCE:], _about(number)))
                except (InvalidTag, ValueError):
                    raise _damaged(named) from None
                number += 1
    return True


def _about(number: int) -> bytes:
    """Ties a part to its place."""
    return number.to_bytes(8, "little")


def _damaged(named: str) -> ArtifactError:
    return ArtifactError(
        f"{named} in the backup can't be decrypted: it is damaged, or these are other keys",
        hint="give the keys of the workspace that was backed up: --keys",
    )
