"""The dashboard as an ASGI app: who asks is known and allowed, then a page is made in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

from markupsafe import Markup
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from freshet.core.errors import ArtifactError, Busy, FreshetError
from freshet.dashboard import rendering
from freshet.dashboard.pages import ACTS, PAGES
from freshet.dashboard.protection import HEADERS, Attempts, Denied, check_source
from freshet.dashboard.sessions import COOKIE, SECONDS, Session, Sessions
from freshet.dashboard.visit import Act, Done, Page, Visit
from freshet.dashboard.workspace_view import WorkspaceView
from freshet.http.api_docs import prefix_of
from freshet.http.api_keys import Keyring

MOUNT = "/dashboard/"
LONGEST_FORM = 65_536
"""Bytes of a form at most."""
CLIENT = "x-freshet-client"
"""Header in which `freshet serve` says who asks; what a client sends under that name doesn't get here."""
TOKEN_FIELD = '<input type="hidden" name="token" value="{}">'


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a dashboard.

    Attributes:
        keyring: the API's keys.
        sessions: makes and reads the cookies of those who have logged in.
        open_scope: what everybody may do where no key is required.
    """

    keyring: Keyring
    sessions: Sessions
    open_scope: str = "admin"


def make_app(view: WorkspaceView, access: Access) -> Starlette:
    """The app of a workspace; its paths begin with `/dashboard/`."""
    desk = _Desk(view, access)
    routes = [
        Route(f"{MOUNT}static/{{name}}", _static),
        Route(f"{MOUNT}login", desk.login, methods=["GET", "POST"]),
        Route(f"{MOUNT}logout", desk.logout, methods=["POST"]),
        *(Route(MOUNT + act.path, partial(desk.act, act), methods=["POST"]) for act in ACTS),
        *(Route(MOUNT + page.path, partial(desk.page, page)) for page in PAGES),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={HTTPException: desk.http_failure, Exception: desk.fault},
    )


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    body = rendering.static(name)
    if body is None:
        return Response("there is no such file", 404, HEADERS, "text/plain")
    kind = rendering.KINDS[name[name.rindex(".") :]]
    return Response(body, 200, {**HEADERS, "Cache-Control": "max-age=86400"}, kind)


class _Desk:
    """Answers requests."""

    def __init__(self, view: WorkspaceView, access: Access) -> None:
        self._view = view
        self._access = access
        self._attempts = Attempts()
        self._renderer = rendering.Renderer()

    async def page(self, page: Page, request: Request) -> Response:
        """A page, or why it can't be shown."""
        return await self._within(request, page.scope, lambda visit: self._shown(request, page, visit))

    async def act(self, act: Act, request: Request) -> Response:
        """Do something, then go to the page that shows it."""

        async def done(visit: Visit) -> Response:
            self._check_form(visit, request)
            found = await asyncio.to_thread(act.run, visit)
            return self._moved(request, found, visit.session)

        return await self._within(request, act.scope, done)

    async def login(self, request: Request) -> Response:
        """The form for a key, and what it is sent to."""
        return await self._guarded(request, lambda: self._log_in(request))

    async def logout(self, request: Request) -> Response:
        """End the session in this browser."""

        async def left(visit: Visit) -> Response:
            self._check_form(visit, request)
            answer = RedirectResponse(self._link(request)("login"), 303, HEADERS)
            answer.delete_cookie(COOKIE, path=self._cookie_path(request))
            return answer

        return await self._within(request, "read", left)

    async def http_failure(self, request: Request, error: Exception) -> Response:
        """No such page, or not with this method."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        said = {404: "there is no such page", 405: "this page does not take that"}.get(status, "it failed")
        return self._problem(request, Denied(status, said, "the links above lead on"), None)

    async def fault(self, request: Request, error: Exception) -> Response:
        """A bug; the server logs it."""
        failed = Denied(
            500, f"the dashboard failed: {type(error).__name__}; this is a bug", "the log has more"
        )
        return self._problem(request, failed, None)

    async def _within(
        self, request: Request, scope: str, answer: Callable[[Visit], Awaitable[Response]]
    ) -> Response:
        """Answer who may ask for it; others are sent to log in."""

        async def checked() -> Response:
            await asyncio.to_thread(self._access.keyring.refresh)
            session = self._session(request)
            if session is None and not self._access.keyring.required:
                return await self._met(request, answer)
            if session is None:
                return self._welcome(request)
            if not session.allows(scope):
                raise Denied(
                    403,
                    f"this needs a key of scope {scope}; yours has {session.scope}"
                    if session.key
                    else "without API keys, only a server that this machine alone reaches can be acted upon",
                    "log in with another key"
                    if session.key
                    else "`freshet keys add --scope admin` makes a key",
                )
            return await answer(await self._visit(request, session))

        return await self._guarded(request, checked)

    async def _guarded(self, request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        """Answer, or show what was wrong."""
        try:
            return await answer()
        except FreshetError as error:
            return self._problem(request, error, self._session(request))

    async def _visit(self, request: Request, session: Session) -> Visit:
        return Visit(
            self._view,
            session,
            datetime.now(UTC),
            {name: str(value) for name, value in request.path_params.items()},
            dict(request.query_params),
            await _form(request) if request.method == "POST" else {},
            request.headers.get("hx-request") == "true",
        )

    async def _shown(self, request: Request, page: Page, visit: Visit) -> Response:
        def made() -> Response:
            values = page.values(visit)
            if isinstance(values, Response):
                return values
            return self._html(request, page.template, values, visit.session, page=page)

        answer = await asyncio.to_thread(made)
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer

    def _check_form(self, visit: Visit, request: Request) -> None:
        """Refuse a form that this session was not shown."""
        check_source(request.headers)
        if not self._access.sessions.is_token(visit.form.get("token", ""), visit.session.cookie):
            raise Denied(
                403, "the form is too old, or not of this session", "load the page again, then send it"
            )

    async def _log_in(self, request: Request) -> Response:
        if request.method != "POST":
            return self._html(
                request, "login.html", {"next": request.query_params.get("next", ""), "wrong": ""}
            )
        check_source(request.headers)
        address = request.headers.get(CLIENT, "")
        self._attempts.check(address)
        form = await _form(request)
        self._access.keyring.refresh()
        key = self._access.keyring.find(form.get("key", "").strip())
        if key is None:
            self._attempts.failed(address)
            values = {"next": form.get("next", ""), "wrong": "That is no key of this server."}
            return self._html(request, "login.html", values, status=401)
        answer = RedirectResponse(self._link(request)(_local(form.get("next", ""))), 303, HEADERS)
        self._give(request, answer, self._access.sessions.cookie(key))
        return answer

    def _session(self, request: Request) -> Session | None:
        access = self._access
        scope = "" if access.keyring.required else access.open_scope
        return access.sessions.read(request.cookies.get(COOKIE, ""), access.keyring.get, scope)

    def _welcome(self, request: Request) -> Response:
        """What somebody without a session gets where a key is needed: the login."""
        if request.method != "GET":
            raise Denied(401, "your session has ended", "log in again, then repeat it")
        target = request.url.path.partition(MOUNT)[2] + (f"?{request.url.query}" if request.url.query else "")
        if request.headers.get("sec-fetch-site") == "cross-site" and COOKIE not in request.cookies:
            # a link elsewhere leads here: browsers hold back the cookie until the page is asked for from here
            return self._html(request, "again.html", {"target": target})
        if request.headers.get("hx-request") == "true":
            return Response("", 401, {**HEADERS, "HX-Redirect": self._link(request)("login")})
        return RedirectResponse(self._link(request)(f"login?{urlencode({'next': target})}"), 303, HEADERS)

    async def _met(self, request: Request, answer: Callable[[Visit], Awaitable[Response]]) -> Response:
        """Answer somebody who needs no key, and begin a session, whose token the forms carry."""
        if request.method != "GET":
            raise Denied(
                403, "the form is too old, or not of this session", "load the page again, then send it"
            )
        cookie = self._access.sessions.cookie(None)
        found = await answer(await self._visit(request, Session("", "", self._access.open_scope, cookie)))
        self._give(request, found, cookie)
        return found

    def _give(self, request: Request, answer: Response, cookie: str) -> None:
        answer.set_cookie(
            COOKIE,
            cookie,
            max_age=SECONDS,
            path=self._cookie_path(request),
            secure=request.headers.get("x-forwarded-proto", request.url.scheme) == "https",
            httponly=True,
            samesite="strict",
        )

    def _moved(self, request: Request, done: Done, session: Session) -> Response:
        target = self._link(request)(done.to)
        said = {"said": done.said, "mark": self._access.sessions.mark(done.said, session.cookie)}
        return RedirectResponse(f"{target}{'&' if '?' in target else '?'}{urlencode(said)}", 303, HEADERS)

    def _said(self, request: Request, session: Session | None) -> str:
        """What an act said, which no link from elsewhere can make up."""
        said, mark = (request.query_params.get(name, "") for name in ("said", "mark"))
        return said if session and self._access.sessions.is_mark(mark, said, session.cookie) else ""

    def _problem(self, request: Request, error: FreshetError, session: Session | None) -> Response:
        status = _status(error)
        headers = {"Retry-After": "60"} if status == 429 else {}
        return self._html(request, "problem.html", {"problem": error}, session, status, headers)

    def _html(
        self,
        request: Request,
        template: str,
        values: Mapping[str, object],
        session: Session | None = None,
        status: int = 200,
        headers: Mapping[str, str] = {},
        page: Page | None = None,
    ) -> Response:
        body = self._renderer.page(template, self._shared(request, session, page), values)
        return Response(body, status, {**HEADERS, **headers}, "text/html; charset=utf-8")

    def _shared(self, request: Request, session: Session | None, page: Page | None = None) -> dict[str, Any]:
        """What the base template needs."""
        token = self._access.sessions.token(session.cookie) if session else ""
        return {
            "link": self._link(request),
            "session": session,
            "csrf": lambda: Markup(TOKEN_FIELD).format(token),
            "may_act": session is not None and session.allows("admin"),
            "nav": [(one.path, one.nav) for one in PAGES if one.nav],
            "here": page.path.partition("/")[0] if page else None,
            "said": self._said(request, session),
            "now": datetime.now(UTC),
            "root_name": self._view.root.absolute().name,
        }

    def _link(self, request: Request) -> Callable[[str], str]:
        return rendering.links(prefix_of(dict(request.headers.raw), ""))

    def _cookie_path(self, request: Request) -> str:
        return self._link(request)("").rstrip("/")


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form.

    Raises:
        Denied: it is too long, or no form.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_FORM:
            raise Denied(413, "the form is too long")
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=200))
    except ValueError:
        raise Denied(400, "what was sent is no form") from None


def _local(target: str) -> str:
    """Where to go after the login: below the dashboard, whatever the link said."""
    return target if not target.startswith("/") and "\\" not in target and ":" not in target else ""


def _status(error: FreshetError) -> int:
    if isinstance(error, Denied):
        return error.status
    if isinstance(error, Busy):
        return 409
    return 404 if isinstance(error, ArtifactError) else 422
