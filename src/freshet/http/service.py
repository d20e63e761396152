"""What the parts of one server share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from freshet.core.config import HttpConfig
from freshet.http.addresses import Visitors
from freshet.http.api_keys import Keyring
from freshet.http.companion import Companion
from freshet.http.json_log import JsonLog
from freshet.http.level_watch import LevelWatch
from freshet.http.prometheus import Metrics
from freshet.http.request_traces import RequestTraces
from freshet.http.worker_folder import WorkerFolder
from freshet.serving.live_stream import LiveStream

if TYPE_CHECKING:
    from freshet.serving.recommend import Recommender


@dataclass(slots=True)
class ServerState:
    """How a server is doing.

    Attributes:
        draining: it is about to stop, and waits for balancers to notice.
        trouble: what last went wrong beside requests, '' where all is well.
    """

    draining: bool = False
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """One server's recommender, settings and instruments.

    Attributes:
        recommender: open; the app closes it when it ends.
        limits: of requests, as in `[http]`.
        keyring: who may send requests.
        visitors: which hosts and web pages are this server's.
        metrics: what `/metrics` reports.
        log: gets a line per request.
        root_path: what a proxy leaves before all paths, '' = nothing.
        stream: whose events are recorded beside those of requests, None = there is none.
        companion: answers the pages of the dashboard, None = there are none.
        watch: looks at the service levels now and then, None = nobody does.
        traces: of some requests, None = none are traced.
        workers: what this process shares with the others of its server, None = it is alone.
        state: set by what runs beside requests, reported by `/readyz`.
    """

    recommender: Recommender
    limits: HttpConfig
    keyring: Keyring
    visitors: Visitors
    metrics: Metrics
    log: JsonLog
    root_path: str = ""
    stream: LiveStream | None = None
    companion: Companion | None = None
    watch: LevelWatch | None = None
    traces: RequestTraces | None = None
    workers: WorkerFolder | None = None
    state: ServerState = field(default_factory=ServerState)
