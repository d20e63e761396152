"""The process in which the dashboard runs: `freshet serve` starts it, and it ends with it.

It is told what to do by a line on its standard input; when that is closed, its parent is gone.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

import orjson
import uvicorn

from freshet.core import priority
from freshet.dashboard.dashboard_app import Access, make_app
from freshet.dashboard.sessions import Sessions
from freshet.dashboard.warming import keep_warm
from freshet.dashboard.workspace_view import WorkspaceView
from freshet.http.api_keys import Keyring
from freshet.http.companion import DashboardSettings
from freshet.http.json_log import JsonLog

NICE = 10
"""Pages, and what is made before somebody asks for them, make way for requests of the API."""


def main() -> None:
    """Answer pages until the parent is gone."""
    settings = DashboardSettings(**orjson.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    priority.permit()
    priority.make_way(NICE)
    log = JsonLog(sys.stderr)
    logger = logging.getLogger("uvicorn.error")
    logger.handlers, logger.propagate = [log], False
    logger.setLevel(logging.WARNING)
    root = Path(settings.root)
    access = Access(
        Keyring(root, off=settings.no_auth), Sessions(settings.secret.encode()), settings.open_scope
    )
    view = WorkspaceView(root)
    threading.Thread(target=keep_warm, args=(view, threading.Event()), name="warming", daemon=True).start()
    uvicorn.run(
        make_app(view, access),
        uds=settings.socket,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
    )


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
