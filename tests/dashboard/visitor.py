"""A browser without a screen: asks the dashboard's app in this process, keeps cookies, sends forms."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx

from freshet.dashboard.dashboard_app import Access, make_app
from freshet.dashboard.sessions import Sessions
from freshet.dashboard.workspace_view import WorkspaceView
from freshet.http.api_keys import Keyring, load_keys, make_key, save_keys

ORIGIN = "http://127.0.0.1:8000"
TOKEN = re.compile(r'name="token" value="([0-9a-f]{64})"')


class Visitor:
    """Asks for pages of a workspace's dashboard.

    Args:
        open_scope: what may be done without keys.
    """

    def __init__(self, root: Path, open_scope: str = "admin", prefix: str = "", scheme: str = "http") -> None:
        self.root = root
        self.view = WorkspaceView(root)
        self.app = make_app(self.view, Access(Keyring(root), Sessions(b"secret"), open_scope))
        self.headers = {"x-forwarded-prefix": prefix} if prefix else {}
        self.headers |= {"x-forwarded-proto": scheme}
        self.cookies = httpx.Cookies()

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request, below `/dashboard/`."""

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(
                transport=transport, base_url=ORIGIN, cookies=self.cookies
            ) as client:
                headers = {**self.headers, **options.pop("headers", {})}
                reply = await client.request(method, f"/dashboard/{path}", headers=headers, **options)
                self.cookies.update(client.cookies)
                return reply

        return asyncio.run(asked())

    def get(self, path: str = "", status: int = 200, **headers: str) -> httpx.Response:
        """A page; it must be answered with this status."""
        reply = self.ask("GET", path, headers=headers)
        assert reply.status_code == status, reply.text
        return reply

    def send(self, path: str, page: str = "", status: int = 303, **fields: str) -> httpx.Response:
        """Send a form of a page."""
        token = TOKEN.search(self.get(page).text)
        assert token, f"the page {page!r} has no form"
        return self.post(path, status, token=token[1], **fields)

    def post(
        self, path: str, status: int = 303, headers: dict[str, str] | None = None, **fields: str
    ) -> httpx.Response:
        """A form as a page of this server sends it, unless `headers` say otherwise."""
        given = {"origin": ORIGIN, "sec-fetch-site": "same-origin"} if headers is None else headers
        reply = self.ask("POST", path, data=fields, headers=given)
        assert reply.status_code == status, reply.text
        return reply

    def key(self, scope: str, name: str = "") -> str:
        """A new key of the workspace."""
        key, text = make_key(scope, name, "2026-01-05")
        save_keys(self.root, {**load_keys(self.root), key.id: key})
        return text

    def log_in(self, key: str, status: int = 303) -> httpx.Response:
        """Log in with a key."""
        return self.post("login", status, key=key)
