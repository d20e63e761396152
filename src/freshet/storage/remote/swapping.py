"""Swapping a small object on a condition, so that afterwards it is known whether that happened."""

from __future__ import annotations

import time

from freshet.core.errors import StoreUnreachable
from freshet.core.ports import ObjectStore

TRIES = 6
"""Times that a swap is tried of which nothing came, though nobody else wrote."""


def swap(store: ObjectStore, key: str, data: bytes, tag: str | None) -> str | None:
    """Write an object over the content that a tag names, None = where there is none.

    A write whose answer was lost is found by reading again. So `data` must be unlike all that was ever
    written there: it holds a random token.

    Returns:
        The new tag; None where the content is another.

    Raises:
        StoreUnreachable: it is not known whether it happened.
    """
    lost: StoreUnreachable | None = None
    for attempt in range(TRIES):
        if attempt:
            time.sleep(0.05 * 2**attempt)
        try:
            new = store.put_new(key, data) if tag is None else store.replace(key, data, tag)
        except StoreUnreachable as error:
            new, lost = None, error
        if new is not None:
            return new
        found = store.get(key)
        if found is not None and found.data == data:
            return found.tag
        if (found.tag if found is not None else None) != tag:
            return None
    raise lost or StoreUnreachable(
        f"{key} could not be written: the store said {TRIES} times that it had changed, which it had not",
        hint="run the command again; if it stays so, the service has no conditional writes",
        retryable=True,
    )
