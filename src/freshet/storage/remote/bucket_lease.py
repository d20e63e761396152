"""One writer of a bucket at a time: a lease object that its owner rewrites every few seconds.

No clock is trusted. Whoever wants a lease that another machine holds watches it, by a clock of its own that
only counts seconds, and takes it over if it was not rewritten for as long as it says. An owner that was out
of reach for that long may go on for a while: what it writes then is refused, since the new owner has put its
own token into the index first (`BucketWorkspace`).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace

from freshet.core.errors import Busy, ConfigError, FreshetError, StoreUnreachable
from freshet.core.ports import ObjectStore
from freshet.storage.lease_owner import Owner, parsed, place, started, this_process
from freshet.storage.remote.swapping import swap

LEASE = "LEASE.json"
SECONDS = 30.0
"""A lease may be taken over when its owner has not rewritten it for so long."""
VARIABLE = "FRESHET_LEASE_SECONDS"
"""Says otherwise."""
BEATS = 10
"""How often an owner rewrites its lease within that time."""
POLL = 0.25
"""Seconds between two looks of a run that waits."""


class BucketLease:
    """A lease that is held.

    Attributes:
        owner: who holds it; its token is in the index as well.
        took_over: its last owner didn't give it back.
        lost: another has taken it over.
    """

    def __init__(
        self, store: ObjectStore, owner: Owner, tag: str, took_over: bool, name: str = LEASE
    ) -> None:
        self._store = store
        self._name = name
        self._tag = tag
        self._beats = 0
        self.owner = owner
        self.took_over = took_over
        self.lost = False

    def beat(self) -> None:
        """Rewrite it.

        Raises:
            StoreUnreachable: the bucket can't be reached now.
        """
        self._write(held=True)

    def give_back(self) -> None:
        """Let the next one have it at once."""
        if not self.lost:
            self._write(held=False)

    def _write(self, *, held: bool) -> None:
        self._beats += 1
        tag = swap(self._store, self._name, _encoded(self.owner, self._beats, held=held), self._tag)
        if tag is None:
            self.lost = True
        else:
            self._tag = tag


@contextmanager
def bucket_lease(
    store: ObjectStore, command: str, wait: float, say: Callable[[str], None], name: str = LEASE
) -> Iterator[BucketLease]:
    """Hold the lease for the block; it is rewritten meanwhile.

    Args:
        command: what the owner is doing, for people.
        wait: seconds to wait for a living owner.
        say: called with the reason while nothing happens.
        name: of the object; that of the writer of the workspace, or of another role.

    Raises:
        Busy: another living run holds it.
        StoreUnreachable: the bucket can't be reached.
    """
    held = _take(store, this_process(command, lease_seconds()), wait, say, name)
    ended = threading.Event()
    beating = threading.Thread(target=_keep, args=(held, ended), name="bucket-lease", daemon=True)
    beating.start()
    try:
        yield held
    finally:
        ended.set()
        beating.join()
        with suppress(StoreUnreachable):  # then it expires
            held.give_back()


def lease_seconds() -> float:
    """How long a lease of this process lasts; raises ConfigError where the environment says no such time."""
    text = os.environ.get(VARIABLE, "")
    if not text:
        return SECONDS
    with suppress(ValueError):
        if 1.0 <= float(text) <= 3600.0:
            return float(text)
    raise ConfigError(f"{VARIABLE} is {text!r}, expected seconds from 1 to 3600")


def read_lease(store: ObjectStore, name: str = LEASE) -> Owner | None:
    """Whom the lease names; None where nobody holds it."""
    found = store.get(name)
    return None if found is None else _decoded(found.data)


def _take(store: ObjectStore, mine: Owner, wait: float, say: Callable[[str], None], name: str) -> BucketLease:
    start = time.monotonic()
    seen: str | None = None
    since, alive, reported = start, False, ""
    while True:
        found = store.get(name)
        now = time.monotonic()
        owner = _decoded(found.data) if found is not None else None
        tag = found.tag if found is not None else None
        gone = owner is None
        if owner is not None:
            if owner.place == place():
                alive = started(owner.pid) == owner.started
                gone = not alive
            elif tag != seen:
                alive, since = seen is not None, now
                seen = tag
            else:
                gone = now - since >= owner.seconds
        if gone:
            new = swap(store, name, _encoded(mine, 0, held=True), tag)
            if new is not None:
                return BucketLease(store, mine, new, owner is not None, name)
            continue
        if alive and now - start >= wait:
            raise Busy(
                f"{owner} is writing to this workspace",
                hint="wait for it with `--wait SECONDS`; if its process has died, its lease is taken over",
                retryable=True,
            )
        reason = f"waiting for {owner}" if alive else f"watching whether {owner} is alive"
        if reason != reported:
            say(reason)
            reported = reason
        time.sleep(POLL)


def _keep(held: BucketLease, ended: threading.Event) -> None:
    """Rewrite the lease until the run ends or it is lost."""
    while not ended.wait(held.owner.seconds / BEATS) and not held.lost:
        with suppress(FreshetError):  # a bucket that is out of reach for a moment
            held.beat()


def _encoded(owner: Owner, beats: int, *, held: bool) -> bytes:
    return json.dumps({**asdict(owner), "beats": beats, "held": held}, indent=1).encode()


def _decoded(data: bytes) -> Owner | None:
    """Who holds it; None where it was given back. What can't be read is somebody's, who is watched."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return Owner()
    if isinstance(content, dict) and content.get("held") is False:
        return None
    return parsed(content) or replace(Owner(), place="")
