"""What the ledger keeps of a source that was refused; `refused_sources` reads it."""

from __future__ import annotations

from typing import Any

from freshet.core.errors import FreshetError, InputError
from freshet.core.ports import SourceStore
from freshet.core.urls import Location
from freshet.stages.events.formats import listing
from freshet.stages.events.quarantine import Refused


def refused(source: Location, error: InputError, store: SourceStore | None = None) -> dict[str, Any]:
    """What the ledger keeps of a refusal; nothing of a source that isn't there, which nobody offered.

    Args:
        store: of sources in buckets.
    """
    try:
        there = listing(source, store)
    except FreshetError:  # a bucket that isn't there, or can't be asked
        return {}
    if there.what == "nothing" or (there.what == "glob" and not there.files and not there.unread):
        return {}
    until = error.until if isinstance(error, Refused) else None
    return {"refused": str(source), "why": error.message, "until": str(until) if until else None}
