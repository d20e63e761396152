"""One of several schedulers of a workspace acts: the one that holds a lease of its own.

It is a lease as that of a run: a living leader can't lose it, a dead one's is taken over. Runs hold the
workspace's own lease beside it, in which they look at the ledger once more: so even two leaders, of which one
slept for an hour, would make no run twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from freshet.core.errors import LeaseLost
from freshet.storage.lease import is_held, lease, read
from freshet.storage.lease_owner import Owner
from freshet.storage.remote.bucket_lease import bucket_lease, read_lease
from freshet.storage.workspace import Workspace

FILE = "SCHEDULER"
OBJECT = "SCHEDULER.json"
"""The lease in a folder, and in a bucket."""
COMMAND = "schedule"


@contextmanager
def leading(ws: Workspace) -> Iterator[Callable[[], bool]]:
    """A block in which this process leads; gives what tells whether it still does.

    Raises:
        Busy: another one leads.
        StoreUnreachable: the bucket can't be reached.
    """
    if ws.bucket is not None:
        with bucket_lease(ws.bucket.store, COMMAND, 0.0, ws.reporter.say, OBJECT) as there:
            yield lambda: not there.lost
        return
    with lease(ws.root / FILE, COMMAND, say=ws.reporter.say) as here:

        def leads() -> bool:
            try:
                with here.fenced():
                    return True
            except LeaseLost:
                return False

        yield leads


def leader(ws: Workspace) -> Owner | None:
    """Who leads, as far as it shows at once: None where nobody does, or its process on this machine is gone.

    Who leads from another machine and died is named until its lease is taken over.
    """
    if ws.bucket is not None:
        return read_lease(ws.bucket.store, OBJECT)
    return read(ws.root / FILE) if is_held(ws.root / FILE) else None
