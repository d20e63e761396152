"""What alerts need from outside: a look at what serving remembers."""

from __future__ import annotations

from freshet.core.errors import FreshetError
from freshet.inspect.live_state import Live, live_of
from freshet.storage.workspace import Workspace
from freshet.wiring import existing_user_store


def live_state(ws: Workspace) -> Live | None:
    """What serving remembers, by opening it for a moment; None where the workspace was never served.

    For processes that do not serve: those have it open.
    """
    try:
        users = existing_user_store(ws.root, ws.config)
    except FreshetError as error:
        return Live(None, error.message)
    if users is None:
        return None
    try:
        return live_of(users)
    finally:
        users.close()
