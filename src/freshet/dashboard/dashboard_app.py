"""The dashboard as an ASGI app: who asks is known and allowed, then a page is made in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from freshet.core.errors import FreshetError
from freshet.dashboard import rendering
from freshet.dashboard.answers import Answers
from freshet.dashboard.entrance import MOUNT, Access, Entrance, form_of
from freshet.dashboard.live_run import Streams
from freshet.dashboard.pages import ACTS, PAGES
from freshet.dashboard.protection import HEADERS, Denied
from freshet.dashboard.sessions import Session
from freshet.dashboard.visit import Act, Page, Visit
from freshet.dashboard.workspace_view import WorkspaceView

__all__ = ["Access", "make_app"]


def make_app(view: WorkspaceView, access: Access) -> Starlette:
    """The app of a workspace; its paths begin with `/dashboard/`."""
    nav = [(page.path, page.nav) for page in PAGES if page.nav]
    answers = Answers(access.sessions, view.root.absolute().name, nav)
    desk = _Desk(view, Entrance(access, answers), answers)
    routes = [
        Route(f"{MOUNT}static/{{name}}", _static),
        Route(f"{MOUNT}login", desk.login, methods=["GET", "POST"]),
        Route(f"{MOUNT}logout", desk.logout, methods=["POST"]),
        Route(f"{MOUNT}runs/{{run}}/live", desk.live),
        *(Route(MOUNT + act.path, partial(desk.act, act), methods=["POST"]) for act in ACTS),
        *(Route(MOUNT + page.path, partial(desk.page, page)) for page in PAGES),
    ]
    handlers = {HTTPException: desk.http_failure, Exception: desk.fault}
    return Starlette(routes=routes, exception_handlers=handlers)


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    body = rendering.static(name)
    if body is None:
        return Response("there is no such file", 404, HEADERS, "text/plain")
    kind = rendering.KINDS[name[name.rindex(".") :]]
    return Response(body, 200, {**HEADERS, "Cache-Control": "max-age=86400"}, kind)


class _Desk:
    """Answers requests."""

    def __init__(self, view: WorkspaceView, entrance: Entrance, answers: Answers) -> None:
        self._view = view
        self._entrance = entrance
        self._answers = answers
        self._streams = Streams()

    async def page(self, page: Page, request: Request) -> Response:
        """A page, or why it can't be shown."""
        return await self._within(request, page.scope, lambda visit: self._shown(request, page, visit))

    async def act(self, act: Act, request: Request) -> Response:
        """Do something, then go to the page that shows it."""

        async def done(visit: Visit) -> Response:
            self._entrance.check_form(request, dict(visit.form), visit.session)
            found = await asyncio.to_thread(act.run, visit)
            return self._answers.moved(request, found, visit.session)

        return await self._within(request, act.scope, done)

    async def live(self, request: Request) -> Response:
        """What a run does, as server-sent events."""

        async def opened(visit: Visit) -> Response:
            session = visit.session
            return await self._streams.answer(
                visit, lambda template, values: self._answers.rendered(request, template, values, session)
            )

        return await self._within(request, "read", opened)

    async def login(self, request: Request) -> Response:
        """The form for a key, and what it is sent to."""
        return await self._guarded(request, lambda: self._entrance.log_in(request))

    async def logout(self, request: Request) -> Response:
        """End the session in this browser."""

        async def left(visit: Visit) -> Response:
            self._entrance.check_form(request, dict(visit.form), visit.session)
            return self._entrance.log_out(request)

        return await self._within(request, "read", left)

    async def http_failure(self, request: Request, error: Exception) -> Response:
        """No such page, or not with this method."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        said = {404: "there is no such page", 405: "this page does not take that"}.get(status, "it failed")
        return self._answers.problem(request, Denied(status, said, "go to the overview"), None)

    async def fault(self, request: Request, error: Exception) -> Response:
        """A bug; the server logs it."""
        failed = Denied(500, f"the dashboard failed ({type(error).__name__}): a bug", "the log has more")
        return self._answers.problem(request, failed, None)

    async def _within(
        self, request: Request, scope: str, answer: Callable[[Visit], Awaitable[Response]]
    ) -> Response:
        """Answer who may ask for it; others are sent to log in."""

        async def checked() -> Response:
            await asyncio.to_thread(self._entrance.refresh)
            known = self._entrance.session(request)
            session = known or self._entrance.new_session(request)
            if session is None:
                return self._entrance.to_login(request)
            if not session.allows(scope):
                raise _too_little(session, scope)
            found = await answer(await self._visit(request, session))
            if known is None:
                self._entrance.give(request, found, session.cookie)
            return found

        return await self._guarded(request, checked)

    async def _guarded(self, request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        """Answer, or show what was wrong."""
        try:
            return await answer()
        except FreshetError as error:
            return self._answers.problem(request, error, self._entrance.session(request))
        except ClientDisconnect:  # in the middle of a form: nobody reads an answer, and nothing is wrong here
            return Response(status_code=400)

    async def _visit(self, request: Request, session: Session) -> Visit:
        return Visit(
            self._view,
            session,
            datetime.now(UTC),
            {name: str(value) for name, value in request.path_params.items()},
            dict(request.query_params),
            await form_of(request) if request.method == "POST" else {},
            request.headers.get("hx-request") == "true",
        )

    async def _shown(self, request: Request, page: Page, visit: Visit) -> Response:
        def made() -> Response:
            values = page.values(visit)
            if isinstance(values, Response):
                return values
            return self._answers.html(request, page.template, values, visit.session, page=page)

        answer = await asyncio.to_thread(made)
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer


def _too_little(session: Session, scope: str) -> Denied:
    """Why a session may not do what needs a scope."""
    if session.key:
        why = f"this needs a key of scope {scope}; yours has {session.scope}"
        return Denied(403, why, "log in with another key")
    return Denied(
        403,
        "without API keys, only this very machine may act",
        "`freshet keys add --scope admin` makes a key",
    )
