"""Pages are made before somebody asks for them, whenever the workspace has changed.

The first page after a publication opens the release, and the first of a process reads the whole ledger: that
takes longer than anybody wants to wait, and can be done by a thread of the dashboard's process meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from contextlib import suppress
from datetime import UTC, datetime

from freshet.core.errors import FreshetError
from freshet.dashboard.pages import PAGES
from freshet.dashboard.sessions import Session
from freshet.dashboard.visit import Visit
from freshet.dashboard.workspace_view import WorkspaceView

EVERY = 1.0
"""Seconds between two looks."""
WARM = ("", "playground", "overview/changed", "interests", "runs", "releases", "reviews")
"""Paths of the pages that are made, in this order: what others need is made with them."""
_NOBODY = Session("", "", "read", "")


def warm(view: WorkspaceView) -> None:
    """Make all that pages remember; one that can't be made is told to whoever asks for it."""
    pages = {page.path: page for page in PAGES}
    for path in WARM:
        with suppress(FreshetError):
            pages[path].values(Visit(view, _NOBODY, datetime.now(UTC), {}, {}, {}))


def keep_warm(view: WorkspaceView, stop: threading.Event) -> None:
    """Warm now and after every change, until told to stop."""
    seen: Hashable = None
    while True:
        found = view.state()
        if found != seen:
            warm(view)
            seen = found
        if stop.wait(EVERY):
            return
