"""Answers in HTML: a page within its frame, a problem, and the way to another page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from freshet.core.errors import ArtifactError, Busy, FreshetError, NotServing, StateError, StoreUnreachable
from freshet.dashboard.protection import HEADERS, Denied
from freshet.dashboard.rendering import Renderer, links
from freshet.dashboard.sessions import Session, Sessions
from freshet.dashboard.visit import Done, Page
from freshet.http.api_docs import prefix_of

TOKEN_FIELD = '<input type="hidden" name="token" value="{}">'
STATUSES: tuple[tuple[type[FreshetError], int], ...] = (
    (Busy, 409),
    (ArtifactError, 404),
    (NotServing, 503),
    (StateError, 503),
    (StoreUnreachable, 503),
)
"""What an error is in terms of HTTP; others are what cannot be done as asked (422)."""


class Answers:
    """Makes them.

    Args:
        name: of the workspace.
        nav: the navigation: paths and names.
    """

    def __init__(self, sessions: Sessions, name: str, nav: Sequence[tuple[str, str]]) -> None:
        self._sessions = sessions
        self._name = name
        self._nav = nav
        self._renderer = Renderer()

    def html(
        self,
        request: Request,
        template: str,
        values: Mapping[str, object],
        session: Session | None = None,
        status: int = 200,
        headers: Mapping[str, str] = {},
        page: Page | None = None,
    ) -> Response:
        """A template in its frame."""
        body = self.rendered(request, template, values, session, page)
        return Response(body, status, {**HEADERS, **headers}, "text/html; charset=utf-8")

    def rendered(
        self,
        request: Request,
        template: str,
        values: Mapping[str, object],
        session: Session | None,
        page: Page | None = None,
    ) -> bytes:
        """The same in bytes."""
        return self._renderer.page(template, self._shared(request, session, page), values)

    def problem(self, request: Request, error: FreshetError, session: Session | None) -> Response:
        """What was wrong, and what to do."""
        status = error.status if isinstance(error, Denied) else _status(error)
        headers = {"Retry-After": "60"} if status == 429 else {}
        return self.html(request, "problem.html", {"problem": error}, session, status, headers)

    def moved(self, request: Request, done: Done, session: Session) -> Response:
        """To the page that shows what was done."""
        target = link_of(request)(done.to)
        said = {"said": done.said, "mark": self._sessions.mark(done.said, session.cookie)}
        url = f"{target}{'&' if '?' in target else '?'}{urlencode(said)}"
        return RedirectResponse(url, 303, HEADERS)

    def _said(self, request: Request, session: Session | None) -> str:
        """What an act said, which no link from elsewhere can make up."""
        said, mark = (request.query_params.get(name, "") for name in ("said", "mark"))
        return said if session and self._sessions.is_mark(mark, said, session.cookie) else ""

    def _shared(self, request: Request, session: Session | None, page: Page | None) -> dict[str, Any]:
        """What the base template needs."""
        token = self._sessions.token(session.cookie) if session else ""
        return {
            "link": link_of(request),
            "session": session,
            "csrf": lambda: Markup(TOKEN_FIELD).format(token),
            "may_act": session is not None and session.allows("admin"),
            "nav": self._nav,
            "here": page.path.partition("/")[0] if page else None,
            "said": self._said(request, session),
            "now": datetime.now(UTC),
            "root_name": self._name,
        }


def link_of(request: Request) -> Callable[[str], str]:
    """Makes links for whoever asks: the server passes on what a proxy has put before all paths."""
    return links(prefix_of(dict(request.headers.raw), ""))


def _status(error: FreshetError) -> int:
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 422)
