"""Ids of users, items and events, and the keys of fixed size that stand for them.

One rule makes an id, so that a user or an item has one name in every file, format and request. Blanks around
an id are no part of it. A whole number written as a decimal is the whole number: tools write `162.0`,
`162.00` or `1.62E7` where a column of numbers has gaps. Everything else stays as it is: `00162` is text, and
so is `12e5`, which is a hash more often than a number.

The user store keeps no ids, only keys: of 128 bits where two that collide would mix up two people or lose an
event, of 64 bits where they are many and a collision would hide one item from one person (a user with a
thousand items and a catalogue of 50k: one in 4e11).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

BLANKS = " \t\n\r\f\v\u00a0\ufeff"
DECIMAL = r"-?(0|[1-9][0-9]*)\.0*"
SCIENTIFIC = r"-?[0-9]+(\.[0-9]+[eE]\+?|[eE]\+)[0-9]{1,3}"
"""As floats are printed: a point in front of the exponent, or a plus in it."""

SHORTENED = r"-?[0-9](\.[0-9]{1,5})?[eE]\+"
"""How spreadsheets and C's `%g` begin a large number: six digits at most, whatever it had before."""

_DECIMAL, _SCIENTIFIC = re.compile(DECIMAL), re.compile(SCIENTIFIC)


def plain_id(text: str) -> str:
    """An id as the log holds it."""
    text = text.strip(BLANKS)
    if "." in text or "+" in text:
        if _DECIMAL.fullmatch(text):
            whole = text.partition(".")[0]
            return "0" if whole == "-0" else whole
        if _SCIENTIFIC.fullmatch(text):
            number = float(text)
            return str(int(number)) if number.is_integer() else text
    return text


def no_ids(spellings: Iterable[str]) -> frozenset[str]:
    """What stands for no id, in small letters: these spellings, and nothing at all."""
    return frozenset(["", *(word.strip(BLANKS).lower() for word in spellings)])


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
