"""Who is let in: sessions by keys of the API, and by nobody's where the server asks for none."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from freshet.dashboard.answers import Answers, link_of
from freshet.dashboard.protection import HEADERS, Attempts, Denied, check_source
from freshet.dashboard.sessions import COOKIE, SECONDS, Session, Sessions
from freshet.http.api_keys import Keyring

MOUNT = "/dashboard/"
LONGEST_FORM = 65_536
"""Bytes of a form at most."""
CLIENT = "x-freshet-client"
"""Header in which `freshet serve` says who asks; what a client sends under that name doesn't get here."""
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Headers by which a proxy says that the request came from elsewhere: not from this machine, as it seems."""
OLD_FORM = "the form is too old, or not of this session"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a dashboard.

    Attributes:
        keyring: the API's keys.
        sessions: makes and reads the cookies of those who have logged in.
        open_scope: what everybody may do where no key is required; through a proxy they may only look.
    """

    keyring: Keyring
    sessions: Sessions
    open_scope: str = "admin"


class Entrance:
    """Knows sessions, begins and ends them."""

    def __init__(self, access: Access, answers: Answers) -> None:
        self._access = access
        self._answers = answers
        self._attempts = Attempts()

    def refresh(self) -> None:
        """Learn of new and revoked keys; costs a look at their file."""
        self._access.keyring.refresh()

    def session(self, request: Request) -> Session | None:
        """The session of a request, None where it has none that is valid."""
        access = self._access
        scope = "" if access.keyring.required else self._open_scope(request)
        return access.sessions.read(request.cookies.get(COOKIE, ""), access.keyring.get, scope)

    def new_session(self, request: Request) -> Session | None:
        """One for somebody who needs no key; None where one is needed.

        Raises:
            Denied: a form is sent, whose session is over.
        """
        if request.method not in ("GET", "HEAD"):
            over = "your session has ended" if self._access.keyring.required else OLD_FORM
            raise Denied(403, over, "load the page again, then repeat it")
        if self._access.keyring.required:
            return None
        return Session("", "", self._open_scope(request), self._access.sessions.cookie(None))

    def _open_scope(self, request: Request) -> str:
        return "read" if any(name in request.headers for name in FORWARDED) else self._access.open_scope

    def check_form(self, request: Request, form: dict[str, str], session: Session) -> None:
        """Refuse a form that this session was not shown.

        Raises:
            Denied: 403.
        """
        check_source(request.headers)
        if not self._access.sessions.is_token(form.get("token", ""), session.cookie):
            raise Denied(403, OLD_FORM, "load the page again, then send it")

    def to_login(self, request: Request) -> Response:
        """What somebody without a session gets where a key is needed."""
        target = request.url.path.partition(MOUNT)[2] + (f"?{request.url.query}" if request.url.query else "")
        if request.headers.get("sec-fetch-site") == "cross-site" and COOKIE not in request.cookies:
            # a link elsewhere leads here: browsers hold back the cookie until the page is asked for from here
            return self._answers.html(request, "again.html", {"target": target})
        if request.headers.get("hx-request") == "true":
            return Response("", 401, {**HEADERS, "HX-Redirect": link_of(request)("login")})
        return RedirectResponse(link_of(request)(f"login?{urlencode({'next': target})}"), 303, HEADERS)

    async def log_in(self, request: Request) -> Response:
        """The form for a key, and what it is sent to."""
        values = {"next": request.query_params.get("next", ""), "wrong": ""}
        if request.method != "POST":
            return self._answers.html(request, "login.html", values)
        check_source(request.headers)
        address = request.headers.get(CLIENT, "")
        self._attempts.check(address)
        form = await form_of(request)
        self.refresh()
        key = self._access.keyring.find(form.get("key", "").strip())
        if key is None:
            self._attempts.failed(address)
            values = {"next": form.get("next", ""), "wrong": "That is no key of this server."}
            return self._answers.html(request, "login.html", values, status=401)
        answer = RedirectResponse(link_of(request)(_local(form.get("next", ""))), 303, HEADERS)
        self.give(request, answer, self._access.sessions.cookie(key))
        return answer

    def log_out(self, request: Request) -> Response:
        """Take the cookie back."""
        answer = RedirectResponse(link_of(request)("login"), 303, HEADERS)
        answer.delete_cookie(COOKIE, path=link_of(request)("").rstrip("/"))
        return answer

    def give(self, request: Request, answer: Response, cookie: str) -> None:
        """Give the browser a cookie."""
        answer.set_cookie(
            COOKIE,
            cookie,
            max_age=SECONDS,
            path=link_of(request)("").rstrip("/"),
            secure=request.headers.get("x-forwarded-proto", request.url.scheme) == "https",
            httponly=True,
            samesite="strict",
        )


async def form_of(request: Request) -> dict[str, str]:
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
