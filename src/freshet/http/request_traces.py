"""Which requests are traced, and their spans: made when a request has ended, so that others pay nothing."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from freshet.core.tracing import Tracer

_PARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class RequestTraces:
    """Traces some requests.

    Attributes:
        tracer: gets their spans.
        share: of those without a `traceparent`; where there is one, it decides.
    """

    tracer: Tracer
    share: float

    def note(
        self,
        headers: Mapping[bytes, bytes],
        method: str,
        path: str,
        status: int,
        seconds: float,
        request_id: str,
    ) -> None:
        """A request that has ended.

        Args:
            path: of a route; '' = none.
            seconds: that it took.
        """
        given = headers.get(b"traceparent", b"")
        sent = _PARENT.fullmatch(given)
        wanted = int(sent[1], 16) & 1 if sent is not None else random.random() < self.share
        if not wanted:
            return
        now = time.time_ns()
        parent = given.decode() if sent is not None else ""
        name = f"{method} {path}" if path else method
        attributes = {"http.request.method": method, "http.route": path, "freshet.request_id": request_id}
        span = self.tracer.begin(name, parent, "server", attributes, now - int(seconds * 1e9))
        error = str(status) if status >= 500 else ""
        span.end({"http.response.status_code": status}, error, now)
