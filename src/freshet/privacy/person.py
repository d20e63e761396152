"""A person to be forgotten, by every name under which something of theirs may lie."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import InputError
from freshet.core.types import user_key, user_number
from freshet.core.types.ids import plain_id
from freshet.storage.user_ids import People

MOST = 1000
"""People forgotten by one call: every byte of the workspace is compared with the names of all of them."""
FORGOTTEN = "(forgotten)"
"""What stands in texts in place of an id."""
_LONG = 5
"""Characters from which an id that stands in a text by itself is taken for the person.

Digits alone never are: `10003` is any number, or an item. In quotes they are.
"""


@dataclass(frozen=True, slots=True)
class Person:
    """One person.

    Attributes:
        id: as it comes in, by the rule of the log.
        stored: the id by which the log knows them.
        person: keyed hash, for tombstones and receipts.
    """

    id: str
    stored: str
    person: str

    @classmethod
    def of(cls, given: str, people: People) -> Person:
        """The person of an id.

        Raises:
            InputError: it is none.
        """
        id = plain_id(given)
        if not id:
            raise InputError("a user to forget has an empty id", hint="give the id as the events have it")
        return cls(id, people.stored(id), people.person(id))

    @property
    def names(self) -> set[str]:
        """Ids that may stand in files."""
        return {self.id, self.stored}


class Names:
    """The names of some people in forms that data is compared with.

    Attributes:
        ids: as they come in, and as the log has them.
        keys: of the user store, 16 bytes each.
        numbers: (n,) of counts, ascending.
    """

    def __init__(self, people: Sequence[Person]) -> None:
        self.people = tuple(people)
        self.ids = frozenset(name for one in people for name in one.names)
        self.stored = frozenset(one.stored for one in people)
        self.keys = [user_key(name) for name in sorted(self.ids)]
        self.numbers: NDArray[np.uint64] = np.unique(
            np.array([user_number(name) for name in self.ids], np.uint64)
        )
        self._text = _pattern(self.ids)
        self._bytes = re.compile(b"|".join(map(re.escape, self._needles())))

    def _needles(self) -> Iterable[bytes]:
        """What can't stand anywhere by chance: hashes, and what the user store writes before an id."""
        yield from self.keys
        for number in self.numbers.tolist():
            yield int(number).to_bytes(8, "little")
            if number > 10**9:
                yield str(number).encode()
        for id in self.ids:
            for text in {json.dumps(id), json.dumps(id, ensure_ascii=False)}:
                yield f'"user":{text}'.encode()
                yield f'"user": {text}'.encode()

    def in_bytes(self, data: bytes | memoryview) -> int:
        """How often a hash of theirs, or an id that is named as a user's, stands in bytes."""
        return sum(1 for _ in self._bytes.finditer(data))

    def in_text(self, text: str) -> int:
        """How often an id stands in a text by itself; a short one, or a number, only in quotes."""
        return sum(1 for _ in self._text.finditer(text))

    def without(self, text: str) -> str:
        """A text with a word in place of each of these ids."""
        return self._text.sub(FORGOTTEN, text)

    def is_mine(self, body: bytes) -> bool:
        """Whether an entry of a journal of the user store is of one of them."""
        try:
            found = json.loads(body[max(0, body.find(b"{")) :])
        except (ValueError, RecursionError):
            return self.in_bytes(body) > 0
        return isinstance(found, dict) and found.get("user") in self.ids


def _pattern(ids: Iterable[str]) -> re.Pattern[str]:
    parts = []
    for id in sorted(ids, key=len, reverse=True):
        for text in {id, json.dumps(id)[1:-1]}:
            plain = re.escape(text)
            before = r"(?<![\w])" if re.match(r"\w", text) else ""
            after = r"(?![\w])" if re.search(r"\w$", text) else ""
            quoted = rf"(?<=[\"']){plain}(?=\\?[\"'])"
            is_word = len(id) >= _LONG and not id.isdecimal()
            parts.append(before + plain + after if is_word else quoted)
    return re.compile("|".join(parts))
