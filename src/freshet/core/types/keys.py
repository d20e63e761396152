"""How users, items and events are named where a name of fixed size is needed.

The user store keeps no ids, only keys: of 128 bits where two that collide would mix up two people or lose an
event, of 64 bits where they are many and a collision would hide one item from one person (a user with a
thousand items and a catalogue of 50k: one in 4e11).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_M, _SHIFT = 0xC6A4A7935BD1E995, 47


def user_key(user: str) -> bytes:
    """16 bytes that name a user in the user store."""
    return blake2b(user.encode(), digest_size=16).digest()


def item_key(item: str) -> int:
    """64 bits that name an item in the user store."""
    return int.from_bytes(blake2b(item.encode(), digest_size=8).digest(), "little")


def identity(id: str | None, user: str, item: str, time: int) -> bytes:
    """16 bytes that are one event: the client's id where there is one, else (user, item, time).

    Args:
        time: microseconds since 1970 (UTC).
    """
    if id:
        return blake2b(id.encode(), digest_size=16, person=b"id").digest()
    whole, part = user.encode(), item.encode()
    parts = len(whole).to_bytes(4, "little") + whole + part + time.to_bytes(8, "little", signed=True)
    return blake2b(parts, digest_size=16, person=b"user item time").digest()


def user_number(user: str) -> int:
    """MurmurHash64A of the id: the number by which transitions know a user and shuffles steps."""
    text = user.encode()
    h = len(text) * _M & _MASK
    for at in range(0, len(text), 8):
        k = int.from_bytes(text[at : at + 8], "little")
        if at + 8 <= len(text):
            k = k * _M & _MASK
            k = (k ^ k >> _SHIFT) * _M & _MASK
        h = (h ^ k) * _M & _MASK
    h = (h ^ h >> _SHIFT) * _M & _MASK
    return h ^ h >> _SHIFT


@dataclass(slots=True)
class User:
    """A user by every name that a request needs, each computed once.

    Attributes:
        id: as the log holds it.
        key: `user_key`: names them in the user store.
        number: `user_number`: names them in transitions, and decides the arm of an experiment.
    """

    id: str
    key: bytes
    number: int

    @classmethod
    def of(cls, id: str) -> User:
        return cls(id, user_key(id), user_number(id))
