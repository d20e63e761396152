"""What keeps foreign pages, guessed keys and injected scripts out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from time import monotonic

from starlette.datastructures import Headers

from freshet.core.errors import FreshetError
from freshet.http.addresses import Visitors
from freshet.http.problems import Refusal

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # not `no-referrer`: with it, browsers hide where a form was sent from, which is checked
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""Of every answer; a page's own `Response` may say otherwise."""
FAILURES, MINUTE, ADDRESSES = 10, 60.0, 1000
"""Wrong keys that one address may try within a minute; addresses that are remembered."""


class Denied(FreshetError):
    """A request is refused, with a status of HTTP."""

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


def check_source(headers: Headers) -> None:
    """Refuse a POST that no page of this server has sent.

    Browsers say where it comes from in `Sec-Fetch-Site`, older ones in `Origin` alone.

    Raises:
        Denied: 403.
    """
    site = headers.get("sec-fetch-site")
    if site == "same-origin":
        return
    if site is None and headers.get("origin"):
        try:
            Visitors("127.0.0.1").check_page(headers.raw)
        except Refusal:
            pass
        else:
            return
    raise Denied(403, "a page of another site, or none, has sent this", "open the dashboard and do it there")


class Attempts:
    """Counts wrong keys by address; keys can't be guessed, and nobody may keep a server busy trying."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, address: str) -> None:
        """Refuse an address that has failed too often.

        Raises:
            Denied: 429.
        """
        with self._lock:
            if len(self._recent(address)) >= FAILURES:
                raise Denied(429, "too many wrong keys from this address", "wait a minute, then try again")

    def failed(self, address: str) -> None:
        """Note a wrong key."""
        with self._lock:
            self._failed[address] = [*self._recent(address), monotonic()]
            self._failed.move_to_end(address)
            while len(self._failed) > ADDRESSES:
                self._failed.popitem(last=False)

    def _recent(self, address: str) -> list[float]:
        return [at for at in self._failed.get(address, ()) if monotonic() - at < MINUTE]
